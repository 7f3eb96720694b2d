"""A rebuilt batch is the fit it came from."""

import numpy as np
import pytest

from jetscale.scaling import fit
from jetscale.scaling.diagnostics.batch import batches

pytestmark = pytest.mark.slow

OTHER = np.array([1.5, 300.0, 4000.0, 0.3, 0.4])


@pytest.fixture(scope="module")
def two(grid, truth):
    return grid({"a": truth, "b": OTHER})


def test_every_mixture_alone_has_the_optimum_of_the_fit(two):
    fits = fit(two, replicates=50)
    found = batches(fits)
    assert [batch.names for batch in found] == [("a",), ("b",)]
    for batch in found:
        fitted = fits.mixtures[batch.names[0]]
        assert batch.family.theta(batch.q, 0)[0] == pytest.approx(fitted.theta)
        assert batch.value == pytest.approx(fitted.objective_value)
        assert batch.freedom == fitted.n_cells - 5
        assert np.abs(np.expm1(batch.residuals())).max() == pytest.approx(fitted.worst_residual)


def test_shared_parameters_make_one_batch(two):
    fits = fit(two, replicates=50, shared=("beta",))
    (batch,) = batches(fits)
    assert batch.names == ("a", "b")
    for group, name in enumerate(batch.names):
        assert batch.family.theta(batch.q, group)[0] == pytest.approx(fits.mixtures[name].theta)
    assert batch.freedom == 2 * 48 - 9


def test_cells_of_different_mixtures_are_different(two):
    (batch,) = batches(fit(two, replicates=50, shared=("beta",)))
    assert len(np.unique(batch.cells)) == 2 * 48
    assert (np.bincount(batch.cells) == 2).all()
    pairs = batch.runs.groupby(batch.cells)[["mixture", "params", "examples"]].nunique()
    assert (pairs == 1).all(axis=None)
