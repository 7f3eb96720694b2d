"""Fits: published numbers, coverage, choice of delta, and what is said where data are short."""

import json

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import MixtureFit, fit
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.fit import huber_width
from jetscale.scaling.table import validate

pytestmark = pytest.mark.slow

COST = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)


@pytest.fixture(scope="module")
def published(chinchilla) -> MixtureFit:
    """Our fit to the runs of the published refit, with its objective."""
    return fit(chinchilla, replicates=400, delta=1e-3, uncertainty="cells").mixtures["text"]


@pytest.fixture(scope="module")
def chinchilla(real_data) -> pd.DataFrame:
    """The 240 runs of the published refit."""
    raw = pd.read_csv(real_data / "chinchilla_runs.csv")
    raw = raw[raw["loss"] < raw["loss"].nlargest(5).min()]
    params = raw["Model Size"]
    examples = raw["Training FLOP"] / params / 6
    return pd.DataFrame(
        {"mixture": "text", "params": params, "examples": examples, "loss": raw["loss"]}
    )


@pytest.mark.long
def test_published_refit_is_reproduced(published):
    text = published
    values = {name: estimate.value for name, estimate in text.parameters.items()}
    assert text.n_runs == 240
    assert text.objective_value == pytest.approx(0.00101827402, rel=1e-8)
    assert values["E"] == pytest.approx(1.81722, abs=5e-6)
    assert values["A"] == pytest.approx(477.83, abs=0.005)
    assert values["B"] == pytest.approx(2143.4, abs=0.05)
    assert values["alpha"] == pytest.approx(0.34731, abs=5e-6)
    assert values["beta"] == pytest.approx(0.36717, abs=5e-6)
    assert text.converged
    assert text.starts_at_optimum == text.starts_polished
    assert "runs deviate smoothly from the law by" in text.warnings[0]


def test_published_intervals_are_reproduced(published):
    printed = {
        "E": (1.769, 1.871),
        "A": (285, 744),
        "alpha": (0.317, 0.373),
        "beta": (0.331, 0.415),
    }
    for name, ends in printed.items():
        mine, width = published.parameters[name], ends[1] - ends[0]
        assert mine.low == pytest.approx(ends[0], abs=0.12 * width)
        assert mine.high == pytest.approx(ends[1], abs=0.12 * width)
    a = published.frontier["params_exponent"]
    assert a.value == pytest.approx(0.5139, abs=5e-5)
    assert (a.low, a.high) == pytest.approx((0.480, 0.556), abs=0.01)


def test_published_deviations_are_reproduced(published):
    """Standard errors of arXiv 2404.10102; 400 replicates leave 4%, the tails of A and B more."""
    spread = dict(zip(laws.PARAMETERS, published.replicates.theta.std(axis=0), strict=True))
    printed = {"E": 0.0257, "alpha": 0.0154, "beta": 0.0206}
    assert {name: spread[name] for name in printed} == pytest.approx(printed, rel=0.12)
    assert spread["A"] == pytest.approx(124.5, rel=0.25)
    assert spread["B"] == pytest.approx(1293, rel=0.35)
    a = laws.exponents(published.replicates.theta, COST)[0]
    assert a.std() == pytest.approx(0.020, rel=0.12)
    best = laws.optimum(published.replicates.theta, 1e24, COST).params
    assert np.quantile(best, [0.025, 0.975]) == pytest.approx([6.8e10, 1.5e11], rel=0.15)
    assert laws.optimum(published.theta, 1e24, COST).params == pytest.approx(9.9e10, rel=0.03)


@pytest.mark.parametrize(
    ("option", "value"), [("law", "kaplan"), ("objective", "lad"), ("uncertainty", "mcmc")]
)
def test_unknown_names(grid, truth, option, value):
    with pytest.raises(FitError, match=value):
        fit(grid({"m": truth}), **{option: value})


@pytest.mark.long
def test_output_names_what_was_fitted(grid, truth):
    plain = as_json(fit(grid({"m": truth}), replicates=50, objective="squares", law="no-floor"))
    assert plain["law"] == "L(N, D) = A / N^alpha + B / D^beta"
    assert plain["objective"] == "squares"
    fitted = plain["mixtures"]["m"]
    assert fitted["law"] == "no-floor"
    assert fitted["objective"] == "half the sum of squared log residuals"
    assert fitted["uncertainty"] == "components"


def test_without_seeds_the_customary_delta(chinchilla):
    assert huber_width(validate(chinchilla)) == 1e-3


def test_delta_follows_the_seed_spread(grid, truth):
    width = huber_width(validate(grid({"m": truth}, noise=0.01, seeds=4)))
    assert width == pytest.approx(0.025, rel=0.15)
    assert huber_width(validate(grid({"m": truth}, noise=0.0))) == 1e-3


@pytest.mark.long
def test_one_outlier_hardly_moves_the_fit(grid, truth):
    frame = grid({"m": truth})
    clean = fit(frame, replicates=50, delta=0.02).mixtures["m"].theta
    frame.loc[10, "loss"] *= 1.5
    assert fit(frame, replicates=50, delta=0.02).mixtures["m"].theta[3:] == pytest.approx(
        clean[3:], abs=0.01
    )


