"""Optional columns: taken over, checked with the row, and asked for by the law that needs them."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError, TableError
from jetscale.scaling import fit, pair_runs, read_runs
from jetscale.scaling.engine.forms import LAWS
from jetscale.scaling.table import COVARIATES, identity, validate


def test_columns_are_taken_over(grid, truth):
    frame = grid({"m": truth}, seeds=1).assign(unique_examples=5.0, trunk="t", other=1)
    runs = validate(frame)
    assert (runs["unique_examples"] == 5.0).all()
    assert (runs["trunk"] == "t").all()
    assert "other" not in runs


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("unique_examples", 0.0, "row 3: unique_examples is 0, needs a finite number above zero"),
        ("pretraining_examples", -1.0, "row 3: pretraining_examples is .*, needs zero or more"),
        ("unique_examples", float("inf"), "row 3: unique_examples"),
    ],
)
def test_bad_values_are_named(grid, truth, column, value, message):
    frame = grid({"m": truth}, seeds=1)
    frame[column] = 1e6
    frame.loc[2, column] = value
    with pytest.raises(TableError, match=message):
        validate(frame)


def test_text_is_refused(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    frame["unique_examples"] = "many"
    with pytest.raises(TableError, match="row 1: unique_examples is 'many'"):
        validate(frame)


def test_missing_columns_are_asked_for(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    for name in ("repetition", "excess", "transfer", "pretraining"):
        column = LAWS[name].columns[0]
        with pytest.raises(FitError, match=f"has no column {column}, which the law '{name}' needs"):
            fit(frame, law=name)


def test_pretraining_needs_sizes(grid, truth):
    frame = validate(grid({"m": truth}, seeds=1))
    law = LAWS["pretraining"]
    assert "from scratch" in law.check(frame.assign(pretraining_examples=0.0))
    assert "needs at least 2" in law.check(frame.assign(pretraining_examples=1e6))
    sizes = [1e6, 1e7] * (len(frame) // 2)
    assert law.check(frame.assign(pretraining_examples=sizes)) == ""


def test_repetition_needs_repeated_examples(grid, truth):
    frame = grid({"m": truth}).assign(unique_examples=1e15)
    with pytest.raises(FitError, match="none is repeated"):
        fit(frame, law="repetition")


@pytest.mark.parametrize("covariate", COVARIATES)
def test_runs_that_differ_in_a_covariate_are_two_runs(grid, truth, covariate):
    frame = grid({"a": truth, "b": truth}, seeds=1)
    twice = pd.concat([frame.assign(**{covariate: size}) for size in (2e8, 1e8)])
    runs = validate(twice)
    assert len(runs) == 2 * len(frame)
    assert covariate in identity(runs)
    per_cell = runs.groupby(["mixture", "cell"])
    assert (per_cell.size() == 1).all(), "different covariates are no seeds of each other"
    assert runs.groupby("cell")[covariate].nunique().max() == 1
    assert runs.groupby("cell")["mixture"].nunique().min() == 2, "the same cell in both mixtures"
    with pytest.raises(TableError, match=f"are the same run: mixture 'a', .*{covariate} 2e"):
        validate(pd.concat([twice, twice]))


def test_one_value_per_mixture_leaves_the_cells_alone(grid, truth):
    frame = grid({"scratch": truth, "qcd": truth})
    plain = validate(frame)
    other = frame.assign(pretraining_examples=np.where(frame["mixture"] == "qcd", 1e6, 0.0))
    assert validate(other)["cell"].tolist() == plain["cell"].tolist()
    assert pair_runs(other).pairs[0].overall == pair_runs(frame).pairs[0].overall


@pytest.mark.long
def test_a_public_table_of_pretraining_sizes(real_data):
    runs = read_runs(real_data / "tables" / "pre.csv")
    laws = fit(runs, law="pretraining", replicates=50)
    assert laws["a"].n_cells == runs["cell"].nunique()
    assert laws["a"]["gamma"].low < laws["a"]["gamma"].high


@pytest.mark.long
def test_repeated_examples_are_pointed_at(grid, truth):
    frame = grid({"m": truth})
    some = frame.assign(unique_examples=frame["examples"] / np.where(frame["seed"] > 0, 4, 1))
    (line,) = fit(some, replicates=50).warnings
    assert line.startswith("48 runs repeat examples")
    assert fit(frame.assign(unique_examples=frame["examples"]), replicates=50).warnings == ()


@pytest.mark.long
def test_pretraining_sizes_that_a_law_leaves_out_are_told(grid, truth):
    frame = grid({"a": truth, "b": truth})
    sizes = np.where(frame["mixture"] == "a", [1e8, 1e9] * (len(frame) // 2), 1e8)
    (line,) = fit(frame.assign(pretraining_examples=sizes), replicates=50).warnings
    assert line.startswith("a: runs differ in pretraining_examples")


def test_only_pretraining_sizes_are_held(grid, truth):
    frame = grid({"m": truth})
    runs = frame.assign(pretraining_examples=[1e8, 1e10] * (len(frame) // 2))
    held = LAWS["pretraining"].held(runs)
    assert held == {"pretraining_examples": pytest.approx(1e9)}
    assert LAWS["pretraining"].assumes(held) == "for models pretrained on 1G examples"
    assert LAWS["transfer"].held(runs) == LAWS["chinchilla"].held(runs) == {}
    assert LAWS["chinchilla"].assumes({}) == ""


@pytest.mark.long
def test_excess_parameters_are_found_where_they_are(grid, truth):
    """The published decays, arXiv 2305.16264: R* 15.4 for examples, 5.3 for parameters."""
    sizes = {"params": np.geomspace(1e7, 3e9, 7), "examples": np.geomspace(1e8, 1e11, 7)}
    frame = grid({"m": truth}, **sizes, seeds=1, noise=0.0)
    parts = [frame.assign(unique_examples=frame["examples"] / often) for often in (1, 4, 30, 200)]
    runs = pd.concat(parts, ignore_index=True)
    law, theta = LAWS["excess"], np.array([*truth, 15.4, 5.3, 0.4])
    at = {"unique_examples": runs["unique_examples"].to_numpy()}
    exact = law.loss(theta, runs["params"].to_numpy(), runs["examples"].to_numpy(), **at)
    runs["loss"] = exact * np.exp(0.001 * np.random.default_rng(0).normal(size=len(runs)))
    found = fit(runs, law="excess", replicates=50)["m"]
    for name, value in zip(law.parameters, theta, strict=True):
        assert found[name].low < value < found[name].high, name
    plain = fit(runs, law="repetition", replicates=50)["m"]
    assert plain.worst_residual > 3 * found.worst_residual
    fresh = {"unique_examples": 1e30}
    assert law.loss(theta, 1e6, 1e12, **fresh) == pytest.approx(law.loss(theta, 1e6, 1e12))
