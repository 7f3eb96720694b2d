"""What doubles a rejection, against the law that made the runs; the link against a known power."""

import json

import numpy as np
import pandas as pd
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling import allocate, fit, validate
from jetscale.scaling.engine import laws
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.goal import answers
from jetscale.scaling.link import link

PASSING = np.array([1e-4, 0.8, 2.0, 0.5, 0.5])  # share of background, of N and D
POWER = 1.5


@pytest.fixture(scope="module")
def runs():
    """Rejections by a known law; the loss is their power 1/1.5, with noise of its own."""
    rng, rows = np.random.default_rng(2), []
    for n in np.geomspace(1e4, 3e6, 5):
        for d in np.geomspace(1e4, 3e7, 6):
            for seed in range(3):
                share = float(laws.loss(PASSING, n, d))
                loss = 3 * (share * np.exp(0.01 * rng.normal())) ** (1 / POWER)
                rejection = np.exp(0.01 * rng.normal()) / share
                rows.append(("m", n, d, seed, loss, rejection))
    columns = ["mixture", "params", "examples", "seed", "loss", "rejection_Hbb"]
    return validate(pd.DataFrame(rows, columns=columns), noun="jets", metric="rejection_Hbb")


@pytest.mark.long
def test_how_many_jets_double_the_rejection(runs):
    found = answers(fit(runs, replicates=200))
    goal, by_loss = found.goals
    E, A, B, alpha, beta = PASSING
    rest = E + A * goal.params**-alpha
    term = B * goal.examples**-beta
    now = rest + term
    assert goal.now == pytest.approx(1 / now, rel=0.02)
    assert goal.wanted == pytest.approx(2 * goal.now)
    assert now / 2 < rest, "at this size no number of jets doubles it"
    assert goal.data.value == np.inf
    assert goal.limit == pytest.approx(1 / rest, rel=0.03)
    assert "on no amount of jets: this model ends at" in goal.text
    # N and D grow together: the frontier of the true law, scanned
    budgets = 6 * goal.params * goal.examples * np.geomspace(1, 1e3, 20_001)
    losses = laws.optimum(PASSING, budgets, fit(runs, replicates=50).cost).loss
    exact = float(np.geomspace(1, 1e3, 20_001)[np.argmax(losses <= now / 2)])
    assert goal.compute.low < exact < goal.compute.high
    assert by_loss.by == "the link"
    json.dumps(as_json(found), allow_nan=False)


@pytest.mark.long
def test_data_alone_where_it_is_enough(runs):
    few = runs[runs["examples"] < 2e6]
    goal = answers(fit(few, replicates=200)).goals[0]
    E, A, B, alpha, beta = PASSING
    rest, term = E + A * goal.params**-alpha, B * goal.examples**-beta
    exact = (term / ((rest + term) / 2 - rest)) ** (1 / beta)
    assert goal.data.low < exact < goal.data.high
    assert f"with {goal.data.value * goal.examples / 1e6:.2g}M jets" in goal.text


def test_the_link_is_the_power_that_made_the_scores(runs):
    found = link(runs)
    assert found.power.low < POWER < found.power.high
    assert found.spread < 0.02
    assert found.offsets == {}
    loss = Estimate(value=0.05, low=0.05, high=0.05)
    assert found.at(loss).low < (0.05 / 3) ** POWER < found.at(loss).high


def test_what_the_link_does_not_know_is_in_what_a_goal_needs(runs):
    found = link(runs)
    powers = found.powers(20_000, 0)
    assert np.quantile(powers, [0.025, 0.975]) == pytest.approx(
        [found.power.low, found.power.high], rel=3e-4
    )
    assert not (found.powers(5, 0) == found.powers(5, 1)).any()


@pytest.mark.slow
def test_a_rough_link_makes_a_rough_answer(runs):
    """The law of the loss is the same."""
    few = runs[runs["examples"] < 2e6]
    rng = np.random.default_rng(0)
    rough = few.assign(loss=few["loss"] * np.exp(0.5 * rng.normal(size=len(few))))
    goals = []
    for table in (few, rough.assign(measured_loss=few["measured_loss"])):
        fits = fit(table, replicates=100)
        goals.append(next(g for g in answers(fits).goals if g.by == "the link"))
    widths = [np.log(goal.data.high / goal.data.low) for goal in goals]
    assert widths[1] > 1.5 * widths[0]


def test_mixtures_that_differ_from_the_link_are_named(runs):
    other = runs.assign(mixture="x", loss=runs["loss"] * 1.2)
    found = link(validate(pd.concat([runs, other])))
    assert found.offsets == {
        "m": pytest.approx(-0.091, abs=0.01),
        "x": pytest.approx(0.091, abs=0.01),
    }
    assert "mixtures differ from it: m -8" in found.text


@pytest.mark.long
def test_the_score_of_a_run_that_was_not_made(runs):
    fits = fit(runs, replicates=200)
    found = allocate(fits, 1e14).mixtures["m"]
    score = answers(fits).score("m", found.loss, found.params.value, found.examples.value)
    exact = 1 / float(laws.loss(PASSING, found.params.value, found.examples.value))
    assert score.by_law.low < exact < score.by_law.high
    assert score.by_loss.value == pytest.approx(exact, rel=0.05)
    assert not score.apart


@pytest.mark.slow
def test_a_loss_has_no_goals(grid, truth):
    assert answers(fit(grid({"m": truth}), replicates=50)) is None
    assert link(validate(grid({"m": truth}))) is None
