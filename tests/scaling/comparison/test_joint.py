"""The test of equal exponents: nested fits, its size under the null and its power."""

import numpy as np
import pytest

from jetscale.scaling.comparison.joint import Pair, equal_exponents
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.logs import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.fit import point_fit
from jetscale.scaling.table import validate

HUBER = Objective("huber", 0.025)


def sides(frame):
    runs = validate(frame)
    return [part for _, part in runs.groupby("mixture", sort=False)]


def as_pair(frame, shared=("alpha", "beta")):
    return Pair(Centred.from_runs(frame), (frame["mixture"] == "b").to_numpy(), shared)


def fit_null(pair, objective=HUBER):
    return pair.null.fit(np.ones((1, len(pair.null.runs.x))), objective)


def test_shared_fit_recovers_shared_exponents(grid, truth):
    other = np.array([1.5, 300.0, 4000.0, 0.35, 0.37])
    pair = as_pair(grid({"a": truth, "b": other}, noise=0.0))
    ends = fit_null(pair, Objective("huber", 1e-3))
    assert pair.null.theta(ends.q, 0)[0] == pytest.approx(truth, rel=1e-2)
    assert pair.null.theta(ends.q, 1)[0] == pytest.approx(other, rel=1e-2)
    assert ends.objective[0] < 1e-9


def test_separate_fits_are_the_fits_of_each_mixture(grid, truth):
    frame = grid({"a": truth, "b": truth})
    pair = as_pair(frame)
    together = pair.separate(HUBER, pair.null.runs.z[None])[0]
    alone = 0.0
    for name in "ab":
        part = Centred.from_runs(frame[frame["mixture"] == name])
        alone += point_fit(Family(CHINCHILLA, part), HUBER).objective.min()
    assert together == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("shared", [("alpha", "beta"), ("beta",), ("E",), CHINCHILLA.parameters])
def test_sharing_never_fits_better(grid, truth, shared):
    for random in range(3):
        pair = as_pair(grid({"a": truth, "b": truth}, random=random), shared)
        z = pair.null.runs.z[None]
        ends = fit_null(pair)
        assert ends.objective >= pair.separate(HUBER, z) * (1 - 1e-6)
        assert ends.objective >= pair.unshared(HUBER, z, ends.q) * (1 - 1e-6)


def test_a_shared_floor_is_told_from_different_ones(grid, truth):
    other = np.array([1.4, 480.0, 2100.0, 0.35, 0.37])
    frame = grid({"a": truth, "b": other})
    assert equal_exponents(*sides(frame), 0.025, 60, 0, ("E",)).p_value < 0.05
    assert equal_exponents(*sides(frame), 0.025, 60, 0, ("beta",)).p_value > 0.05


def test_power(grid, truth):
    other = np.array([1.8, 480.0, 9000.0, 0.35, 0.47])
    result = equal_exponents(*sides(grid({"a": truth, "b": other})), 0.025, 99, 0)
    assert result.p_value == pytest.approx(0.01)
    assert result.statistic > 0


def test_exact_data_give_no_evidence(grid, truth):
    result = equal_exponents(*sides(grid({"a": truth, "b": truth}, noise=0.0)), 1e-3, 50, 0)
    assert result.p_value > 0.05


@pytest.mark.integration
def test_size_under_the_null(grid, truth):
    """5% of the null tables rejected at 5%: 120 tables leave a standard error of 2%."""
    other = np.array([1.7, 300.0, 4000.0, 0.35, 0.37])
    axes = {"params": np.geomspace(1e7, 3e9, 5), "examples": np.geomspace(1e8, 1e11, 4)}
    p = np.array(
        [
            equal_exponents(
                *sides(grid({"a": truth, "b": other}, random=random, **axes)), 0.025, 99, random
            ).p_value
            for random in range(120)
        ]
    )
    assert (p <= 0.05).mean() <= 0.12
    assert 0.3 < p.mean() < 0.7