def test_order_and_units_of_rows_do_not_matter(grid, truth):
    frame = grid({"m": truth})
    first = fit(frame, replicates=60).mixtures["m"]
    again = fit(frame.sample(frac=1, random_state=3), replicates=60).mixtures["m"]
    scaled = fit(frame.assign(params=frame["params"] / 1e6), replicates=60).mixtures["m"]
    assert again.theta == pytest.approx(first.theta, rel=1e-6)
    assert again.frontier["params_exponent"].low == pytest.approx(
        first.frontier["params_exponent"].low, rel=1e-5
    )
    assert scaled.theta[3:] == pytest.approx(first.theta[3:], rel=1e-6)
    assert scaled.theta[1] == pytest.approx(first.theta[1] / 1e6 ** first.theta[3], rel=1e-4)


@pytest.mark.long
def test_same_seed_same_intervals(grid, truth):
    frame = grid({"m": truth})
    one, two = (fit(frame, replicates=60, seed=5) for _ in range(2))
    assert as_json(one) == as_json(two)
    assert as_json(fit(frame, replicates=60, seed=6)) != as_json(one)


@pytest.mark.long
def test_flops_column_sets_the_frontier(grid, truth):
    frame = grid({"m": truth}, noise=0.0)
    frame["flops"] = 20 * frame["params"] ** 0.8 * frame["examples"]
    result = fit(frame, replicates=50)
    fitted = result.mixtures["m"]
    alpha, beta = fitted.theta[3:]
    assert fitted.frontier["params_exponent"].value == pytest.approx(beta / (alpha + 0.8 * beta))
    assert fitted.frontier["data_exponent"].value == pytest.approx(alpha / (alpha + 0.8 * beta))
    assert "params^0.8000" in as_json(result)["compute"]["convention"]


def test_json_follows_the_contract(grid, truth):
    plain = as_json(fit(grid({"a": truth, "b": truth}), replicates=50))
    json.dumps(plain, allow_nan=False)
    for fitted in plain["mixtures"].values():
        assert (fitted["n_runs"], fitted["n_cells"]) == (96, 48)
        assert fitted["objective"].startswith("sum of Huber(delta=")
        assert list(fitted["parameters"]) == ["E", "A", "B", "alpha", "beta"]
        assert list(fitted["frontier"]) == ["params_exponent", "data_exponent"]
        for estimate in (*fitted["parameters"].values(), *fitted["frontier"].values()):
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
        assert isinstance(fitted["warnings"], list)


@pytest.mark.long
@pytest.mark.parametrize(
    ("params", "examples", "message"),
    [
        ([1e4, 1e5], [1e3, 1e4, 1e5], "has 2 model sizes, needs at least 3"),
        ([1e4, 1e5, 1e6], [1e3], "has 1 data size, needs at least 3"),
    ],
)
def test_too_few_sizes(grid, truth, params, examples, message):
    with pytest.raises(FitError, match=f"mixture 'm' {message}"):
        fit(grid({"m": truth}, params=params, examples=examples))


@pytest.mark.long
def test_losses_that_do_not_vary_make_no_law(grid, truth):
    with pytest.raises(FitError, match="mixture 'm' has the same loss in every run"):
        fit(grid({"m": truth}).assign(loss=1.0), replicates=50)


@pytest.mark.long
def test_too_few_cells(grid, truth):
    frame = grid({"m": truth}, params=[1e4, 1e5, 1e6], examples=[1e3, 1e4, 1e5], seeds=1)
    diagonal = frame[frame["params"] == frame["examples"] * 10]
    with pytest.raises(FitError, match=r"mixture 'm' has 3 cells .* needs at least 6"):
        fit(diagonal)


@pytest.mark.long
def test_a_short_mixture_does_not_stop_the_others(grid, truth):
    frame = grid({"full": truth, "short": truth})
    frame = frame[(frame["mixture"] == "full") | (frame["params"] < 2e7)]
    result = fit(frame, replicates=50)
    assert list(result.mixtures) == ["full"]
    assert "1 model size" in result.not_fitted["short"]
    assert result.warnings == ("short: not fitted: has 1 model size, needs at least 3",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 0}, "replicates is 0"),
        ({"delta": 0.0}, "delta is 0.0"),
        ({"delta": float("nan")}, "delta is nan"),
    ],
)
def test_unusable_options(grid, truth, options, message):
    with pytest.raises(FitError, match=message):
        fit(grid({"m": truth}), **options)


@pytest.mark.long
def test_smallest_table_that_fits(grid, truth):
    frame = grid({"m": truth}, params=[1e7, 1e8, 1e9], examples=[1e9, 1e10, 1e11], seeds=1)
    fitted = fit(frame.iloc[[0, 1, 3, 4, 7, 8]], replicates=100).mixtures["m"]
    assert fitted.n_cells == 6
    assert np.isfinite(fitted.theta).all()
    assert fitted.uncertainty == "components"
    alpha = fitted.parameters["alpha"]
    assert alpha.low < truth[3] < alpha.high
    assert alpha.high - alpha.low > 0.1, "one degree of freedom"


@pytest.mark.long
def test_intervals_cover_the_truth(grid, truth):
    """Nominal 95% over 200 draws: Monte Carlo error 1.5%, so 3 errors either side."""
    draws, hits = 200, []
    for random in range(draws):
        result = fit(grid({"m": truth}, random=random), replicates=200, seed=random)
        fitted = result.mixtures["m"]
        exact = dict(zip(laws.PARAMETERS, truth, strict=True))
        exact["params_exponent"] = float(laws.exponents(truth, result.cost)[0])
        estimates = {**fitted.parameters, **fitted.frontier}
        hits.append([estimates[n].low <= value <= estimates[n].high for n, value in exact.items()])
    coverage = dict(zip(exact, np.mean(hits, axis=0), strict=True))
    assert all(0.90 <= share <= 0.995 for share in coverage.values()), coverage
