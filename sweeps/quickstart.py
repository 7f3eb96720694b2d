"""Quickstart: what is pretraining worth, up to how many jets, and how large a model for a budget?

Question    What is pretraining on QCD jets, or on QCD and BSM resonance jets, worth to a classifier
            of the ten JetClass classes, and from how many downstream jets on does it stop?
Grid        3 mixtures x 5 model sizes (490 to 12,490 parameters) x 5 data sizes (500 to 8,000 jets)
            x 2 seeds = 150 fine-tuning runs of 8 epochs, after 20 pretrainings on 20,000 jets. The
            rates of the composition study, which has 2 epochs: where jets are few, those leave
            scratch under-trained, and most of what pretraining seems to be worth is that.
Command     jetscale run sweeps/quickstart.py      (or: python sweeps/quickstart.py)
Expect      At 500 jets both pretrained mixtures 0.09 below scratch, worth 1.4 times the data; from
            2,000 on no difference that is told from none, nor one between the two. How the best
            model grows with compute is not identified for any of them (analysis/quickstart.md).
"""

from pathlib import Path

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

RATES = Path(__file__).with_name("composition.recipe.json")


def study() -> Study:
    """The quickstart study."""
    return Study(
        name="quickstart",
        source=Simulated(train_jets=16_000, seed=1),
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="qcd", parts={"qcd": 1.0}),
            Mixture(name="qcd+bsm", parts={"qcd": 0.5, "res2p": 0.25, "res34p": 0.25}),
        ),
        ladder=tuple(
            ModelSize(width=width, layers=2, heads=heads)
            for width, heads in ((4, 1), (6, 1), (10, 1), (16, 2), (24, 3))
        ),
        data_sizes=(500, 1_000, 2_000, 4_000, 8_000),
        seeds=(1, 2),
        subsets=2,
        recipe=Recipe(
            data=Data(pretraining_jets=20_000, constituents=32),
            schedule=Schedule(epochs=8, pretraining_epochs=1, batch_exponent=0.5),
            optimiser=load_optimiser(RATES),
            evaluation=Evaluation(validation_jets=2_000, test_jets=10_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
