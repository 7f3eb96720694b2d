"""A study of two sizes and two orders, whose costs are easy to count by hand."""

import pytest

from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study


@pytest.fixture(scope="session")
def study():
    return Study(
        name="tiny",
        source=Simulated(train_jets=100),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        ladder=(ModelSize(width=8, layers=1, heads=1), ModelSize(width=16, layers=2, heads=2)),
        data_sizes=(40, 20),
        seeds=(1, 2),
        subsets=2,
        recipe=Controls(pretraining_jets=50, validation_jets=10, test_jets=10),
    )
