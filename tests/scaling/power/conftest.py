"""Planned grids."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from jetscale.scaling.power.grid import Grid, make_grid
from jetscale.scaling.power.truth import Truth, generic


def full(sizes=6, data=6, seeds=3, mixtures=("a", "b"), **columns) -> Grid:
    """A full grid over 2.5 decades of model and data size."""
    axes = np.geomspace(1e4, 3e6, sizes), np.geomspace(1e4, 3e6, data)
    n, d = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    return make_grid(n, d, seeds, mixtures=mixtures, **columns)


@pytest.fixture(scope="module", autouse=True)
def few_replicates() -> Iterator[None]:
    """Short bootstraps and few studies: what is tested does not depend on them."""
    answer = sys.modules["jetscale.scaling.power.answer"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer, "_REPLICATES", 60)
        patch.setattr(answer, "_LEAST", 4)
        yield


@pytest.fixture(scope="session")
def plan():
    """A function that makes full grids."""
    return full


@pytest.fixture(scope="session")
def small() -> Grid:
    """4 x 4 cells with 2 seeds, two mixtures."""
    return full(4, 4, 2)


@pytest.fixture(scope="session")
def truth(small) -> Truth:
    """The generic law with 1% noise and half as much misfit."""
    return Truth(generic(small), 0.01, 0.005)
