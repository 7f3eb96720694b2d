"""The detectable shift: its first estimate, the search, and the verdicts it rests on."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jetscale.scaling.comparison.claims import Verdict
from jetscale.scaling.comparison.compare import compare
from jetscale.scaling.fit import fit
from jetscale.scaling.power import detect as room
from jetscale.scaling.power.detect import Setting, Trial, pairs_of_equals, try_shift, with_shift
from jetscale.scaling.power.simulate import Share, simulate_runs
from jetscale.scaling.power.truth import Truth, generic, shifted

QUIET = Setting(studies=4, replicates=60, seed=3, tick=lambda what: None)


@pytest.fixture(scope="module")
def sharp(small):
    """A law that 16 cells determine well."""
    return Truth(generic(small), 0.006, 0.003)


@pytest.fixture(scope="module")
def equals(small, sharp):
    return pairs_of_equals(small, sharp, QUIET)


@pytest.fixture(scope="module")
def apart(small, sharp, equals):
    return with_shift(small, sharp, equals, -0.12, QUIET)


@pytest.mark.long
def test_shifted_studies_are_those_of_a_fit_to_both_mixtures(small, sharp, apart):
    other = shifted(sharp, small.cost, -0.12, small.middle)
    for number, found in enumerate(apart[:2]):
        tables = [
            simulate_runs(small, sharp, "a", (3, number, 0)),
            simulate_runs(small, other, "b", (3, number, 1)),
        ]
        direct = fit(pd.concat(tables, ignore_index=True), replicates=60, seed=number)
        assert found.delta == pytest.approx(direct.delta, rel=1e-9)
        for name in "ab":
            mine, real = found.mixtures[name], direct.mixtures[name]
            assert mine.theta == pytest.approx(real.theta, rel=1e-6)
            assert mine.frontier["params_exponent"].low == pytest.approx(
                real.frontier["params_exponent"].low, abs=1e-6
            )
        pd.testing.assert_frame_equal(found.runs, direct.runs, check_exact=False)


@pytest.mark.long
def test_a_claim_is_the_verdict_of_compare(small, sharp, equals, apart):
    said = []
    for study in (*equals[:1], *apart):
        pair = compare(study).pairs[0]
        delta = pair.delta_params_exponent
        outcome = (
            pair.verdict.claims_shift,
            not delta.low <= 0 <= delta.high,
            pair.p_value < 0.05,
            not delta.identified,
        )
        alone = try_shift(small, sharp, [study], 0.0, QUIET)
        shares = (alone.claimed, alone.interval, alone.test, alone.not_identified)
        assert tuple(bool(share.hits) for share in shares) == outcome
        said.append(outcome[0])
    assert any(said)
    assert not all(said)


@pytest.mark.slow
def test_more_pairs_make_claims_rarer(plan, sharp, apart):
    two = try_shift(plan(4, 4, 2), sharp, apart, 0.0, QUIET)
    many = try_shift(plan(4, 4, 2, mixtures="abcdef"), sharp, apart, 0.0, QUIET)
    assert many.test.hits < two.test.hits
    assert many.claimed.hits < two.claimed.hits
    assert many.interval.hits == two.interval.hits


def test_the_estimate_by_the_test_has_the_power_it_says(small, sharp):
    covariance = np.array([[0.02, -0.004], [-0.004, 0.01]])
    shift = room._by_test(small, sharp, covariance)
    moved = shifted(sharp, small.cost, shift / 1e3, small.middle)  # small: linear
    direction = (moved.theta - sharp.theta)[3:] * 1e3
    drawn = np.random.default_rng(0).multivariate_normal(direction, covariance, 20_000)
    squares = np.einsum("ri,ij,rj->r", drawn, np.linalg.inv(covariance), drawn)
    assert (squares > stats.chi2.ppf(0.95, 2)).mean() == pytest.approx(0.8, abs=0.01)


def pretend(monkeypatch, power, unknown=lambda size: 0.0, of=100):
    """Trials whose power is a function of the size of the shift."""

    def attempt(grid, truth, equals, shift, setting):
        shares = [Share(hits=round(of * f(abs(shift))), of=of) for f in (power, unknown)]
        return Trial(
            shift=shift,
            claimed=shares[0],
            interval=shares[0],
            test=shares[0],
            not_identified=shares[1],
        )

    monkeypatch.setattr(room, "try_shift", attempt)


def test_the_search_ends_near_80_percent(monkeypatch, small, truth):
    pretend(monkeypatch, lambda size: stats.norm.cdf(size / 0.05 - 1.96))
    for start in (0.05, 0.14, 0.24):
        tried = room._search(small, truth, [], QUIET, start, 3)
        assert tried[-1].claimed.share == pytest.approx(0.8, abs=0.1)
        assert tried[-1].shift == pytest.approx(-0.14, abs=0.02)


@pytest.mark.parametrize("size", [0.5, 0.7, 1.4])
@pytest.mark.parametrize("mixtures", ["ab", "abcd"])
def test_the_second_shift_is_exact_for_normal_estimates(monkeypatch, plan, truth, size, mixtures):
    needed = stats.norm.ppf(1 - 0.025 / math.comb(len(mixtures), 2))
    right = needed + stats.norm.ppf(0.8)  # shift in standard errors that has 80% power
    scale = 0.12 / right
    pretend(monkeypatch, lambda shift: stats.norm.cdf(shift / scale - needed), of=10_000)
    grid = plan(4, 4, 2, mixtures=mixtures)
    tried = room._search(grid, truth, [], QUIET, size * 0.12, 2)
    assert tried[-1].shift == pytest.approx(-0.12, rel=0.02)


def test_larger_shifts_are_tried_within_bounds_alone(monkeypatch, small, truth):
    pretend(monkeypatch, lambda size: 0.02)
    tried = [trial.shift for trial in room._search(small, truth, [], QUIET, 0.1, 3)]
    assert len(tried) == 3
    assert tried[0] > tried[1] > tried[2] > -0.5
    assert len(room._search(small, truth, [], QUIET, 0.1, 1)) == 1


def test_where_the_shift_costs_identification_smaller_ones_are_tried(monkeypatch, small, truth):
    pretend(monkeypatch, lambda size: 0.1, lambda size: 0.5)
    tried = [trial.shift for trial in room._search(small, truth, [], QUIET, 0.2, 3)]
    assert tried == pytest.approx([-0.2, -0.12, -0.072])


@pytest.mark.long
def test_one_shift_is_tried_where_nothing_is_identified(monkeypatch, plan):
    grid = plan(4, 4, 1)
    pretend(monkeypatch, lambda size: 0.0, lambda size: float(size == 0))
    found, fits = room.detect(grid, Truth(generic(grid), 0.2, 0.0), QUIET)
    assert found.trials[0].not_identified.share == 1
    assert len(found.trials) == 2
    assert found.detectable is None
    assert len(fits) == 8


@pytest.mark.parametrize(("power", "detected"), [(0.95, True), (0.8, True), (0.3, False)])
def test_the_power_for_one_shift(monkeypatch, small, sharp, power, detected):
    pretend(monkeypatch, lambda size: power)
    monkeypatch.setattr(room, "pairs_of_equals", lambda *rest: [])
    found, _ = room.detect(small, sharp, QUIET, shift=0.2)
    assert [trial.shift for trial in found.trials] == [0.0, 0.2]
    assert found.detectable == (0.2 if detected else None)
    assert found.first_estimate == pytest.approx(2.8016 * found.spread, rel=1e-3)


def test_quick_fits_all_at_a_bound_leave_the_start_open(small, sharp):
    assert room._by_test(small, sharp, np.zeros((2, 2))) == math.inf


@pytest.mark.long
def test_trunks_make_the_test_one_of_model_sizes(plan, sharp):
    grid = plan(4, 4, 2, pretraining_flops=1.0)
    studies = pairs_of_equals(grid, Truth(generic(grid), 0.006, 0.003), QUIET)
    pair = compare(studies[0]).pairs[0]
    alone = try_shift(grid, sharp, studies[:1], 0.0, QUIET)
    assert studies[0].mixtures["a"].uncertainty == "trunks"
    assert alone.test.hits == (pair.p_value < 0.05)
    assert alone.claimed.hits == pair.verdict.claims_shift


def test_the_direction_with_room_is_taken(monkeypatch, plan):
    pretend(monkeypatch, lambda size: 0.8)
    grid = plan(4, 4, 2)
    theta = np.array([0.5, 20.0, 20.0, 0.7, 0.2])  # a = 0.22, most examples already
    for law, sign in ((theta, 1), (generic(grid), -1)):
        (trial,) = room._search(grid, Truth(law, 0.01, 0.0), [], QUIET, 10.0, 1)
        assert math.copysign(1, trial.shift) == sign, "half the room, in the direction that has it"
        assert 0.2 < abs(trial.shift) < 0.4


@pytest.mark.long
def test_the_detectable_shift_against_brute_force(small, sharp):
    """Independent studies, fitted and compared as a user would, at the shift that was found."""
    setting = Setting(studies=40, replicates=100, seed=1, tick=lambda what: None)
    found, fits = room.detect(small, sharp, setting)
    assert len(fits) == 80
    assert found.detectable is not None
    truths = {"a": sharp, "b": shifted(sharp, small.cost, found.detectable, small.middle)}
    assert truths["b"].exponent(small.cost) == pytest.approx(0.5 + found.detectable)
    claims = 0
    for number in range(60):
        tables = [simulate_runs(small, t, n, (99, number, ord(n))) for n, t in truths.items()]
        fits_of_both = fit(pd.concat(tables), replicates=100, seed=number)
        claims += compare(fits_of_both).pairs[0].verdict is Verdict.MORE_DATA
    assert claims / 60 == pytest.approx(0.8, abs=3 * math.hypot(0.052, 1.5 * 0.065))
    assert found.trials[0].claimed.share <= 0.15
    assert abs(found.detectable) > found.first_estimate * 0.7
