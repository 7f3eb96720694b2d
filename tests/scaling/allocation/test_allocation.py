"""What an allocation says beyond the optimum: bands, smaller models, routes, floors, measured."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import LAWS, allocate, fit, money_budget
from jetscale.scaling.allocation.measured import MeasuredCell
from jetscale.scaling.allocation.sentence import sentence
from jetscale.scaling.allocation.values import ByMixture, Choice
from jetscale.scaling.engine import laws

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fits(grid, truth):
    return fit(grid({"a": truth, "b": truth * np.array([0.9, 1, 1, 1, 1])}), replicates=100)


def test_the_band_holds_the_sizes_within_one_percent(fits):
    one = allocate(fits, 1e20, mixture="a").mixtures["a"]
    theta = fits["a"].theta
    for params, examples in zip(one.band.params, one.band.examples, strict=True):
        assert 6 * params * examples == pytest.approx(1e20)
        assert float(laws.loss(theta, params, examples)) == pytest.approx(
            1.01 * one.loss.value, rel=1e-3
        )
    assert one.band.params[0] < one.params.value < one.band.params[1]


def test_smaller_models_get_more_data_and_cost_loss(fits):
    one = allocate(fits, 1e20, mixture="a").mixtures["a"]
    for found, share in zip(one.smaller, (1 / 3, 1 / 10), strict=True):
        n, d = one.params.value * share, one.examples.value / share
        assert (found.params, found.examples) == pytest.approx((n, d))
        expected = float(fits["a"].losses(n, d)[0])
        assert found.loss == pytest.approx(expected)
        assert found.rise.value == pytest.approx(expected / one.loss.value - 1)
        assert 0 < found.rise.low < found.rise.value < found.rise.high


@pytest.mark.long
def test_the_end_of_a_ladder_is_said(fits):
    free = allocate(fits, 1e20, mixture="a").mixtures["a"].params.value
    for sizes, words in (
        ([free / 100, free / 10], "the largest size of the ladder; a larger one, x10"),
        ([free * 10, free * 100], "the smallest size of the ladder; a smaller one, x0.1"),
        ([free / 10, free, free * 10], ""),
    ):
        found = allocate(fits, 1e20, mixture="a", ladder=sizes)
        assert found.mixtures["a"].ladder_edge.startswith(words)
        assert (found.mixtures["a"].ladder_edge in found.answer) or not words
        assert ("of the ladder" in found.answer) == bool(words)


@pytest.mark.long
def test_far_from_the_runs_floors_stand_side_by_side(fits):
    assert allocate(fits, 1e21).mixtures["a"].floors == ()
    found = allocate(fits, 1e24).mixtures
    for name in ("a", "b"):
        assert [one.floor for one in found[name].floors] == ["own", "shared", "zero"]
        own, _, zero = found[name].floors
        assert own.loss.value == pytest.approx(found[name].loss.value)
        assert zero.loss.value < own.loss.value
        assert own.fit == 1
        assert 1 < found[name].floors[1].fit < zero.fit
    # b has the lower floor: a common one lifts it
    assert found["b"].floors[1].loss.value > found["b"].floors[0].loss.value
    assert allocate(fit(fits.runs, shared=("E",), replicates=50), 1e24).mixtures["a"].floors == ()


@pytest.mark.long
def test_a_cell_measured_for_less_comes_before_a_worse_prediction(fits):
    found = allocate(fits, 1e20)
    assert not found.measured_first
    low = found.mixtures["b"].loss.value * 0.9
    cell = replace(found.mixtures["b"].measured, loss=low, within=((low, 2), (low * 1.5, 2)))
    better = replace(found.mixtures["b"], measured=cell)
    made = replace(found, mixtures={"a": found.mixtures["a"], "b": better})
    assert made.measured_first
    said = sentence(made)
    assert said.startswith("Measured: loss ")
    assert ", b: lower than a by more than chance. By the laws: loss " in said
    assert "worse than was measured for no more" in said
    assert as_json(made)["measured_first"] is True


def test_the_lowest_of_many_cells_is_low_by_chance():
    """Of 50 alike the lowest is low by 2.25 spreads on average, in 95% by less than 3.1."""
    false = 0
    for random in range(400):
        losses = np.sort(np.exp(0.01 * np.random.default_rng(random).normal(size=50)))
        within = tuple((float(loss), 1) for loss in losses)
        sizes = {"params": 1.0, "examples": 1.0, "flops": 6.0, "runs": 1}
        cell = MeasuredCell(**sizes, loss=within[0][0], within=within)
        false += cell.below(1.0, 0.01)
        assert cell.below(math.exp(0.03), 0.01), "many cells together are lower"
    assert false < 20


@pytest.fixture(scope="module")
def design(truth):
    """Two mixtures at five budgets, one seed; b is 5% better."""
    rng, parts = np.random.default_rng(0), []
    for name, factor in (("a", 1.0), ("b", 0.95)):
        for budget in np.geomspace(1e18, 1.3e20, 5):
            n = np.sqrt(budget / 120) * np.geomspace(0.1, 10, 9)
            loss = factor * laws.loss(truth, n, budget / 6 / n) * np.exp(0.003 * rng.normal(size=9))
            table = {"mixture": name, "params": n, "examples": budget / 6 / n, "loss": loss}
            parts.append(pd.DataFrame(table))
    return fit(pd.concat(parts, ignore_index=True), replicates=100)


@pytest.mark.long
def test_where_chance_decides_more_than_one_mixture_is_named(design):
    found = allocate(design, 3e20)
    names = [f"m{i}" for i in range(5)]
    first = next(iter(found.mixtures.values()))
    shares = dict(zip(names, [0.93, *[0.0175] * 4], strict=True))
    alike = {n: replace(first, mixture=n, best_share=share) for n, share in shares.items()}
    few = replace(found, mixtures=ByMixture(alike))
    assert few.choice is Choice.NOT_TOLD_APART
    assert "with m0 or m1 train" in sentence(few)
    even = {name: replace(one, best_share=0.2) for name, one in alike.items()}
    assert "with any of 5 mixtures train" in sentence(replace(few, mixtures=ByMixture(even)))


def test_a_route_answers_in_place_of_the_law(design, truth):
    found = allocate(design, 3e20, route="isoflop")
    assert (found.route, found.best) == ("isoFLOP", "b")
    exact = laws.optimum(truth, 3e20, design.cost)
    one = found.mixtures["a"]
    assert one.params.low < float(exact.params) < one.params.high
    assert one.loss.low < float(exact.loss) < one.loss.high
    assert found.answer.startswith("By the isoFLOP route: with b train ")
    assert as_json(found)["route"] == "isoFLOP"


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_without_noise_a_route_crowns_no_mixture(grid, truth, order):
    worse = truth * np.array([1.001, 1, 1, 1, 1])
    runs = grid({"a": truth, "b": worse}, *(np.geomspace(1e7, 1e9, 4), [1e8, 3e9, 1e11]), seeds=1)
    found = allocate(fit(runs[order], replicates=50), 1e19, route="isoflop")
    assert all(math.isnan(one.best_share) for one in found.mixtures.values())
    assert (found.choice, found.best) == (Choice.NOT_IDENTIFIED, None)
    assert re.search("with (a or b|b or a) train .*, no usable interval", found.answer)


@pytest.mark.parametrize("order", [("sound", "open"), ("open", "sound"), ("open",)])
def test_a_mixture_without_an_optimum_leaves_the_others_theirs(order):
    laws_of = {"sound": (0.3, 30, 30, 0.5, 0.5, 0.1), "open": (0.9, 30, 400, 0.4, 0.2, -0.45)}
    axes = np.geomspace(1e4, 1e6, 6), np.geomspace(1e4, 1e6, 6)
    n, d = (axis.ravel() for axis in np.meshgrid(*axes))
    rng, parts = np.random.default_rng(1), []
    for name in order:
        loss = LAWS["overfit"].loss(np.array(laws_of[name]), n, d)
        loss = loss * np.exp(0.002 * rng.normal(size=len(n)))
        parts.append(pd.DataFrame({"mixture": name, "params": n, "examples": d, "loss": loss}))
    fits = fit(pd.concat(parts, ignore_index=True), law="overfit", replicates=50)
    assert fits["open"]["a"].reason == "N* has no bound under the fit itself"
    found = allocate(fits, 1e12)
    assert found.mixtures["open"].no_optimum == "N* has no bound"
    if "sound" in order:
        assert fits["sound"]["a"].identified
        assert [found.mixtures[name].best_share for name in ("sound", "open")] == [1, 0]
        assert found.choice is Choice.NOT_IDENTIFIED
        assert re.search("By the laws: sound, .* not determined, test it", found.answer)
    else:
        assert "By the laws there is no usable optimum: N* has no bound." in found.answer


def test_three_points_tell_no_loss_beyond_them(truth):
    rng, parts = np.random.default_rng(0), []
    for budget in (1e18, 1e19, 1e20):
        n = np.sqrt(budget / 120) * np.geomspace(0.1, 10, 9)
        loss = laws.loss(truth, n, budget / 6 / n) * np.exp(0.003 * rng.normal(size=9))
        parts.append(pd.DataFrame({"params": n, "examples": budget / 6 / n, "loss": loss}))
    fits = fit(pd.concat(parts, ignore_index=True).assign(mixture="m"), replicates=50)
    found = allocate(fits, 1e21, route="isoflop")
    assert found.mixtures["m"].loss.reason == "3 points do not tell how the loss goes on"
    assert "no usable interval" in found.answer


def test_a_route_that_is_not_there_is_said(design, fits):
    with pytest.raises(
        FitError, match=r"mixture 'a' has no envelope route: needs 3 pairs .* cross within"
    ):
        allocate(design, 1e20, route="envelope")
    with pytest.raises(FitError, match=r"unknown route 'isoflops'; did you mean 'isoflop'"):
        allocate(design, 1e20, route="isoflops")
    for asked in ({"ladder": [1e8]}, {}):
        budget = 1e20 if asked else money_budget(1e3, 1e14, 2.0, 1e-6)
        with pytest.raises(FitError, match="go with the law, not with isoFLOP"):
            allocate(fits, budget, route="isoflop", **asked)


@pytest.mark.long
def test_a_better_forecast_of_another_route_is_in_the_answer(truth):
    """An outer power: the law bends away from these runs with compute."""

    def loss(n, d):
        terms = (480 * n**-0.35) ** 1.6 + (2100 * d**-0.37) ** 1.6
        return 1.8 + terms ** (1 / 1.6)

    parts, rng = [], np.random.default_rng(0)
    for budget in np.geomspace(1e18, 1e21, 6):
        n = np.sqrt(budget / 120) * np.geomspace(0.1, 10, 9)
        values = loss(n, budget / 6 / n) * np.exp(0.002 * rng.normal(size=9))
        parts.append(pd.DataFrame({"params": n, "examples": budget / 6 / n, "loss": values}))
    fits = fit(pd.concat(parts, ignore_index=True).assign(mixture="m"), replicates=100)
    found = allocate(fits, 1e22)
    rival, n = found.mixtures["m"].rival, np.geomspace(1e9, 1e12, 3000)
    exact = float(loss(n, 1e22 / 6 / n).min())
    assert rival.route == "isoFLOP"
    assert abs(rival.loss.value - exact) < abs(found.mixtures["m"].loss.value - exact)
    assert "The isoFLOP route, which forecast the held-out budgets better" in found.answer
    assert "follow it with --route isoflop" in found.answer
    one = found.mixtures["m"]
    assert one.by_law == pytest.approx(float(fits["m"].curve(one.params.value, one.examples.value)))
    assert f"as the runs bend from the law, which alone says {one.by_law:.3f}" in found.answer
    low = MeasuredCell(params=1e9, examples=1e10, flops=6e19, loss=1.0, runs=1, within=((1.0, 1),))
    cheap = replace(one, measured=low)
    worse = replace(found, mixtures=ByMixture(m=cheap))
    assert "isoFLOP" not in sentence(worse), "worse than was measured for no more"


def test_a_law_that_holds_is_not_set_beside_itself(fits):
    found = allocate(fits, 1e20)
    assert all(one.by_law is None for one in found.mixtures.values())
    assert "alone" not in found.answer


@pytest.mark.long
def test_times_of_the_runs_become_hours(grid, truth):
    runs = grid({"m": truth})
    runs["flops"] = 6 * runs["params"] * runs["examples"]
    timed = runs.assign(seconds=runs["flops"] / 2e14)
    one = allocate(fit(timed, replicates=50), 1e20).mixtures["m"]
    assert one.hours == pytest.approx(1e20 / 2e14 / 3600)
    assert allocate(fit(runs, replicates=50), 1e20).mixtures["m"].hours is None
