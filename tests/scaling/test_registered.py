"""Forecasts registered before the runs exist, and checked after."""

import json

import numpy as np
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import fit, validate
from jetscale.scaling.engine import laws
from jetscale.scaling.estimate import Z
from jetscale.scaling.registered import CheckedCell, Registered, cells_ahead, check, register, up_to

AHEAD = [(3e9, 1e11), (1e10, 3e11)]


@pytest.fixture(scope="module")
def runs(grid, truth):
    """Two mixtures of the law and of one with more data needed."""
    other = truth * [1, 1, 1.3, 1, 1]
    return validate(grid({"x": truth, "y": other}, params=np.geomspace(1e7, 1e9, 5)))


@pytest.fixture(scope="module")
def made(runs):
    return register(fit(runs, replicates=200), AHEAD, runs, seeds=3, made="now", version="1")


def measured(runs, truth, factor=1.0, seeds=(0, 1, 2)):
    """The runs with those of the cells ahead, exactly on their laws times a factor."""
    rows = []
    for name, height in (("x", 1.0), ("y", 1.3)):
        for params, examples in AHEAD:
            loss = laws.loss(truth * [1, 1, height, 1, 1], params, examples) * factor
            rows += [
                {"mixture": name, "params": params, "examples": examples, "seed": s, "loss": loss}
                for s in seeds
            ]
    table = runs.drop(columns="cell")
    return validate(type(table)([*table.to_dict("records"), *rows]))


@pytest.mark.long
def test_what_is_written_down(runs, made):
    assert [(c.mixture, c.params, c.examples) for c in made.cells] == [
        (name, *cell) for name in ("x", "y") for cell in AHEAD
    ]
    largest = (runs["params"] * runs["examples"]).max()
    for cell in made.cells:
        assert cell.low < cell.predicted < cell.high
        assert cell.beyond == pytest.approx(cell.params * cell.examples / largest)
    assert made.runs == len(runs)
    assert made.largest_flops == pytest.approx(6 * largest)
    assert Registered.of(json.loads(json.dumps(as_json(made)))) == made


@pytest.mark.long
def test_a_mean_over_more_seeds_is_surer(runs):
    fits = fit(runs, replicates=200)
    widths = []
    for seeds in (1, 100):
        found = register(fits, AHEAD[:1], runs, seeds=seeds, made="now", version="1")
        widths.append(np.log(found.cells[0].high / found.cells[0].low))
    assert widths[1] < 0.75 * widths[0]


@pytest.mark.slow
def test_true_laws_are_hits(runs, made, truth):
    found = check(made, measured(runs, truth))
    assert all(one.inside and one.runs == 3 for one in found.cells)
    assert not found.changed
    assert "4 of 4 cells inside their 95% prediction intervals, 4 within 1%" in found.text


@pytest.mark.slow
def test_a_mean_over_fewer_runs_than_foreseen_is_given_a_wider_interval(runs, made, truth):
    cell = made.cells[0]
    found = (CheckedCell(cell=cell, runs=count, measured=1.0) for count in (1, 2, 3))
    one, two, three = (each.ends for each in found)
    assert one[0] < two[0] < three[0] == cell.low < cell.high == three[1] < two[1] < one[1]
    # what the law does not know stays; noise grows from that of a third to that of a whole run
    squares = [np.log(np.array(ends) / cell.predicted) ** 2 for ends in (one, three)]
    assert squares[0] - squares[1] == pytest.approx((Z * cell.noise) ** 2 * 2 / 3)
    assert cell.noise == pytest.approx(0.01, rel=0.3)
    off = measured(runs, truth, factor=one[1] / cell.predicted * 0.999, seeds=(0,))
    assert check(made, off).cells[0].inside
    assert check(made, off).cells[0].measured > cell.high


@pytest.mark.slow
def test_a_cell_is_forecast_alike_in_any_company(runs, made):
    fits = fit(runs, replicates=200)
    for cells in (AHEAD[1:], AHEAD[::-1]):
        found = register(fits, cells, runs, seeds=3, made="now", version="1")
        intervals = [{(c.mixture, c.params, c.low, c.high) for c in f.cells} for f in (found, made)]
        assert intervals[0] <= intervals[1]
    alone = register(fits, AHEAD[:1], runs, seeds=1, made="now", version="1").cells[0]
    expected = fits.predict(*AHEAD[0], "x").iloc[0]
    assert (alone.low, alone.high) == (expected["loss_low"], expected["loss_high"])


@pytest.mark.slow
def test_sizes_are_those_of_a_table_to_half_a_percent(runs, made, truth):
    more = measured(runs, truth)
    ahead = more["params"] > runs["params"].max()
    off = more.assign(params=more["params"].where(~ahead, more["params"] * 1.004))
    assert [one.runs for one in check(made, off).cells] == [3] * 4
    far = more.assign(params=more["params"].where(~ahead, more["params"] * 1.01))
    assert [one.runs for one in check(made, far).cells] == [0] * 4


