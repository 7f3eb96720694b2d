"""Nested tests of a pair: nested fits, what they tell apart, their size under the null."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jetscale.jsonable import as_json
from jetscale.scaling.comparison.claims import SIGNIFICANT
from jetscale.scaling.comparison.joint import (
    EXPONENTS,
    QUESTIONS,
    Pair,
    nested_test,
    questions,
    sequential,
    tail,
)
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA, law_named
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.fit import point_fit
from jetscale.scaling.misfit import Basis
from jetscale.scaling.table import validate

HUBER = Objective("huber", 0.025)
LADDER = [CHINCHILLA.parameters, EXPONENTS, ("beta",)]
"""Each shares less than the one before."""


def as_pair(frame, objective=HUBER, law=CHINCHILLA, by_trunk=False):
    a, b = (part for _, part in validate(frame).groupby("mixture", sort=False))
    return Pair(a, b, law, objective, by_trunk)


def fit_null(pair, shared):
    null = pair.sharing(shared)
    return null, null.fit(np.ones((1, len(pair.runs))), pair.objective)


def p_value(frame, shared, replicates=60, **options):
    return nested_test(as_pair(frame, **options), shared, replicates, 0).p_value


def test_shared_fit_recovers_shared_exponents(grid, truth):
    other = np.array([1.5, 300.0, 4000.0, 0.35, 0.37])
    frame = grid({"a": truth, "b": other}, noise=0.0)
    null, ends = fit_null(as_pair(frame, Objective("huber", 1e-3)), EXPONENTS)
    assert null.theta(ends.q, 0)[0] == pytest.approx(truth, rel=1e-2)
    assert null.theta(ends.q, 1)[0] == pytest.approx(other, rel=1e-2)
    assert ends.objective[0] < 1e-9


def test_separate_fits_are_the_fits_of_each_mixture(grid, truth):
    pair = as_pair(grid({"a": truth, "b": truth}))
    together = pair.separate(pair.logs.z[None])[0]
    alone = sum(
        point_fit(Family(CHINCHILLA, pair.logs.select(rows)), HUBER).objective.min()
        for rows in (pair.second, ~pair.second)
    )
    assert together == pytest.approx(alone, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["huber", "squares", "absolute"])
def test_sharing_less_never_fits_worse(grid, truth, name):
    for random in range(2):
        frame = grid({"a": truth, "b": truth}, random=random)
        pair = as_pair(frame, Objective(name, 0.025))
        sums = [fit_null(pair, shared)[1].objective[0] for shared in LADDER]
        sums.append(pair.separate(pair.logs.z[None])[0])
        assert (np.diff(sums) <= 1e-6 * np.array(sums[1:])).all()


@pytest.mark.slow
def test_each_difference_is_found_where_it_is(grid, truth):
    floor = grid({"a": truth, "b": [1.4, 480.0, 2100.0, 0.35, 0.37]})
    assert p_value(floor, ("E",)) < 0.05
    assert p_value(floor, ("beta",)) > 0.05
    assert p_value(floor, CHINCHILLA.parameters) < 0.05
    height = grid({"a": truth, "b": [1.8, 480.0, 1600.0, 0.35, 0.37]})
    assert p_value(height, CHINCHILLA.parameters) < 0.05
    assert p_value(height, EXPONENTS) > 0.05


def test_a_large_shift_has_the_smallest_p_value(grid, truth):
    other = np.array([1.8, 480.0, 9000.0, 0.35, 0.47])
    result = nested_test(as_pair(grid({"a": truth, "b": other})), EXPONENTS, 99, 0)
    assert result.p_value == result.p_value_uncorrected == pytest.approx(0.01)
    assert result.statistic > 0
    assert as_json(result)["question"] == "are alpha and beta equal?"


def test_other_objectives_and_laws_tell_a_shift_too(grid, truth):
    other = np.array([0.0, 480.0, 9000.0, 0.35, 0.47])
    frame = grid({"a": truth * [0, 1, 1, 1, 1], "b": other}, examples=np.geomspace(1e8, 1e11, 5))
    law = law_named("no-floor")
    for objective in (Objective("squares", 0.1), Objective("absolute", 0.1)):
        assert p_value(frame, EXPONENTS, 30, objective=objective, law=law) < 0.05


def test_a_law_without_floor_has_none_to_share():
    assert set(questions(CHINCHILLA)) == set(QUESTIONS)
    assert set(QUESTIONS) - set(questions(law_named("no-floor"))) == {("E",)}


def test_a_law_with_another_exponent_is_asked_for_all_of_them():
    asked = questions(law_named("overfit"))
    assert asked["alpha", "beta", "gamma"] == "are alpha, beta and gamma equal?"
    assert len(asked) == len(QUESTIONS)
    assert EXPONENTS not in asked


@pytest.mark.parametrize("shared", QUESTIONS)
def test_the_order_of_mixtures_does_not_matter(grid, truth, shared):
    frame = grid({"a": truth, "b": truth * [1, 1, 1, 1, 1.05]}, examples=(1e8, 1e9, 1e10, 1e11))
    other_way = pd.concat([frame[frame["mixture"] == name] for name in "ba"])
    first, second = (nested_test(as_pair(f), shared, 50, 3) for f in (frame, other_way))
    assert first.statistic == pytest.approx(second.statistic, rel=1e-4)
    assert first.p_value == pytest.approx(second.p_value, abs=0.021)


def trunks_differ(frame, random):
    """Losses of all runs of one model size, seed and mixture moved together by 2%."""
    keys = frame.groupby(["mixture", "params", "seed"]).ngroup().to_numpy()
    off = 0.02 * np.random.default_rng(random).normal(size=keys.max() + 1)
    return frame.assign(loss=frame["loss"] * np.exp(off[keys]))


@pytest.mark.long
def test_what_trunks_have_in_common_is_no_evidence(grid, truth):
    """Runs of a trunk are not independent: tests that know it are less easily convinced."""
    axes = {"params": np.geomspace(1e7, 3e9, 5), "examples": np.geomspace(1e8, 1e11, 5)}
    by_cell, by_trunk = (
        [
            p_value(
                trunks_differ(grid({"a": truth, "b": truth}, random=random, **axes), random),
                CHINCHILLA.parameters,
                39,
                by_trunk=by_trunk,
            )
            for random in range(8)
        ]
        for by_trunk in (False, True)
    )
    # without trunks much of what they do passes for a smooth misfit, which counts too
    assert np.mean(by_trunk) > np.mean(by_cell)
    assert sum(p <= 0.05 for p in by_trunk) <= 2


def test_exact_data_give_no_evidence(grid, truth):
    frame = grid({"a": truth, "b": truth}, noise=0.0)
    assert p_value(frame, EXPONENTS, objective=Objective("huber", 1e-3)) > 0.05


@pytest.mark.long
def test_what_both_laws_miss_smoothly_is_no_evidence(grid, truth):
    """Of 40 studies without a shift more than 8 are rejected once in 70 times at a size of 10%.

    With a random factor for each cell 24 of these were.
    """
    axes = {"params": np.geomspace(1e7, 3e9, 6), "examples": np.geomspace(1e8, 1e11, 6)}
    p = []
    for random in range(40):
        frame = grid({"a": truth, "b": truth}, seeds=3, random=random, **axes)
        rng = np.random.default_rng([random, 1])
        for _, part in frame.groupby("mixture"):
            sizes = part["params"].to_numpy(), part["examples"].to_numpy()
            smooth = Basis.over(*sizes).at(*sizes)
            off = 0.01 * smooth @ rng.normal(size=smooth.shape[1])
            frame.loc[part.index, "loss"] *= np.exp(off)
        p.append(p_value(frame, EXPONENTS, 99))
    assert sum(one <= 0.05 for one in p) <= 8


@pytest.mark.integration
@pytest.mark.parametrize("shared", [EXPONENTS, ("E",)])
def test_size_under_the_null(grid, truth, shared):
    """5% of the null tables rejected at 5%: of 120, more than 13 happen once in 200 times."""
    other = np.array([1.8, 300.0, 4000.0, 0.35, 0.37])
    axes = {"params": np.geomspace(1e7, 3e9, 5), "examples": np.geomspace(1e8, 1e11, 4)}
    p = np.array(
        [
            nested_test(
                as_pair(grid({"a": truth, "b": other}, random=random, **axes)), shared, 99, random
            ).p_value
            for random in range(120)
        ]
    )
    assert (p <= 0.05).sum() <= 13
    assert 0.35 < p.mean() < 0.65


def test_a_large_p_value_needs_few_draws_and_a_small_one_all():
    rng, asked = np.random.default_rng(0), []

    def draw(rows):
        asked.append(rows.stop)
        return rng.chisquare(2, rows.stop - rows.start)

    for exact in (0.5, 0.2, 0.02):
        asked.clear()
        p_value = sequential(draw, stats.chi2.isf(exact, 2), 999)
        assert p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / asked[-1]))
        assert asked[-1] == (999 if exact < 0.1 else 99)


@pytest.mark.long
def test_the_tail_beyond_the_draws_is_calibrated():
    """How often p falls below 0.05 / 66 where the statistic is F and nothing is there."""
    rng, below, studies = np.random.default_rng(1), 0, 20_000
    limit = SIGNIFICANT / 66
    for _ in range(studies // 1000):
        drawn, observed = rng.f(2, 60, (1000, 999)), rng.f(2, 60, 1000)
        for row in np.flatnonzero((drawn >= observed[:, None]).sum(axis=1) < 10):
            below += tail(drawn[row], observed[row]) <= limit
    assert 0.3 < below / studies / limit < 2.2
    assert tail(drawn[0], 1e6) == pytest.approx(1e-4), "at most ten times beyond the draws"


def test_many_hypotheses_get_the_tail_and_one_does_not():
    drawn = np.random.default_rng(2).chisquare(2, 999)
    one, many = (sequential(lambda rows: drawn[rows], 30.0, 999, count) for count in (1, 66))
    assert one == 1 / 1000
    assert many < one
