"""Variance components: sums of squares against dense algebra, replicates against theory."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jetscale.scaling import components, fit
from jetscale.scaling.components import Effects, kinds, share_trunks, too_few
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import widening
from jetscale.scaling.table import validate

SQUARES = Objective("squares", 1.0)
SIZES = np.geomspace(1e7, 3e9, 5), np.geomspace(1e8, 1e11, 4)


@pytest.fixture
def made(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES))
    return effects_of(runs, by_trunk=True)


def effects_of(runs, by_trunk=False):
    family = Family(CHINCHILLA, Centred.from_runs(runs))
    q = family.fit(np.ones((1, len(runs))), SQUARES).q
    return runs, family, q, Effects(family.design.jacobian(q)[0].T, kinds(runs, by_trunk))


def test_kinds_of_a_full_grid(made):
    runs, _, _, effects = made
    assert [len(kind.sizes) for kind in effects.kinds] == [40, 20, 10]
    assert all(kind.sizes.sum() == 40 for kind in effects.kinds)
    cell, trunk = effects.kinds[1].labels, effects.kinds[2].labels
    assert (cell == runs["cell"]).all(), "numbered as the cells are"
    together = runs.groupby(trunk)
    assert (together["params"].nunique() == 1).all()
    assert (together["seed"].nunique() == 1).all()


def test_a_kind_of_single_runs_counts_once(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES, seeds=1))
    assert [len(kind.sizes) for kind in kinds(runs, by_trunk=False)] == [20]
    own = runs.assign(trunk=[f"run {i}" for i in range(20)])
    assert [len(kind.sizes) for kind in kinds(own, by_trunk=True)] == [20]
    assert [len(kind.sizes) for kind in kinds(runs, by_trunk=True)] == [20, 5]


def test_three_trunks_cannot_be_told_from_the_law(grid, truth):
    few = validate(grid({"m": truth}, SIZES[0][:3], SIZES[1], seeds=1))
    assert too_few(few).startswith("3 trunks cannot be told from the law")
    assert [len(kind.sizes) for kind in kinds(few, by_trunk=True)] == [12]
    assert too_few(validate(grid({"m": truth}, SIZES[0][:3], SIZES[1]))) == "", "six of two seeds"
    warned = fit(few, replicates=50, uncertainty="trunks").mixtures["m"].warnings
    assert any("intervals leave out how trunks differ" in line for line in warned)


def test_trunks_are_shared_where_several_cells_name_one(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES))
    assert not share_trunks(runs)
    assert not share_trunks(runs.assign(trunk=[str(i) for i in range(len(runs))]))
    assert share_trunks(runs.assign(trunk=runs["params"].astype(str)))


def test_expected_squares_are_those_of_dense_algebra(made):
    """The trace of Z' M Z, with M what projects out the law and all coarser kinds."""
    _, family, q, effects = made
    J = family.design.jacobian(q)[0].T
    for i in range(3):
        columns = np.column_stack([J, *(k.indicators() for k in effects.kinds[i + 1 :])])
        maker = np.eye(40) - columns @ np.linalg.pinv(columns)
        for j, kind in enumerate(effects.kinds):
            dense = np.trace(kind.indicators().T @ maker @ kind.indicators())
            assert effects.expected[i, j] == pytest.approx(dense, abs=1e-6)
    assert np.triu(effects.expected, 1) == pytest.approx(np.zeros((3, 3)), abs=1e-6)


def test_a_kind_that_cannot_be_told_is_left_out(grid, truth):
    """One repeated cell, in two trunks: nothing is left for runs once cells are taken out."""
    runs = validate(grid({"m": truth}, *SIZES))
    runs = runs[(runs["seed"] == 0) | (runs["cell"] == 7)].reset_index(drop=True)
    effects = effects_of(runs, by_trunk=True)[3]
    assert [len(kind.sizes) for kind in effects.kinds] == [21, 6]


def test_variances_are_recovered(made):
    effects, rng = made[3], np.random.default_rng(5)
    truth = np.array([1.0, 2.0, 3.0])
    drawn = sum(
        np.sqrt(v) * rng.normal(size=(4000, len(kind.sizes)))[:, kind.labels]
        for v, kind in zip(truth, effects.kinds, strict=True)
    )
    residuals = drawn - (drawn @ effects.spans[-1]) @ effects.spans[-1].T
    assert effects.variances(residuals).mean(axis=0) == pytest.approx(truth, rel=0.05)


def test_seed_variance_is_the_one_within_cells(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES, random=3))
    rng = np.random.default_rng(3)
    runs["loss"] *= np.exp(0.02 * rng.normal(size=20)[runs["cell"]])
    _, family, q, effects = effects_of(runs)
    residuals = family.runs.z - family.design.log_loss(q)[0]
    found = effects.variances(residuals[None])[0]
    within = np.log(runs["loss"]).groupby(runs["cell"]).var().mean()
    assert found[0] == pytest.approx(within)
    assert found[1] == pytest.approx(0.02**2, rel=0.8)


def test_no_variance_is_negative(made):
    effects, rng = made[3], np.random.default_rng(6)
    residuals = rng.normal(size=(200, 40))
    residuals -= (residuals @ effects.spans[-1]) @ effects.spans[-1].T
    found = effects.variances(residuals)
    assert (found >= 0).all()
    assert 0.2 < (found[:, 2] == 0).mean() < 0.8, "no trunk effects: clipped about half the time"