@pytest.mark.long
def test_what_the_law_alone_says_stands_beside_a_forecast_that_bends_from_it(runs):
    bent = runs.drop(columns="cell")
    place = np.log(bent["params"] / 1e8) / np.log(10)
    bent["loss"] *= np.exp(0.03 * place**3)
    fits = fit(bent, replicates=50)
    made = register(fits, AHEAD, runs, seeds=1, made="now", version="1")
    for name in ("x", "y"):
        alone = float(fits[name].curve(*AHEAD[1]))
        line = f"{name}: losses follow how the runs bend from the law, which alone says {alone:.3f}"
        assert any(warning.startswith(line) for warning in made.warnings)


@pytest.mark.long
def test_a_miss_is_a_miss(runs, made, truth):
    found = check(made, measured(runs, truth, factor=1.2))
    assert not any(one.inside for one in found.cells)
    assert "0 of 4 cells inside" in found.text
    assert found.cells[0].error == pytest.approx(0.2, abs=0.02)


def test_what_is_not_run_yet_is_said(runs, made, truth):
    assert check(made, runs).text == "None of the 4 cells forecast has been run."
    later = measured(runs, truth)
    part = later[~((later["mixture"] == "y") & (later["params"] > 1e9))]
    assert "; 2 cells not run yet." in check(made, part).text


def test_other_runs_than_those_it_rests_on_are_noticed(runs, made, truth):
    later = measured(runs, truth)
    later.loc[3, "loss"] *= 1.001
    assert "80 then, 80 now" not in check(made, later).text
    assert f"{len(runs)} then, {len(runs)} now" in check(made, later).changed
    assert f"{len(runs)} then, {len(runs) - 1} now" in check(made, later.drop(index=5)).changed
    shuffled = measured(runs, truth).sample(frac=1, random_state=1)
    assert not check(made, shuffled).changed


def test_cells_run_since_change_nothing(runs, made, truth):
    table = measured(runs, truth).drop(columns="cell")
    small = table.iloc[[0]].assign(params=2e7, examples=3e8)
    assert not check(
        made, validate(type(table)([*table.to_dict("records"), *small.to_dict("records")]))
    ).changed
    seed = table.iloc[[0]].assign(seed=9, loss=3.0)
    more = validate(type(table)([*table.to_dict("records"), *seed.to_dict("records")]))
    assert check(made, more).changed


@pytest.mark.slow
def test_a_cell_that_was_run_is_refused(runs):
    fits = fit(runs, replicates=50)
    cell = tuple(runs.loc[0, ["params", "examples"]])
    with pytest.raises(FitError, match=r"N = 10M, D = 100M has been run"):
        register(fits, [cell], runs, seeds=1, made="now", version="1")
    rounded = cell[0] * 1.004, cell[1] * 0.996
    with pytest.raises(FitError, match="has been run"):
        register(fits, [rounded], runs, seeds=1, made="now", version="1")
    with pytest.raises(FitError, match="is named twice"):
        register(fits, [AHEAD[0]] * 2, runs, seeds=1, made="now", version="1")


@pytest.mark.long
def test_only_mixtures_without_runs_of_a_cell_are_forecast(runs, truth):
    fits = fit(runs, replicates=50)
    later = measured(runs, truth)
    known = later[~((later["mixture"] == "y") & (later["params"] > 5e9))]
    assert cells_ahead(AHEAD, fits, known, beyond=1) == AHEAD[1:]
    made = register(fits, AHEAD[1:], known, seeds=1, made="now", version="1")
    assert [(cell.mixture, cell.params) for cell in made.cells] == [("y", 1e10)]


@pytest.mark.long
def test_intervals_reach_over_those_of_laws_that_are_not_refuted(runs):
    fits, rival = (fit(runs, replicates=50, law=law) for law in ("chinchilla", "no-floor"))
    how = {"seeds": 1, "made": "now", "version": "1"}
    alone, other = (register(one, AHEAD, runs, **how) for one in (fits, rival))
    both = register(fits, AHEAD, runs, rivals=[rival], **how)
    for own, its, cell in zip(alone.cells, other.cells, both.cells, strict=True):
        assert (cell.low, cell.high) == (min(own.low, its.low), max(own.high, its.high))
        assert cell.predicted == own.predicted
    assert any(cell.high > own.high for cell, own in zip(both.cells, alone.cells, strict=True))
    assert "laws not refuted by these runs are in the intervals: no-floor" in both.warnings


def test_parts_of_a_table(runs):
    some = up_to(runs, 1e19)
    assert (6 * some["params"] * some["examples"]).max() <= 1e19 * (1 + 1e-6)
    assert len(up_to(runs, 1e30)) == len(runs)


@pytest.mark.long
def test_cells_ahead_are_far_beyond_and_not_run(runs):
    fits = fit(runs, replicates=50)
    cell, near = tuple(runs.loc[0, ["params", "examples"]]), (1.1e9, 1e11)
    assert cells_ahead([cell, near, *AHEAD], fits, runs, 3) == AHEAD
    assert cells_ahead([cell, near, *AHEAD], fits, runs, 0) == [near, *AHEAD]
    with pytest.raises(FitError, match=r"has 1000 times the compute.*lower --up-to"):
        cells_ahead(AHEAD, fits, runs, 1000)


@pytest.mark.parametrize("plain", [{}, {"cells": 3}, {"cells": [{"mixture": "x"}]}, []])
def test_other_files_are_refused(plain):
    with pytest.raises(FitError, match="no registered forecast"):
        Registered.of(plain)
