"""Profiles against scipy's own minimisation with the exponent held, and their intervals."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import least_squares

from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.diagnostics.batch import batches
from jetscale.scaling.diagnostics.likelihood import likelihoods, unit
from jetscale.scaling.engine import laws

pytestmark = pytest.mark.slow

SLOW = partial(pytest.param, marks=pytest.mark.integration)


def batch_of(frame, **options):
    return batches(fit(frame, replicates=50, **options))[0]


def profiles(batch, name):
    return likelihoods(batch)[name][0]


def squares(frame, held):
    """Lowest sum of squared log residuals with some of (alpha, beta) held, by scipy."""

    def residuals(q):
        theta = [np.exp(q[0]), np.exp(q[1]), np.exp(q[2]), *held.values()]
        if "alpha" not in held:
            theta = [*theta[:3], q[3], held["beta"]]
        elif "beta" not in held:
            theta = [*theta[:3], held["alpha"], q[3]]
        law = laws.loss(np.array(theta), frame["params"], frame["examples"])
        return np.log(law / frame["loss"])

    alpha, beta = held.get("alpha", 0.35), held.get("beta", 0.37)
    start = [np.log(1.8), alpha * np.log(4.8e7), beta * np.log(1e9), 0.36][: 5 - len(held)]
    found = least_squares(residuals, start, method="lm", xtol=1e-14, ftol=1e-14, max_nfev=5000)
    return 2 * found.cost


@pytest.fixture(scope="module")
def single(grid, truth):
    return grid({"m": truth}, seeds=1)


@pytest.fixture(scope="module")
def batch(single):
    return batch_of(single, objective="squares")


def test_runs_that_lie_on_a_law_have_profiles_too():
    rows = [
        ("a", n, d, seed, (0.5 + 5 * n**-0.4 + 9 * d**-0.4) * (1 + 0.01 * seed))
        for n in (1e3, 1e4, 1e5)
        for d in (1e3, 1e4, 1e5)
        for seed in (0, 1)
    ]
    frame = pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "loss"])
    for found in profiles(batch_of(frame), "a").values():
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_increase_against_scipy(single, batch, name):
    profile = profiles(batch, "m")[name]
    lowest = 2 * batch.value
    for i in (3, 15, 30):
        value = squares(single, {name: profile.values[i]})
        classical = (value / lowest - 1) * (48 - 5)
        assert profile.increase[i] == pytest.approx(classical, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_interval_ends_where_the_f_quantile_is_reached(single, batch, name):
    profile = profiles(batch, "m")[name]
    assert profile.threshold == pytest.approx(stats.f.ppf(0.95, 1, 43))
    assert profile.low < profile.value < profile.high
    assert not profile.open_low
    assert not profile.open_high
    assert min(profile.increase) == pytest.approx(0, abs=1e-6)
    for end in (profile.low, profile.high):
        rise = (squares(single, {name: end}) / (2 * batch.value) - 1) * 43
        assert rise == pytest.approx(profile.threshold, rel=0.02)
    assert profile.increase[0] > profile.threshold
    assert profile.increase[-1] > profile.threshold


def test_map_holds_both_exponents(single, batch):
    found, surface = likelihoods(batch)["m"]
    rise = np.array(surface.increase)
    assert rise.shape == (len(surface.alpha), len(surface.beta))
    for i, j in ((2, 3), (10, 10), (15, 6)):
        value = squares(single, {"alpha": surface.alpha[i], "beta": surface.beta[j]})
        assert rise[i, j] == pytest.approx((value / (2 * batch.value) - 1) * 43, rel=1e-4)
    assert surface.levels[1] == pytest.approx(2 * stats.f.ppf(0.95, 2, 43))
    lowest = np.interp(surface.alpha, found["alpha"].values, found["alpha"].increase)
    assert (rise.min(axis=1) > lowest - 0.2).all(), "a map lies above its profile"
    json.dumps(as_json(surface), allow_nan=False)


@pytest.mark.long
def test_unit_is_the_classical_variance_and_counts_clusters(grid, truth, batch):
    assert unit(batch) == pytest.approx(2 * batch.value / 43)
    twice = grid({"m": truth}, seeds=1)
    copies = twice.assign(seed=1)
    both = batch_of(pd.concat([twice, copies], ignore_index=True), objective="squares")
    assert unit(both) == pytest.approx(2 * unit(batch)), "copies of runs are no further evidence"
    single_ends, both_ends = (profiles(b, "m")["alpha"] for b in (batch, both))
    assert both_ends.low == pytest.approx(single_ends.low, rel=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("objective", ["huber", "absolute"])
def test_other_objectives_agree_roughly_with_squares(single, batch, objective):
    reference = profiles(batch, "m")["alpha"]
    other = profiles(batch_of(single, objective=objective, delta=0.01), "m")["alpha"]
    assert other.low < 0.35 < other.high
    assert other.high - other.low == pytest.approx(reference.high - reference.low, rel=0.5)


@pytest.mark.long
def test_open_ends_are_said(grid):
    # data hardly matter: any steep or flat beta does
    theta = np.array([1.8, 480.0, 5.0, 0.35, 0.37])
    found = profiles(batch_of(grid({"m": theta}, noise=0.02)), "m")
    assert found["beta"].open_high
    assert found["beta"].high == 2.0
    assert not found["alpha"].open_high
    json.dumps(as_json(found["beta"]), allow_nan=False)


@pytest.mark.long
@pytest.mark.parametrize("shared", [("beta",), SLOW(("E",)), ("E", "A", "B", "alpha", "beta")])
def test_a_joint_profile_rises_from_the_joint_optimum(grid, truth, shared):
    other = np.array([1.8, 300.0, *truth[2:]])
    frame = grid({"a": truth, "b": truth if len(shared) > 2 else other})
    joint = batch_of(frame, shared=shared)
    alone = batch_of(frame[frame["mixture"] == "a"])
    found, own = profiles(joint, "a")["beta"], profiles(alone, "a")["beta"]
    assert (profiles(joint, "b")["beta"] == found) == ("beta" in shared)
    assert min(found.increase) == pytest.approx(0, abs=1e-5)
    assert found.low < 0.37 < found.high
    assert found.high - found.low < 1.05 * (own.high - own.low), "sharing does not cost precision"
    middle = int(np.argmin(found.increase))
    assert (np.diff(found.increase[: middle + 1]) < 1e-9).all()
    assert (np.diff(found.increase[middle:]) > -1e-9).all()


@pytest.mark.long
def test_exact_data_have_a_narrow_profile(grid, truth):
    found = profiles(batch_of(grid({"m": truth}, noise=0.0)), "m")["alpha"]
    assert found.low <= 0.35 + 1e-6
    assert found.high >= 0.35 - 1e-6
    assert found.high - found.low < 0.02


@pytest.mark.long
@pytest.mark.parametrize("deviation", [0.0, 0.01])
def test_intervals_cover_the_truth(grid, truth, deviation):
    sizes = {"params": np.geomspace(1e7, 3e9, 6), "examples": np.geomspace(1e8, 1e11, 6)}
    hits = np.zeros(2)
    for seed in range(40):
        frame = grid({"m": truth}, **sizes, random=seed)
        rng = np.random.default_rng(1000 + seed)
        shift = np.repeat(rng.normal(size=36), 2) * deviation
        frame["loss"] *= np.exp(shift)
        found = profiles(batch_of(frame, objective="squares"), "m")
        ends = [(found[name].low, found[name].high) for name in ("alpha", "beta")]
        hits += [low <= true <= high for (low, high), true in zip(ends, truth[3:], strict=True)]
    assert (hits / 40 > 0.84).all(), hits
