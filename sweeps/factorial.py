"""Factorial: four mixtures in which diversity and alignment are not collinear.

Question    Of two mixtures of equal size, is it the one with more labels that helps, or the one
            whose jets look more like the downstream jets? QCD against QCD and BSM jets, which
            differ in the composition study, cannot tell: there both change together.
Design      Two by two, by what `jetscale measure` finds. *near* mixtures hold hadronic resonances,
            *far* ones QCD jets or, half of them, resonances with an electron or muon pair, which
            JetClass does not have. *few* mixtures hold 3 or 4 labels, *many* ones those and more,
            and jets that differ more from each other: labels and jets must not be collinear with
            alignment. Each mixture has 24,000 jets and the same optimiser steps.
Grid        5 mixtures (the four and scratch) x 3 model sizes (2,410 to 12,490 parameters) x 5 data
            sizes (500 to 8,000 jets) x 6 seeds, each seed with its own draw of jets = 450
            fine-tuning runs, after 72 pretrainings. Sizes, downstream jets and schedule are those
            of composition: losses can be set beside its own.
Command     jetscale measure sweeps/factorial.py   (are the corners corners? before any training)
            jetscale run sweeps/factorial.py       (ten to fifteen minutes of two cores)
Expect      Measure: intervals of the high and the low mixtures do not overlap on either axis.
            Run: qcd+bsm beats qcd by 0.07 at 500 jets and 0.03 at 8,000, so the two effects cannot
            both be nothing; near mixtures below far ones when data are few. Whether many labels
            help at equal alignment is the question. From the spread of that difference, 18 pairs
            see a main effect of 0.010 over all D, of 0.017 at 500 and 1,000 jets together, and an
            interaction of 0.020 over all D, each with 80% power.

Learning rates follow the laws of factorial.recipe.json, which `jetscale tune` found by the same
search for all five.
"""

from jetscale.study import (
    Data,
    Evaluation,
    Mixture,
    ModelSize,
    Recipe,
    Schedule,
    Simulated,
    Study,
    load_optimiser,
)

LIGHT_QCD = "QCD_light,QCD_s,QCD_ss"
LEPTON_PAIRS = "X_YY_*ee,X_YY_*mm"
TWO_PRONGS = "X_[bcsqg][bcsqg]"
FOUR_PRONGS = "X_YY_qqqq,X_YY_qqgg,X_YY_qqbc,X_YY_qqcs"
SOME_LEPTON_PAIRS = "X_YY_qqee,X_YY_qqmm"
SEEDS = (1, 2, 3, 4, 5, 6)


def study() -> Study:
    """The factorial study."""
    return Study(
        name="factorial",
        source=Simulated(train_jets=128_000, seed=1),
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="few-far", parts={LIGHT_QCD: 1.0}),
            Mixture(name="many-far", parts={"qcd": 0.5, LEPTON_PAIRS: 0.5}),
            Mixture(name="few-near", parts={"X_bb,X_qq": 0.5, "X_YY_qqbc,X_YY_qqcs": 0.5}),
            Mixture(
                name="many-near",
                parts={TWO_PRONGS: 0.425, FOUR_PRONGS: 0.425, SOME_LEPTON_PAIRS: 0.15},
            ),
        ),
        ladder=(
            ModelSize(width=10, layers=2, heads=1),
            ModelSize(width=16, layers=2, heads=2),
            ModelSize(width=24, layers=2, heads=3),
        ),
        data_sizes=(500, 1_000, 2_000, 4_000, 8_000),
        seeds=SEEDS,
        subsets=len(SEEDS),
        recipe=Recipe(
            data=Data(pretraining_jets=24_000, constituents=32),
            schedule=Schedule(epochs=2, pretraining_epochs=1, batch_exponent=0.5),
            optimiser=load_optimiser(__file__),
            evaluation=Evaluation(validation_jets=4_000, test_jets=20_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
