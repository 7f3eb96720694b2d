"""Each law against its source, finite differences, and its own frontier."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from jetscale.errors import FitError
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.forms import LAWS, effective, law_named
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.solver import Design

COST = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
EXTRAS = {
    "repetition": [2.7],
    "excess": [2.7, 1.2, 0.3],
    "transfer": [0.4, 0.3, 0.2],
    "pretraining": [0.15],
    "outer-power": [-0.4],
    "interaction": [-0.8, 0.6],
    "overfit": [0.2],
}
REPEATED = np.array([1.87, 521.0, 1488.0, 0.35, 0.35, 15.387756])


def runs_of(law):
    rng = np.random.default_rng(3)
    params, examples = np.exp(rng.uniform(10, 16, 12)), np.exp(rng.uniform(9, 14, 12))
    columns = {
        "unique_examples": examples * np.exp(rng.uniform(-3, 1, 12)),
        "pretraining_examples": np.exp(rng.uniform(12, 15, 12)) * (rng.random(12) < 0.6),
    }
    if law.name == "pretraining":
        columns["pretraining_examples"] += 1e4
    extra = {name: columns[name] for name in law.columns}
    return Centred.of(params, examples, np.exp(rng.normal(size=12)), extra), params, examples, extra


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_slopes_against_finite_differences(law):
    runs, *_ = runs_of(law)
    design = Design.single(runs, law)
    q = np.array([0.4, -1.0, -1.3, 0.3, 0.5, *EXTRAS.get(law.name, [])])
    J = design.jacobian(q[None])[0]
    for run in range(12):
        numeric = approx_fprime(q, lambda p, run=run: design.log_loss(p[None])[0, run], 1e-7)
        assert J[:, run] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_plain_units_mean_the_same_law(law):
    runs, params, examples, extra = runs_of(law)
    q = np.array([0.0, -1.0, -1.3, 0.3, 0.5, *EXTRAS.get(law.name, [])])
    theta, columns = law.theta(q, runs), dict(extra)
    assert theta.shape == (len(law.parameters),)
    mine = np.exp(Design.single(runs, law).log_loss(q[None])[0] + runs.z0)
    plain = law.loss(theta, params, examples, **columns)
    if law.name == "transfer":  # rows from scratch are those of a law with k = 0
        none = theta * np.where(np.arange(8) == 5, 0, 1)
        scratch = extra["pretraining_examples"] == 0
        plain = np.where(scratch, law.loss(none, params, examples), plain)
    assert mine == pytest.approx(plain)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_interface_is_complete(law):
    assert law_named(law.name) is law
    assert len(law.lower) == len(law.upper) == len(law.parameters)
    assert (law.lower <= law.upper).all()
    assert law.free == len(law.parameters) - (law.name == "no-floor")
    assert "E" in law.formula or law.name == "no-floor"
    for i, extra in enumerate(law.extras, start=5):
        assert law.lower[i] <= min(extra.grid) <= max(extra.grid) <= law.upper[i]


def test_unknown_law():
    with pytest.raises(FitError, match=r"law 'chinchila'.*chinchilla"):
        law_named("chinchila")


def test_published_repetition():
    # arXiv 2305.16264: four epochs are nearly as good as new data, sixteen times U is the most
    assert effective(4e9, 1e9, 15.387756) == pytest.approx(3.726e9, rel=1e-3)
    assert effective(1e15, 1e9, 15.387756) == pytest.approx(16.387756e9)
    assert effective(5e8, 1e9, 15.387756) == 5e8


def test_published_repetition_law_with_excess_parameters():
    # all five constants as published, alpha = beta; U_N follows as the size optimal for U_D
    A, B, E = np.exp([6.255414, 7.3049974, 0.6254804])
    theta = np.array([E, A, B, 0.3526596, 0.3526596, 15.387756])
    assert pytest.approx((521, 1488, 1.87), rel=1e-3) == (A, B, E)
    best = laws.optimum(theta[:5], 1e20, COST)
    assert best.params / best.examples == pytest.approx(0.051, abs=5e-4)
    supply, size, data = 1e9, 2e9, 16e9
    shrunk = effective(size, 0.051 * supply, 5.309743)
    mine = LAWS["repetition"].loss(theta, shrunk, data, unique_examples=supply)
    repeats, excess = data / supply - 1, size / (0.051 * supply) - 1
    d = supply + supply * 15.387756 * (1 - np.exp(-repeats / 15.387756))
    n = 0.051 * supply * (1 + 5.309743 * (1 - np.exp(-excess / 5.309743)))
    assert mine == pytest.approx(E + A / n**0.3526596 + B / d**0.3526596)


def test_repetition_frontier():
    law = LAWS["repetition"]
    ample = law.optimum(REPEATED, 1e20, COST, unique_examples=1e15)
    closed = law.optimum(REPEATED, 1e20, COST)
    assert ample.params == pytest.approx(closed.params, rel=1e-6)
    assert ample.loss == pytest.approx(closed.loss)
    scarce = law.optimum(REPEATED, 1e22, COST, unique_examples=1e9)
    assert scarce.params > law.optimum(REPEATED, 1e22, COST).params, "data run out: grow the model"
    assert scarce.loss > law.optimum(REPEATED, 1e22, COST).loss
    for factor in (0.9, 1.1):
        n = scarce.params * factor
        near = law.loss(REPEATED, n, 1e22 / 6 / n, unique_examples=1e9)
        assert near > scarce.loss


def test_transfer_frontier():
    law = LAWS["transfer"]
    scratch = np.array([1.8, 480.0, 2100.0, 0.35, 0.37, 0.0, 0.2, 0.3])
    best = law.optimum(scratch, 1e20, COST)
    assert best.params == pytest.approx(laws.optimum(scratch[:5], 1e20, COST).params, rel=1e-6)
    slopes = law.exponents(scratch, COST, 1e20)
    assert slopes == pytest.approx(laws.exponents(scratch[:5], COST), rel=1e-5)
    helped = scratch + np.array([0, 0, 0, 0, 0, 1e4, 0, 0])
    many = law.optimum(np.stack([scratch, helped]), 1e20, COST)
    assert many.loss[1] < many.loss[0]
    assert many.examples[1] < many.examples[0], "pretraining replaces examples"


def test_hernandez_constants():
    # text to Python: 1.9e4 D^.18 N^.38 characters
    theta = np.array([0.0, 0.0, 1.0, 0.1, 1.0, 1.9e4, 0.18, 0.38])
    moved = 1 / LAWS["transfer"].loss(theta, 1e8, 1e6) - 1e6
    assert moved == pytest.approx(1.9e4 * 1e6**0.18 * 1e8**0.38)


def test_pretraining_frontier():
    law, theta = LAWS["pretraining"], np.array([1.8, 480.0, 2100.0, 0.35, 0.37, 0.1])
    best = law.optimum(theta, 1e20, COST, pretraining_examples=1e6)
    lower = theta[:5] * [1, 1e6**-0.1, 1, 1, 1]
    assert best.params == pytest.approx(laws.optimum(lower, 1e20, COST).params)
    assert best.loss == pytest.approx(
        law.loss(theta, best.params, best.examples, pretraining_examples=1e6)
    )
