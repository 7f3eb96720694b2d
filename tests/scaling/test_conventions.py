"""Compute conventions: closed forms, brute force at fixed total cost, and what is missing."""

import json

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import conventions, fit
from jetscale.scaling.conventions import pretraining_cost
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.forms import LAWS

OTHER = np.array([1.6, 400.0, 1500.0, 0.33, 0.4])
M, Q = 5e11, 0.9


@pytest.fixture(scope="module")
def frame(grid, truth):
    """Two mixtures with FLOPs of 7 N^0.95 D; the second is pretrained at M N^Q FLOPs."""
    runs = grid({"scratch": truth, "qcd": OTHER}, noise=0.005)
    pretrained = runs["mixture"] == "qcd"
    return runs.assign(
        flops=7 * runs["params"] ** 0.95 * runs["examples"],
        params_non_embedding=0.05 * runs["params"] ** 1.1,
        pretraining_flops=np.where(pretrained, M * runs["params"] ** Q, 0.0),
    )


@pytest.fixture(scope="module")
def fits(frame):
    return fit(frame, replicates=200)


@pytest.fixture(scope="module")
def found(fits):
    return {n: {r.name: r for r in m.rows} for n, m in conventions(fits, (1, 10, 1e12)).items()}


@pytest.mark.slow
def test_the_first_row_is_the_fit_itself(fits, found):
    for name, rows in found.items():
        assert next(iter(rows)) == "exact"
        first, frontier = rows["exact"], fits.mixtures[name].frontier
        assert first.params_exponent == frontier["params_exponent"]
        assert first.data_exponent == frontier["data_exponent"]
        assert first.convention == fits.cost.convention
        low, high = fits.mixtures[name].window["flops"]
        assert first.budget == pytest.approx(np.sqrt(low * high))
        best = laws.optimum(fits.mixtures[name].theta, first.budget, fits.cost)
        assert first.params.value == pytest.approx(float(best.params))
        assert first.params.low < first.params.value < first.params.high
        assert first.examples.low < first.examples.value < first.examples.high


@pytest.mark.slow
def test_six_n_d_is_the_closed_form_with_p_one(fits, found):
    row, theta = found["qcd"]["6ND"], fits.mixtures["qcd"].theta
    alpha, beta = theta[3:]
    assert row.params_exponent.value == pytest.approx(beta / (alpha + beta))
    assert row.data_exponent.value == pytest.approx(alpha / (alpha + beta))
    assert 6 * row.params.value * row.examples.value == pytest.approx(row.budget)
    assert row.params_exponent.low < row.params_exponent.value < row.params_exponent.high


@pytest.mark.slow
def test_without_embedding_the_law_is_refitted(frame, fits, found):
    # N' ~ N^1.1 turns alpha into alpha / 1.1 and leaves beta
    row, theta = found["scratch"]["6ND without embedding"], fits.mixtures["scratch"].theta
    alpha, beta = theta[3] / 1.1, theta[4]
    assert row.params_exponent.value == pytest.approx(beta / (alpha + beta), rel=1e-3)
    own = frame[frame["mixture"] == "scratch"]
    compute = 6 * own["params_non_embedding"] * own["examples"]
    assert row.budget == pytest.approx(np.sqrt(compute.min() * compute.max()))
    assert row.params.value * row.examples.value * 6 == pytest.approx(row.budget)


@pytest.mark.slow
@pytest.mark.parametrize("uses", [1, 10])
def test_total_compute_against_brute_force(fits, found, uses):
    row = found["qcd"][f"total, {uses} use{'' if uses == 1 else 's'}"]
    theta, cost = fits.mixtures["qcd"].theta, fits.cost

    def best(budget):
        n = np.geomspace(1e5, 1e13, 2_000_001)
        left = budget - M * n**Q / uses
        n, left = n[left > 0], left[left > 0]
        d = left / (cost.k * n**cost.p)
        at = int(laws.loss(theta, n, d).argmin())
        return n[at], d[at]

    n, d = best(row.budget)
    assert row.params.value == pytest.approx(n, rel=1e-3)
    assert row.examples.value == pytest.approx(d, rel=1e-3)
    (n_low, d_low), (n_high, d_high) = best(row.budget / 2), best(row.budget * 2)
    assert row.params_exponent.value == pytest.approx(np.log(n_high / n_low) / np.log(4), abs=0.02)
    assert row.data_exponent.value == pytest.approx(np.log(d_high / d_low) / np.log(4), abs=0.02)
    total = cost.flops(row.params.value, row.examples.value) + M * row.params.value**Q / uses
    assert total == pytest.approx(row.budget, rel=1e-6)


