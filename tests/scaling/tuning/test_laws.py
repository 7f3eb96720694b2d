"""Rate laws against searches made from a known one: coverage, false alarms, refusals."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling.tuning import fit_rate_laws

SEARCHES = 200


def covered(laws, true_law):
    law = laws.separate["scratch"]
    return [
        e.low <= t <= e.high
        for e, t in zip((law.log_c, law.width, law.steps), true_law, strict=True)
    ]


@pytest.mark.integration
@pytest.mark.parametrize("scatter", [0.0, 0.15])
def test_intervals_hold_the_truth_in_95_of_100_searches(make_search, true_law, scatter):
    rng = np.random.default_rng(2)
    searches = (make_search(rng, scatter=scatter) for _ in range(SEARCHES))
    hits = np.mean([covered(fit_rate_laws(s), true_law) for s in searches], axis=0)
    assert ((hits >= 0.93) & (hits <= 0.98)).all(), hits


@pytest.mark.integration
def test_intervals_of_four_cells_are_not_too_narrow(make_search, true_law):
    rng = np.random.default_rng(2)
    few = {"arms": 1, "widths": (8, 32), "steps": (500, 2000)}
    searches = (make_search(rng, **few) for _ in range(SEARCHES))
    hits = np.mean([covered(fit_rate_laws(s), true_law) for s in searches], axis=0)
    assert (hits >= 0.93).all(), hits


def test_optima_that_disagree_widen_the_interval(make_search):
    wide = tuple(2.0 ** np.arange(-4, 5))
    exact, apart = (
        fit_rate_laws(make_search(np.random.default_rng(1), scatter=scatter, factors=wide))
        for scatter in (0.0, 0.3)
    )
    exact, apart = exact.laws["scratch"], apart.laws["scratch"]
    assert apart.width.high - apart.width.low > 3 * (exact.width.high - exact.width.low)
    assert apart.scatter == pytest.approx(0.3, rel=0.4)
    assert exact.scatter < 0.1


@pytest.mark.integration
def test_starts_of_one_law_are_told_apart_in_5_of_100_searches(make_search):
    rng = np.random.default_rng(5)
    both = {"starts": ("scratch", "pretrained")}
    laws = [fit_rate_laws(make_search(rng, **both)) for _ in range(SEARCHES)]
    apart = np.mean([not law.shared for law in laws])
    arms = np.mean([law.arms["scratch"].refused for law in laws])
    # binomial: 200 searches at 5% give 1.5% to 9% in 98 of 100
    assert 0.015 <= apart <= 0.09
    assert 0.015 <= arms <= 0.09


def test_starts_of_different_laws_keep_their_own(make_search):
    rng = np.random.default_rng(6)
    starts = ("scratch", "pretrained", "pretraining")
    laws = fit_rate_laws(make_search(rng, starts=starts, apart=-0.3))
    assert not laws.shared
    assert laws.test.refused
    assert str(laws.test).startswith("The starts scratch and pretrained do not share one law (F = ")
    first, second, third = (laws.laws[start].log_c.value for start in starts)
    assert (second - first, third - second) == pytest.approx((-0.3, -0.3), abs=0.1)
    assert laws.laws == laws.separate
    json.dumps(as_json(laws), allow_nan=False)


def test_a_shared_law_serves_both_starts_and_the_separate_ones_stay(make_search):
    rng = np.random.default_rng(7)
    laws = fit_rate_laws(make_search(rng, starts=("scratch", "pretrained", "pretraining")))
    assert laws.shared
    assert laws.laws["scratch"] is laws.laws["pretrained"]
    assert laws.laws["scratch"].start == "scratch+pretrained"
    assert laws.laws["scratch"].n_cells == 36
    assert laws.separate["scratch"].n_cells == 18
    assert laws.laws["pretraining"] is laws.separate["pretraining"]
    assert laws.rate("scratch", 24, 700) == laws.rate("pretrained", 24, 700)


def test_weighted_least_squares_and_f_test_match_textbook_formulas(make_search):
    laws = fit_rate_laws(make_search(np.random.default_rng(8), starts=("scratch", "pretrained")))

    def squares(optima):
        root = np.sqrt([o.curvature for o in optima])
        x = [(1, math.log(o.width / 16), math.log(o.steps / 1000)) for o in optima]
        y = np.array([o.log_rate for o in optima])
        found, rest, *_ = np.linalg.lstsq(root[:, None] * np.array(x), root * y, rcond=None)
        return found, rest[0]

    parts = {s: [o for o in laws.optima if o.start == s] for s in ("scratch", "pretrained")}
    found, rest = squares(parts["scratch"])
    law = laws.separate["scratch"]
    assert (law.log_c.value, law.width.value, law.steps.value) == pytest.approx(tuple(found))
    _, pooled = squares(laws.optima)
    apart = rest + squares(parts["pretrained"])[1]
    assert laws.test.freedom == (3, 30)
    assert laws.test.statistic == pytest.approx((pooled - apart) / 3 / (apart / 30))


def test_an_arm_with_a_law_of_its_own_is_noticed(make_search):
    search = make_search(np.random.default_rng(9), arms=3)
    search.loc[search["mixture"] == "arm2", "rate"] *= 1.5
    test = fit_rate_laws(search).arms["scratch"]
    assert test.refused
    one = fit_rate_laws(make_search(np.random.default_rng(9), arms=1)).arms["scratch"]
    assert str(one) == (
        "Whether the arms of scratch share one law was not tested: there is one alone."
    )
    few = {"arms": 2, "widths": (8, 32), "steps": (1000,)}
    two = fit_rate_laws(make_search(np.random.default_rng(9), **few)).arms["scratch"]
    assert two.freedom == (1, 1), "two cells an arm allow a test of log c alone"


def test_constant_steps_leave_their_exponent_as_given(make_search):
    search = make_search(np.random.default_rng(3), steps=(500,))
    law = fit_rate_laws(search, fixed={"steps": -0.25}).laws["scratch"]
    assert law.fixed == ("steps",)
    assert (law.steps.value, law.steps.identified) == (-0.25, False)
    assert law.width.identified
    assert law.log_c.value == pytest.approx(math.log(1e-2), abs=0.1)
    flat = fit_rate_laws(search).laws["scratch"]
    assert flat.steps.value == 0
    assert flat.rate(16, 500) == pytest.approx(law.rate(16, 500))
    one = make_search(np.random.default_rng(3), steps=(500,), widths=(8,))
    assert fit_rate_laws(one).laws["scratch"].width.value == -0.75


def test_the_rate_with_its_interval(make_search):
    laws = fit_rate_laws(make_search(np.random.default_rng(4)))
    law = laws.law("scratch")
    here, far = law.estimate(16, 1000), law.estimate(512, 1e6)
    assert here.value == pytest.approx(laws.rate("scratch", 16, 1000))
    assert (math.log(here.low), math.log(here.high)) == pytest.approx(
        (law.log_c.low, law.log_c.high)
    )
    assert far.high / far.low > here.high / here.low, "an extrapolation is less certain"
    with pytest.raises(FitError, match="unknown start 'pretrained'"):
        laws.rate("pretrained", 16, 1000)


def test_too_few_cells_are_refused_in_one_sentence(make_search):
    rng = np.random.default_rng(1)
    search = make_search(rng, arms=1, widths=(8, 16), steps=(300, 1000))
    apart = (search["width"] == 8) == (search["steps"] == 300)
    with pytest.raises(FitError, match="scratch: 2 cells of 2 with an optimum, the law has 3 para"):
        fit_rate_laws(search[apart])
    together = make_search(rng, arms=2, widths=(8, 16, 32), steps=(300, 600, 1200))
    diagonal = together["width"] / 8 == together["steps"] / 300
    with pytest.raises(FitError, match="width and steps vary together"):
        fit_rate_laws(together[diagonal])
    lost = search.assign(loss=np.nan)
    with pytest.raises(FitError, match=r"0 cells of 4 with an optimum.* needs 3"):
        fit_rate_laws(lost)
    with pytest.raises(FitError, match="unknown exponent 'widht'; did you mean 'width'"):
        fit_rate_laws(search, fixed={"widht": 1.0})


def test_as_many_cells_as_parameters_have_no_interval(make_search):
    search = make_search(np.random.default_rng(1), arms=1, widths=(8, 16), steps=(1000,))
    law = fit_rate_laws(search).laws["scratch"]
    assert (law.freedom, law.width.low, law.width.high) == (0, -math.inf, math.inf)
    assert not law.width.identified
    assert law.estimate(16, 1000).high == math.inf


@pytest.mark.long
@settings(max_examples=10)
@given(seed=st.integers(0, 100), unit=st.floats(0.01, 100), factor=st.floats(0.001, 1000))
def test_order_and_unit_of_loss_do_not_matter_and_a_factor_on_rates_shifts_c(
    make_search, seed, unit, factor
):
    search = make_search(np.random.default_rng(seed), arms=1)
    one = fit_rate_laws(search).laws["scratch"]
    assert fit_rate_laws(search.sample(frac=1, random_state=seed)).laws["scratch"] == one
    scaled = search.assign(loss=search["loss"] * unit, rate=search["rate"] * factor)
    two = fit_rate_laws(scaled).laws["scratch"]
    for axis in ("width", "steps"):
        ours, theirs = getattr(one, axis), getattr(two, axis)
        assert theirs.value == pytest.approx(ours.value, abs=1e-6)
        assert theirs.high == pytest.approx(ours.high, abs=1e-6)
    assert two.log_c.value - one.log_c.value == pytest.approx(math.log(factor), abs=1e-6)
    assert two.log_c.high - one.log_c.high == pytest.approx(math.log(factor), abs=1e-6)
