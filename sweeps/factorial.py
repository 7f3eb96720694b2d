"""Factorial: four mixtures in which diversity and alignment are not collinear.

Question    Of two mixtures of equal size, is it the one with more labels that helps, or the one
            whose jets look more like the downstream jets? QCD against QCD and BSM jets cannot
            tell: there both change together.
Design      Two by two, by what `jetscale measure` finds. *near* mixtures hold hadronic resonances,
            *far* ones QCD jets or, half of them, resonances with an electron or muon pair, which
            JetClass does not have. *few* mixtures hold 3 or 4 labels, *many* ones those and more,
            and jets that differ more from each other: labels and jets must not be collinear with
            alignment. Each mixture has 6,000 jets and the same optimiser steps; constituents are
            cut at 32, so that a jet of any kind costs about the same.
Grid        5 mixtures (the four and scratch) x 3 model sizes x 4 data sizes x 2 seeds = 120
            fine-tuning runs, after 24 pretrainings.
Command     jetscale measure sweeps/factorial.py   (are the corners corners? before any training)
            jetscale run sweeps/factorial.py
Expect      Measure: intervals of the high and the low mixtures do not overlap on either axis.
            Run: near mixtures below far ones when data are few. Whether many labels help at equal
            alignment is the question.
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


def study() -> Study:
    """The factorial study."""
    return Study(
        name="factorial",
        source=Simulated(train_jets=8_000, seed=1),
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
            ModelSize(width=8, layers=1, heads=1),
            ModelSize(width=16, layers=1, heads=2),
            ModelSize(width=32, layers=2, heads=4),
        ),
        data_sizes=(500, 1000, 2000, 4000),
        seeds=(1, 2),
        subsets=2,
        recipe=Recipe(
            data=Data(pretraining_jets=6_000, constituents=32),
            schedule=Schedule(epochs=4),
            optimiser=load_optimiser(__file__),
            evaluation=Evaluation(validation_jets=2_000, test_jets=4_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