def test_widths_are_student_s_where_runs_are_independent(grid, truth):
    effects = effects_of(validate(grid({"m": truth}, *SIZES, seeds=1)))[3]
    assert effects.half_width(np.array([1e-4])) == pytest.approx(stats.t.ppf(0.975, 15), rel=0.03)
    assert effects.half_width(np.zeros(1)) == pytest.approx(stats.t.ppf(0.975, 1))


def test_widths_are_larger_where_trunks_decide(made):
    effects = made[3]
    runs, trunks = (effects.half_width(np.array(v)) for v in ([1.0, 0, 0], [0.1, 0.1, 5.0]))
    # five pairs of trunks differ freely, and their means in two directions the law leaves over
    assert trunks == pytest.approx(stats.t.ppf(0.975, 7), rel=0.1)
    assert 1.9 < runs < trunks


def test_one_repeated_cell_leaves_the_total_known(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES, seeds=2))
    runs = runs[(runs["seed"] == 0) | (runs["cell"] == 7)].reset_index(drop=True)
    _, family, q, effects = effects_of(runs)
    residuals = family.runs.z - family.design.log_loss(q)[0]
    found = effects.variances(residuals[None])[0]
    assert found.sum() == pytest.approx((residuals**2).sum() / 16, rel=0.5)
    assert effects.half_width(found) < stats.t.ppf(0.975, 7)


def test_spread_is_that_of_the_linearised_estimator(made):
    runs, family, q, effects = made
    residuals = family.runs.z - family.design.log_loss(q)[0]
    found = effects.variances(residuals[None])[0]
    drawn = components.draw(family, q, runs, True, SQUARES, 800, seed=1).q
    J = family.design.jacobian(q)[0].T
    V = sum(
        v * k.indicators() @ k.indicators().T for v, k in zip(found, effects.kinds, strict=True)
    )
    bread = np.linalg.inv(J.T @ J) @ J.T
    expected = widening(effects.half_width(found), 20) * np.sqrt(np.diag(bread @ V @ bread.T))
    assert drawn.std(axis=0)[3:] == pytest.approx(expected[3:], rel=0.12)


def test_what_mixtures_have_in_common_stays_in_their_draws(made):
    effects = made[3]
    rng, found = np.random.default_rng(2), np.array([1.0, 1.0, 1.0])
    residuals = rng.normal(size=40)
    first, opposite = (effects.redrawn(sign * residuals, found, 50, seed=4) for sign in (1, -1))
    assert first == pytest.approx(-opposite)
    other = effects.redrawn(rng.normal(size=40), found, 50, seed=4)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.5
    assert first.var() == pytest.approx(3, rel=0.2)


def test_perfect_runs_give_intervals_of_no_width(grid, truth):
    fitted = fit(grid({"m": truth}, *SIZES, noise=0), replicates=50).mixtures["m"]
    alpha = fitted.parameters["alpha"]
    assert alpha.high - alpha.low < 1e-4


def test_mixtures_on_the_same_cells_are_paired(grid, truth):
    frame = grid({"a": truth}, *SIZES)
    both = pd.concat([frame, frame.assign(mixture="b", loss=2 * frame["loss"])], ignore_index=True)
    both["trunk"] = both["mixture"] + both["params"].astype(str) + both["seed"].astype(str)
    result = fit(both, replicates=50)
    a, b = result.mixtures["a"], result.mixtures["b"]
    assert a.uncertainty == b.uncertainty == "trunks"
    assert a.replicates.theta[:, 3:] == pytest.approx(b.replicates.theta[:, 3:], rel=1e-4)


def test_each_mixture_has_variances_of_its_own(grid, truth):
    """One from scratch has no trunks: it must not dilute how much those of the other scatter."""
    runs = validate(grid({"scratch": truth, "pretrained": truth}, *SIZES))
    rng = np.random.default_rng(3)
    own = runs["mixture"] == "pretrained"
    trunk = runs["params"].astype(str) + " " + runs["seed"].astype(str)
    effect = trunk.map(dict(zip(trunk.unique(), 0.05 * rng.normal(size=10), strict=True)))
    runs["loss"] *= np.where(own, np.exp(effect), 1.0)
    runs["trunk"] = np.where(own, trunk, [f"run {i}" for i in range(len(runs))])
    family = Family(
        CHINCHILLA, Centred.from_runs(runs), own.to_numpy().astype(np.intp), frozenset({"E"})
    )
    q = family.fit(np.ones((1, len(runs))), SQUARES).q
    drawn, widths = components.deviations(family, q, runs, True, 400, seed=1)
    scratch, pretrained = (drawn[:, family.group == g].std() for g in (0, 1))
    assert scratch == pytest.approx(0.01, rel=0.5)
    assert pretrained > 4 * scratch
    assert (widths > 1).all()


def test_dependent_columns_have_a_basis():
    """Trunks, cells and the law overlap: no factorisation may fail for that."""
    rng = np.random.default_rng(0)
    few = rng.normal(size=(60, 7))
    columns = np.column_stack([few, few @ rng.normal(size=(7, 30)), np.zeros(60)])
    basis = components._orthonormal(columns)
    assert basis.shape == (60, 7)
    assert basis.T @ basis == pytest.approx(np.eye(7), abs=1e-12)
    assert basis @ (basis.T @ columns) == pytest.approx(columns, abs=1e-10)
