"""CellRegret of rates whose loss is known, inside the curve, between points and outside."""

import math

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling.tuning import fit_rate_laws, regrets

FACTORS = (1 / 16, 0.25, 0.5, 1, 2, 4)


@pytest.fixture
def search(make_search) -> pd.DataFrame:
    return make_search(np.random.default_rng(1), factors=FACTORS, noise=0.01)


def moved(laws, factor):
    """The same laws at another rate."""
    shift = math.log(factor)
    law = laws.laws["scratch"]
    log_c = type(law.log_c)(value=law.log_c.value + shift, low=-9, high=9)
    fields = {name: getattr(law, name) for name in law.__dataclass_fields__}
    other = type(law)(**{**fields, "log_c": log_c})
    fields = {name: getattr(laws, name) for name in laws.__dataclass_fields__}
    return type(laws)(**{**fields, "laws": {"scratch": other}})


def test_the_law_fitted_costs_nothing_beyond_noise(search):
    found = regrets(search, fit_rate_laws(search))
    assert len(found) == 18
    assert all(r.within for r in found)
    for r in found:
        assert r.loss - r.best_loss == pytest.approx(r.regret)
        assert abs(r.regret) < 0.03 * r.best_loss
        assert 0 <= r.error < 0.02


def test_a_rate_that_was_searched_has_about_its_own_loss(make_search):
    # one cell, no noise: at a searched rate off the curve the line returns the loss itself
    search = make_search(
        np.random.default_rng(1), arms=1, widths=(16,), steps=(1000,), factors=FACTORS, noise=0
    )
    laws = fit_rate_laws(search)
    lowest = search["rate"].min()
    there = regrets(search, moved(laws, lowest / laws.rate("scratch", 16, 1000)))[0]
    means = np.exp(np.log(search["loss"]).groupby(search["rate"]).mean())
    assert there.within
    assert there.loss == pytest.approx(means.iloc[0])
    assert there.regret == pytest.approx(means.iloc[0] - means.min())
    assert there.error == pytest.approx(0, abs=1e-9), "offsets of seeds cancel in pairs"
    middle = math.sqrt(search["rate"].unique()[0] * search["rate"].unique()[1])
    between = regrets(search, moved(laws, middle / laws.rate("scratch", 16, 1000)))[0]
    assert between.loss == pytest.approx(math.sqrt(means.iloc[0] * means.iloc[1]))


def test_nothing_is_extrapolated(search):
    laws = fit_rate_laws(search)
    for factor in (1e-3, 30):
        for r in regrets(search, moved(laws, factor)):
            assert not r.within
            assert math.isnan(r.loss)
            assert math.isnan(r.regret)
            assert math.isnan(r.error)
            assert np.isfinite(r.best_loss)


def test_beside_a_diverged_rate_the_loss_is_infinite(search):
    laws = fit_rate_laws(search)
    top = search.groupby(["mixture", "width", "examples"])["rate"].transform("max")
    lost = search.assign(loss=search["loss"].where(search["rate"] < top))
    found = regrets(lost, moved(laws, 3.2))
    assert any(math.isinf(r.regret) for r in found)
    assert all(r.regret > 0 or math.isnan(r.regret) for r in found)


@pytest.mark.long
def test_the_error_is_the_spread_of_the_regret(make_search):
    rng = np.random.default_rng(4)
    one = {"arms": 1, "widths": (16,), "steps": (1000,), "seeds": 3, "factors": (0.2, 0.8, 3)}
    laws = fit_rate_laws(make_search(rng, **one))
    found = [regrets(make_search(rng, **one), moved(laws, 1.5))[0] for _ in range(300)]
    assert len({r.best_rate for r in found}) == 1, "the best is clear: noise does not choose it"
    spread = np.std([r.regret for r in found])
    assert math.sqrt(np.mean([r.error**2 for r in found])) == pytest.approx(spread, rel=0.15)
