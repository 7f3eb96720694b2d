"""Optima of cells whose best rate is known, and what keeps an optimum from being known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.jsonable import as_json
from jetscale.scaling.tuning import find_optima, widen
from jetscale.scaling.tuning.curve import bend

FACTORS = (0.25, 0.5, 1, 2, 4)


def cell(losses, rates=FACTORS, seed=0, examples=500):
    """One cell: a row of losses per rate and seed."""
    table = np.atleast_2d(np.asarray(losses, dtype=float).T).T
    rows = [
        {"rate": rate, "seed": seed + s, "loss": loss}
        for rate, line in zip(rates, table, strict=True)
        for s, loss in enumerate(line)
    ]
    same = {"start": "scratch", "mixture": "m", "width": 16, "examples": examples, "steps": 1000}
    return pd.DataFrame(rows).assign(**same)


def curved(best, rates=FACTORS, skew=0.0, curvature=0.2, offsets=(0.0, 0.1)):
    """Losses (R, S) of the fitted form itself, without noise."""
    u = np.log(rates) - math.log(best)
    return 0.4 * np.exp(curvature * bend(u, skew)[:, None] + np.array(offsets))


@pytest.mark.parametrize("skew", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("best", [0.6, 1.0, 1.7])
def test_a_loss_of_the_fitted_form_gives_its_minimum_back(skew, best):
    optimum = find_optima(cell(curved(best, skew=skew)))[0]
    assert optimum.rate == pytest.approx(best)
    assert optimum.curvature == pytest.approx(0.2)
    assert optimum.loss == pytest.approx(0.4 * math.exp(0.05))
    assert (optimum.n_rates, optimum.n_seeds, optimum.edge) == (5, 2, "")
    nearest = FACTORS[int(np.argmin(abs(np.log(np.array(FACTORS) / best))))]
    assert optimum.best_rate == pytest.approx(nearest)


def test_three_rates_are_a_parabola():
    # numpy's own parabola through the means of log losses
    losses = np.array([0.50, 0.44, 0.49])
    square, slope, _ = np.polyfit(np.log([0.5, 1, 2]), np.log(losses), 2)
    optimum = find_optima(cell(losses, rates=(0.5, 1, 2)))[0]
    assert optimum.log_rate == pytest.approx(-slope / 2 / square)
    assert math.isnan(optimum.error), "three runs leave none to judge the noise by"


def test_a_skewed_loss_is_not_put_a_fifth_too_low(make_search, true_law):
    search = make_search(np.random.default_rng(1), noise=1e-6)
    for optimum in find_optima(search):
        law = true_law[0] + true_law[1] * math.log(optimum.width / 16)
        law += true_law[2] * math.log(optimum.steps / 1000)
        assert optimum.log_rate == pytest.approx(law, abs=0.08), "a parabola is off by 0.25"


@pytest.mark.long
def test_the_standard_error_is_the_spread_of_the_optimum(make_search):
    rng = np.random.default_rng(2)
    found = [
        (o.log_rate, o.error, o.width)
        for _ in range(40)
        for o in find_optima(make_search(rng, arms=3, steps=(1000,)))
    ]
    frame = pd.DataFrame(found, columns=["at", "error", "width"])
    spread = frame.groupby("width")["at"].std()
    wanted = frame.groupby("width")["error"].apply(lambda e: math.sqrt((e**2).mean()))
    assert (spread / wanted).between(0.8, 1.3).all()


@pytest.mark.parametrize(("best", "edge"), [(0.1, "low"), (0.2, "low"), (5.0, "high"), (9, "high")])
def test_an_optimum_at_an_end_is_flagged(best, edge):
    optimum = find_optima(cell(curved(best)))[0]
    assert optimum.edge == edge
    assert math.isnan(optimum.log_rate)
    assert optimum.reason == f"the minimum lies beyond the {edge} end of the search"
    wanted = {"low": (0.0625, 0.125), "high": (8.0, 16.0)}[edge]
    assert widen([optimum], FACTORS)[0].factors == wanted


def test_the_first_rate_best_is_an_edge_though_the_minimum_lies_inside():
    optimum = find_optima(cell(curved(0.3)))[0]
    assert (optimum.edge, optimum.identified) == ("low", True)
    assert optimum.rate == pytest.approx(0.3)


def test_nothing_is_widened_without_an_edge_and_odd_factors_get_powers_of_two():
    inside, low = (find_optima(cell(curved(b)))[0] for b in (1, 0.1))
    assert widen([inside], FACTORS) == ()
    assert widen([inside, low], (0.3, 1, 3))[0].factors == (0.125, 0.25)


def test_a_diverged_side_is_not_an_edge_and_does_not_move_the_optimum():
    losses = curved(1.2)
    wanted = find_optima(cell(losses[:4], rates=FACTORS[:4]))[0]
    losses[4, 1] = np.nan
    optimum = find_optima(cell(losses))[0]
    assert (optimum.n_diverged, optimum.n_rates, optimum.edge) == (1, 5, "")
    assert optimum.log_rate == pytest.approx(wanted.log_rate)
    losses[4, 0] = 40.0  # blown up, yet finite
    assert find_optima(cell(losses))[0].log_rate == pytest.approx(wanted.log_rate)
    losses[3:] = np.inf
    short = find_optima(cell(losses))[0]
    assert (short.best_rate, short.edge, short.n_diverged) == (1, "", 4)


def test_no_number_is_made_up():
    flat = find_optima(cell(np.full((5, 2), 0.4)))[0]
    assert (flat.identified, math.isnan(flat.log_rate)) == (False, True)
    assert "not curved upwards" in flat.reason
    two = find_optima(cell([[0.5], [0.4]], rates=(1, 2)))[0]
    assert two.reason == "2 of 2 rates were run without divergence; needs 3"
    lost = find_optima(cell(np.full((5, 2), np.nan)))[0]
    assert (lost.edge, lost.best_loss, lost.n_diverged) == ("low", math.inf, 10)
    assert lost.reason == "0 of 5 rates were run without divergence; needs 3"
    for own in range(3, 6):  # a seed for each rate takes up any curve; the next cell does not mind
        alone = cell(curved(1)[:own, 0], rates=FACTORS[:own], examples=400)
        apart, paired = find_optima(pd.concat([alone.assign(seed=range(own)), cell(curved(1))]))
        assert (apart.identified, "have seeds in common" in apart.reason) == (False, True)
        assert paired.rate == pytest.approx(1)
    rng = np.random.default_rng(0)
    noisy = find_optima(cell(0.4 * np.exp(0.1 * rng.normal(size=(5, 3)))))[0]
    assert not noisy.identified
    assert as_json(noisy)["log_rate"] is None


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(0.001, 1000))
def test_order_unit_of_loss_and_unit_of_rate_do_not_matter(seed, unit, factor):
    rng = np.random.default_rng(seed)
    search = cell(curved(1.3, skew=0.8) * np.exp(0.01 * rng.normal(size=(5, 2))))
    one = find_optima(search)[0]
    assert find_optima(search.sample(frac=1, random_state=seed))[0] == one
    scaled = search.assign(loss=search["loss"] * unit, rate=search["rate"] * factor)
    two = find_optima(scaled)[0]
    assert two.loss == pytest.approx(one.loss * unit)
    assert two.log_rate == pytest.approx(one.log_rate + math.log(factor), abs=1e-6)
    assert (two.error, two.edge) == (pytest.approx(one.error), one.edge)
