"""Quickstart: what is pretraining worth, up to how many jets, and how large a model for a budget?

Question    What is pretraining on QCD jets, or on QCD and BSM resonance jets, worth to a classifier
            of the ten JetClass classes, and from how many downstream jets on does it stop?
Grid        3 mixtures x 6 model sizes (490 to 33,610 parameters) x 4 data sizes (500 to 32,000
            jets) x 2 seeds = 144 fine-tuning runs, after 24 pretrainings on 20,000 jets. Cells of
            the composition study, at its recipe and rates; its jets are more.
Command     jetscale run sweeps/quickstart.py      (or: python sweeps/quickstart.py)
Expect      qcd+bsm below scratch in every pair at 500 jets, worth 2.4 to 3.6 times the data, and no
            difference at 32,000. How the best model grows with compute is not identified after
            pretraining; no grid of ten minutes identifies it (analysis/quickstart.md).
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
        source=Simulated(train_jets=32_000, seed=1),
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="qcd", parts={"qcd": 1.0}),
            Mixture(name="qcd+bsm", parts={"qcd": 0.5, "res2p": 0.25, "res34p": 0.25}),
        ),
        ladder=tuple(
            ModelSize(width=width, layers=2, heads=heads)
            for width, heads in ((4, 1), (6, 1), (10, 1), (16, 2), (24, 3), (40, 5))
        ),
        data_sizes=(500, 2_000, 8_000, 32_000),
        seeds=(1, 2),
        subsets=2,
        recipe=Recipe(
            data=Data(pretraining_jets=20_000, constituents=32),
            schedule=Schedule(epochs=2, pretraining_epochs=1, batch_exponent=0.5),
            optimiser=load_optimiser(RATES),
            evaluation=Evaluation(validation_jets=2_000, test_jets=10_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
