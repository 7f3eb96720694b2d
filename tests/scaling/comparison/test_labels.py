"""The permutation test: exact under swapped names, blind to order, fair with unequal seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jetscale.as_json import as_json
from jetscale.scaling.comparison.joint import Pair
from jetscale.scaling.comparison.labels import label_test, link_by_trunk
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.table import validate

SMALL = {"params": tuple(np.geomspace(1e7, 3e9, 4)), "examples": tuple(np.geomspace(1e8, 1e11, 4))}


def outcome(frame, replicates=99, seed=0, by_trunk=False):
    a, b = (part for _, part in validate(frame).groupby("mixture", sort=False))
    pair = Pair(a, b, CHINCHILLA, Objective("huber", 0.025), by_trunk)
    return label_test(pair, replicates, seed)


def misfit(frame, random, common):
    """Losses moved by 2% per cell, for both mixtures alike and for each on its own."""
    rng = np.random.default_rng(random)
    off = rng.normal(size=(16, 3)) * [common, 0.02, 0.02]
    cell = frame.groupby(["params", "examples"]).ngroup().to_numpy()
    own = off[cell, 1 + (frame["mixture"] == "b").to_numpy()]
    return frame.assign(loss=frame["loss"] * np.exp(off[cell, 0] + own))


@pytest.mark.integration
def test_p_values_are_uniform_when_labels_mean_nothing(grid, truth):
    """Exact whatever the cells do, here with deviations the seeds of a cell have in common."""
    p = [
        outcome(
            misfit(grid({"a": truth, "b": truth}, random=r, **SMALL), r, 0.05), 19, r
        ).p_value_uncorrected
        for r in range(100)
    ]
    rejected = sum(value <= 0.05 for value in p)
    assert stats.binomtest(rejected, len(p), 0.05).pvalue > 0.002
    counts = np.bincount(np.ceil(np.array(p) * 4 - 1e-9).astype(int), minlength=5)[1:]
    assert stats.chisquare(counts).pvalue > 0.002


def test_another_height_is_found(grid, truth):
    lower = truth * [1, 1, 0.9, 1, 1]
    found = outcome(grid({"a": truth, "b": lower}, **SMALL))
    assert found.p_value_uncorrected == 0.01
    assert (found.n_clusters, found.n_runs) == (16, 32)
    assert "swapped" in as_json(found)["method"]


def test_the_order_of_mixtures_does_not_matter(grid, truth):
    frame = grid({"a": truth, "b": truth * [1, 1, 0.99, 1, 1]}, **SMALL)
    other_way = pd.concat([frame[frame["mixture"] == name] for name in "ba"])
    assert outcome(frame) == outcome(other_way)


def test_identical_runs_are_no_evidence(grid, truth):
    frame = grid({"a": truth}, **SMALL)
    both = pd.concat([frame, frame.assign(mixture="b")], ignore_index=True)
    assert outcome(both).p_value == 1.0


def test_as_many_seeds_count_as_both_have(grid, truth):
    frame = grid({"a": truth, "b": truth}, seeds=3, **SMALL)
    gone = (frame["mixture"] == "b") & (frame["seed"] == 0)
    renamed = frame[~gone].assign(seed=lambda f: f["seed"] + 10 * (f["mixture"] == "b"))
    assert outcome(frame[~gone]).n_runs == outcome(renamed).n_runs == 32
    assert outcome(frame[~gone]) == outcome(renamed), "the names of seeds mean nothing"


def test_runs_of_a_trunk_are_swapped_together(grid, truth):
    frame = grid({"a": truth, "b": truth * [0.8, 1, 1, 1, 1]}, **SMALL)
    assert outcome(frame, by_trunk=True).n_clusters == 8, "4 model sizes x 2 seeds"
    own = frame.assign(trunk=np.arange(len(frame)))
    assert outcome(own, by_trunk=True).n_clusters == 32, "every run has a trunk of its own"
    one = frame.assign(
        trunk=[f"{m}{n}" for m, n in zip(frame["mixture"], frame["params"], strict=True)]
    )
    found = outcome(one, by_trunk=True)
    assert found.n_clusters == 4
    assert found.p_value >= 0.05, "four clusters have eight labellings: 1/8 is the least"


@pytest.mark.parametrize("replicates", [19, 99])
def test_the_p_value_counts_the_labels_as_given(grid, truth, replicates):
    found = outcome(grid({"a": truth, "b": truth * [0.8, 1, 1, 1, 1]}, **SMALL), replicates)
    assert found.p_value_uncorrected == pytest.approx(1 / (1 + replicates))


def test_trunks_link_runs_of_one_size():
    n, d, s = (a.ravel() for a in np.meshgrid([1e6, 1e7], [1e3, 1e4, 1e5], [0, 1], indexing="ij"))
    columns = {"params": n, "examples": d, "loss": 1.0, "seed": s.astype(int)}
    runs = validate(pd.DataFrame({"mixture": "m"} | columns))
    clusters = link_by_trunk(runs)
    assert len(np.unique(clusters)) == 2
    assert (np.unique(n, return_inverse=True)[1] == clusters).all()
    # with one seed per data size nothing but the named trunks links runs
    one = runs[runs["seed"] == 0].assign(trunk=["a", "a", "b", "c", "d", "d"])
    assert link_by_trunk(one).tolist() == [0, 0, 1, 2, 3, 3]
