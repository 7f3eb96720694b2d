"""Resampling by cell, and saying so where the runs do not determine a parameter."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.bootstrap import (
    Replicates,
    cell_weights,
    choose_method,
    parameter_estimates,
    resample,
)
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.table import validate


def test_weights_are_resamples():
    weights = cell_weights(20, 500, seed=1)
    assert weights.shape == (500, 20)
    assert (weights.sum(axis=1) == 20).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.2)
    assert (weights == cell_weights(20, 500, seed=1)).all()


@pytest.mark.slow
def test_a_replicate_is_the_fit_to_the_cells_it_drew(grid, truth):
    runs = validate(grid({"m": truth}, noise=0.02))
    family, objective = Family(CHINCHILLA, Centred.from_runs(runs)), Objective("huber", 0.02)
    q = family.fit(np.ones((1, len(runs))), objective).q
    drawn = resample(family, q, runs, objective, 50, 3, "cells")[0]
    weights = cell_weights(48, 50, seed=3)[0].astype(int)
    repeated = runs.loc[runs.index.repeat(weights[runs["cell"]])].copy()
    repeated["seed"] = np.arange(len(repeated))
    alone = fit(repeated, replicates=50, delta=0.02).mixtures["m"].theta
    assert drawn.theta[0] == pytest.approx(alone, rel=1e-3)


@pytest.mark.long
def test_mixtures_on_the_same_cells_get_the_same_draws(grid, truth):
    frame = grid({"a": truth}, noise=0.02)
    result = fit(pd.concat([frame, frame.assign(mixture="b")], ignore_index=True), replicates=50)
    a, b = result.mixtures["a"], result.mixtures["b"]
    assert (a.replicates.theta == b.replicates.theta).all()


@pytest.mark.slow
def test_well_determined_parameters_are_identified(grid, truth):
    fitted = fit(grid({"m": truth}), replicates=200).mixtures["m"]
    assert all(estimate.identified for estimate in fitted.parameters.values())
    assert all(estimate.identified for estimate in fitted.frontier.values())
    assert fitted.warnings == ()
    assert fitted.at_bounds == ()


@pytest.mark.long
def test_no_effect_of_size_means_alpha_is_not_identified(grid):
    fitted = fit(grid({"m": [1.8, 0.0, 2100.0, 0.35, 0.37]}), replicates=150).mixtures["m"]
    assert not fitted.parameters["alpha"].identified
    assert not fitted.parameters["A"].identified
    assert fitted.parameters["A"].reason
    assert not fitted.frontier["params_exponent"].identified
    assert "alpha" in fitted.frontier["params_exponent"].reason
    assert any("m: alpha not identified at this scale" in line for line in fitted.warnings)
    assert not any("frontier" in line for line in fitted.warnings), "it follows from alpha"


@pytest.mark.slow
def test_what_the_intervals_do_not_cover_is_said(grid, truth):
    said = as_json(fit(grid({"m": truth}), replicates=50))["interval"]
    assert "cells that share training examples count as independent" in said


@pytest.mark.long
def test_no_floor_in_reach_means_e_is_not_identified(grid):
    # data far from saturation: the loss is a pure power law over the whole grid
    theta = [0.0, 5.0, 8.0, 0.1, 0.1]
    fitted = fit(grid({"m": theta}, noise=0.02), replicates=300).mixtures["m"]
    assert not fitted.parameters["E"].identified
    assert "lower bound" in fitted.parameters["E"].reason
    assert "E" in fitted.frontier["data_exponent"].reason
    line = next(line for line in fitted.warnings if line.startswith("m: E not identified"))
    assert "of bootstrap replicates end at its lower bound" in line


@pytest.mark.parametrize(
    ("at_bound", "identified"), [(0, True), (9, True), (11, False), (100, False)]
)
def test_share_at_the_bound_decides(at_bound, identified):
    low = np.zeros((100, 5), dtype=bool)
    low[:at_bound, 0] = True
    draws = np.tile([1.0, 5.0, 6.0, 0.3, 0.4], (100, 1)) + np.linspace(0, 0.05, 100)[:, None]
    none = np.zeros(5, dtype=bool)
    replicates = Replicates(
        draws, low, np.zeros_like(low), np.zeros(100, dtype=bool), np.arange(20), None
    )
    found = parameter_estimates(draws[0], none, none, replicates, lowest_loss=1.5)
    assert found["E"].identified is identified
    assert found["alpha"].identified
    if not identified:
        assert found["E"].reason == f"{at_bound}% of bootstrap replicates end at its lower bound"


def test_a_fit_at_its_bound_is_not_identified_whatever_the_replicates():
    draws = np.tile([1.0, 5.0, 6.0, 1.99, 0.4], (100, 1))
    none, edge = np.zeros(5, dtype=bool), np.array([False, False, False, True, False])
    never = np.zeros((100, 5), dtype=bool)
    replicates = Replicates(draws, never, never, never[:, 0], np.arange(20), None)
    found = parameter_estimates(draws[0], none, edge, replicates, lowest_loss=1.5)
    assert found["alpha"].reason == "the fit itself ends at its upper bound"
    assert found["A"].reason == "alpha is not identified"
    assert found["B"].identified


def test_method_as_asked_or_the_usual_one():
    assert [choose_method(asked) for asked in (None, "cells", "wild")] == [
        "components",
        "cells",
        "wild",
    ]


def test_unknown_method():
    with pytest.raises(FitError, match="uncertainty 'jackknife'"):
        choose_method("jackknife")


@pytest.mark.long
def test_the_method_used_is_said(grid, truth):
    few = grid({"m": truth}, params=[1e7, 1e8, 1e9], examples=[1e8, 1e9, 1e10, 1e11])
    plain = as_json(fit(few, replicates=50))
    assert plain["mixtures"]["m"]["uncertainty"] == "components"
    assert plain["interval"].startswith(
        "refits to a redrawn smooth misfit and effects of cells and runs"
    )
    assert "wild cluster" in fit(few, replicates=50, uncertainty="wild").interval
    shared = few.assign(trunk=few["params"].astype(str) + few["seed"].astype(str))
    assert "effects of trunks, cells and runs" in fit(shared, replicates=50).interval


@pytest.mark.long
def test_few_degrees_of_freedom_are_said(grid, truth):
    cells = grid({"m": truth}, params=[1e7, 1e8, 1e9], examples=[1e8, 1e9, 1e10])
    (line,) = fit(cells.iloc[:16], replicates=50).mixtures["m"].warnings[:1]
    what = "8 cells for 5 parameters: 3 degrees of freedom, intervals are wide and rough"
    assert line == f"m: {what}"
    assert not any("rough" in w for w in fit(cells, replicates=50).mixtures["m"].warnings)


def test_an_exponent_whose_interval_reaches_a_bound_is_not_identified():
    rng = np.random.default_rng(1)
    theta = np.array([1.8, 480.0, 2100.0, 0.9, 0.37]) * np.exp(0.02 * rng.normal(size=(400, 5)))
    theta[:30, 3] = 2.0  # 7.5 % of the replicates: too few for the rule that counts them
    at_bound = np.zeros((400, 5), dtype=bool)
    at_bound[:30, 3] = True
    draws = Replicates(theta, ~at_bound & False, at_bound, at_bound[:, 0], np.arange(20), None)
    none = np.zeros(5, dtype=bool)
    found = parameter_estimates(theta[-1], none, none, draws, 1.9)
    assert found["alpha"].reason == "its interval reaches its upper bound 2"
    assert not found["A"].identified
    assert found["beta"].identified
    assert found["E"].identified