def test_many_uses_make_pretraining_free(found):
    rows = found["qcd"]
    many, exact = rows["total, 1e+12 uses"], rows["exact"]
    for name in ("params_exponent", "data_exponent", "params", "examples"):
        for end in ("value", "low", "high"):
            wanted = getattr(getattr(exact, name), end)
            assert getattr(getattr(many, name), end) == pytest.approx(wanted, rel=1e-3)
    assert many.budget == pytest.approx(exact.budget)
    assert rows["total, 1 use"].params_exponent.value != pytest.approx(exact.params_exponent.value)


def test_scratch_keeps_its_numbers(found):
    rows = found["scratch"]
    for uses in ("total, 1 use", "total, 10 uses"):
        assert rows[uses].params_exponent == rows["exact"].params_exponent
        assert rows[uses].params == rows["exact"].params
        assert rows[uses].convention.startswith("no pretraining")


@pytest.mark.slow
def test_spread_names_the_extremes(fits):
    study = conventions(fits)["qcd"]
    values = {row.params_exponent.value: row.name for row in study.rows}
    low, high = min(values), max(values)
    assert study.spread.startswith(f"a from {low:.3f} ({values[low]}) to {high:.3f} ")
    assert f"({values[high]})" in study.spread
    json.dumps(as_json(study), allow_nan=False)


@pytest.mark.slow
def test_a_plain_table_has_one_convention(frame):
    plain = frame[["mixture", "params", "examples", "loss", "seed"]]
    study = conventions(fit(plain, replicates=50))["scratch"]
    assert [row.name for row in study.rows] == ["6ND"]
    assert study.spread.endswith("(6ND); no other convention applies")


@pytest.mark.slow
def test_what_is_not_identified_stays_so(grid):
    flat = np.array([1.8, 480.0, 5.0, 0.35, 0.37])
    runs = grid({"m": flat}, noise=0.02).assign(pretraining_flops=1e18)
    fits = fit(runs, replicates=50)
    reason = fits.mixtures["m"].frontier["params_exponent"].reason
    assert reason
    for row in conventions(fits)["m"].rows:
        assert row.params_exponent.reason
        assert row.params.reason == row.params_exponent.reason


@pytest.mark.parametrize("uses", [0, -1, np.inf, np.nan])
def test_uses_are_positive(fits, uses):
    with pytest.raises(FitError, match=r"uses is .*, needs finite numbers above zero"):
        conventions(fits, (1, uses))


def test_pretraining_is_a_power_of_the_size(frame):
    own = frame[frame["mixture"] == "qcd"]
    found = pretraining_cost(own)
    assert (found.m, found.q) == (pytest.approx(M), pytest.approx(Q))
    assert found.worst_residual < 1e-9
    assert found.flops(np.array([1e8])) == pytest.approx(M * 1e8**Q)
    off = own.assign(pretraining_flops=own["pretraining_flops"] * (1 + 0.1 * (own["seed"] == 0)))
    assert pretraining_cost(off).worst_residual == pytest.approx(1.1**0.5 - 1, rel=1e-6)


@pytest.mark.slow
def test_pretraining_that_makes_no_sense_is_a_reason(frame):
    own = frame[frame["mixture"] == "qcd"]
    assert "fall with params" in pretraining_cost(own.assign(pretraining_flops=1 / own["params"]))
    some = own.assign(pretraining_flops=np.where(own["params"] < 1e8, 0.0, 1e15))
    assert pretraining_cost(some) == "some of its runs have pretraining_flops and others none"
    rows = conventions(fit(pd.concat([some, frame[frame["mixture"] == "scratch"]]), replicates=50))[
        "qcd"
    ].rows
    last = rows[-1]
    assert last.params_exponent is None
    assert as_json(last)["reason"].startswith("some of its runs")


@pytest.mark.slow
def test_sizes_that_merge_without_embedding_are_a_reason(frame):
    merged = frame.assign(params_non_embedding=np.where(frame["params"] < 5e7, 1e6, 1e8))
    rows = {row.name: row for row in conventions(fit(merged, replicates=50))["qcd"].rows}
    assert "are the same run" in rows["6ND without embedding"].reason


@pytest.mark.slow
@pytest.mark.parametrize("law", ["pretraining", "repetition"])
def test_other_laws(grid, truth, law):
    runs = grid({"m": truth})
    supply = np.where(runs["seed"] == 0, 1e8, 1e10)
    runs = runs.assign(
        pretraining_examples=supply,
        pretraining_flops=6 * runs["params"] * supply,
        unique_examples=np.minimum(runs["examples"], 1e10),
    )
    fits = fit(runs, replicates=50, law=law)
    rows = conventions(fits)["m"].rows
    assert len(rows) == 3
    columns = {"pretraining_examples": 1e9} if law == "pretraining" else {}
    theta = fits.mixtures["m"].theta
    best = LAWS[law].optimum(theta, rows[0].budget, fits.cost, **columns)
    assert rows[0].params.value == pytest.approx(float(best.params))
    assert all(row.params_exponent is not None for row in rows)
