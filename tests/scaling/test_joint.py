"""The test of equal exponents: nested fits, its size under the null and its power."""

import numpy as np
import pytest

from jetscale.scaling.fit import point_fit
from jetscale.scaling.joint import _Pair, _starts, equal_exponents
from jetscale.scaling.profile import Centred
from jetscale.scaling.table import validate


def sides(frame):
    runs = validate(frame)
    return [part for _, part in runs.groupby("mixture", sort=False)]


def as_pair(frame, delta=0.025):
    logs = Centred.of(*(frame[name].to_numpy() for name in ("params", "examples", "loss")))
    first = (frame["mixture"] == "a").to_numpy()
    return _Pair(logs, (first, ~first), delta)


def starts(pair):
    return _starts(pair, np.ones((1, len(pair.logs.x))))


def test_shared_fit_recovers_shared_exponents(grid, truth):
    other = np.array([1.5, 300.0, 4000.0, 0.35, 0.37])
    pair = as_pair(grid({"a": truth, "b": other}, noise=0.0), delta=1e-3)
    ends = pair.fit_shared(starts(pair)[0], pair.logs.z[None])
    assert ends.q[0, 6:] == pytest.approx([0.35, 0.37], rel=1e-3)
    assert ends.q[0, [0, 3]] * np.exp(pair.logs.z0) == pytest.approx([1.8, 1.5], rel=1e-3)
    assert ends.objective[0] < 1e-9


def test_separate_fits_are_the_fits_of_each_mixture(grid, truth):
    frame = grid({"a": truth, "b": truth})
    pair = as_pair(frame)
    together = pair.fit_separate(starts(pair)[1], pair.logs.z[None])[0]
    alone = 0.0
    for name in "ab":
        part = frame[frame["mixture"] == name]
        logs = Centred.of(*(part[column].to_numpy() for column in ("params", "examples", "loss")))
        alone += point_fit(logs, 0.025).objective.min()
    assert together == pytest.approx(alone, rel=1e-7)


def test_sharing_never_fits_better(grid, truth):
    for random in range(5):
        pair = as_pair(grid({"a": truth, "b": truth}, random=random))
        shared, own = starts(pair)
        z = pair.logs.z[None]
        assert pair.fit_shared(shared, z).objective >= pair.fit_separate(own, z) * (1 - 1e-9)


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
