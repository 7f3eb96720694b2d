"""A study as version 0.1 wrote it."""

from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study


def study() -> Study:
    """Ten runs, a few seconds of training."""
    return Study(
        name="tiny",
        source=Simulated(train_jets=100),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(20, 40),
        seeds=(1, 2),
        controls=Controls(pretraining_jets=50, validation_jets=10, test_jets=10, constituents=16),
    )
