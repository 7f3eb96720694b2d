"""Quickstart: three pretraining mixtures on simulated jets, a quarter of an hour on two busy cores.

Question    Does pretraining on QCD jets, or on QCD and BSM resonance jets, change how the loss on
            the ten JetClass classes falls with model size and data?
Grid        3 mixtures x 4 model sizes (a factor of 23 in parameters) x 5 data sizes (a factor of
            16) x 2 seeds = 120 fine-tuning runs, after 16 pretrainings.
Command     jetscale run sweeps/quickstart.py      (or: python sweeps/quickstart.py)
Expect      qcd+bsm and qcd below scratch at 500 jets in every pair, at 1,000 in nearly every, and
            no difference from 2,000 on. The exponents of the frontier are not identified at this
            scale, and the output says so.

Learning rates follow the laws of quickstart.recipe.json, which `jetscale tune` found by the same
search for all three mixtures (analysis/tuning.md).
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


def study() -> Study:
    """The quickstart study."""
    return Study(
        name="quickstart",
        source=Simulated(train_jets=10_000, seed=1),
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="qcd", parts={"qcd": 1.0}),
            Mixture(name="qcd+bsm", parts={"qcd": 0.5, "res2p": 0.25, "res34p": 0.25}),
        ),
        ladder=(
            ModelSize(width=8, layers=1, heads=1),
            ModelSize(width=16, layers=1, heads=2),
            ModelSize(width=24, layers=2, heads=3),
            ModelSize(width=32, layers=2, heads=4),
        ),
        data_sizes=(500, 1000, 2000, 4000, 8000),
        seeds=(1, 2),
        subsets=2,
        recipe=Recipe(
            data=Data(pretraining_jets=12_000, constituents=32),
            schedule=Schedule(epochs=4),
            optimiser=load_optimiser(__file__),
            evaluation=Evaluation(validation_jets=2_000, test_jets=4_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
