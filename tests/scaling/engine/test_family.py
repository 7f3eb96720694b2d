"""Laws of several mixtures together: what is shared is equal, what is known is recovered."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.engine.family import Family, check_shared
from jetscale.scaling.engine.forms import CHINCHILLA, LAWS, law_named
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.objective import Objective

LOWER = np.array([1.5, 300.0, 4000.0, 0.35, 0.37])
NESTED = [(), ("E",), ("beta",), ("alpha", "beta"), ("E", "alpha", "beta"), CHINCHILLA.parameters]


def test_nested_fits_are_ordered(grid, truth):
    frame = grid({"a": truth, "b": LOWER})
    group = (frame["mixture"] == "b").to_numpy().astype(int)
    runs, one = Centred.from_runs(frame), np.ones((1, len(frame)))
    value = {
        shared: Family(CHINCHILLA, runs, group, frozenset(shared))
        .fit(one, Objective("huber", 0.025))
        .objective[0]
        for shared in NESTED
    }
    free, everything = value[()], value[CHINCHILLA.parameters]
    assert all(free <= v * (1 + 1e-7) for v in value.values())
    assert all(v <= everything * (1 + 1e-7) for v in value.values())
    assert value["beta",] <= value["alpha", "beta"] <= value["E", "alpha", "beta"]
    assert value["alpha", "beta"] < 1.2 * free, "the exponents are equal"
    assert value["E",] > 1.2 * free, "the floors are not"


@pytest.mark.long
@pytest.mark.parametrize("shared", NESTED)
def test_what_is_shared_is_equal_in_the_fit_and_every_replicate(grid, truth, shared):
    result = fit(grid({"a": truth, "b": LOWER}), replicates=60, shared=shared)
    a, b = result.mixtures["a"], result.mixtures["b"]
    for i, name in enumerate(CHINCHILLA.parameters):
        assert (a.theta[i] == b.theta[i]) == (name in shared)
        assert (a.replicates.theta[:, i] == b.replicates.theta[:, i]).all() == (name in shared)
    assert as_json(result)["shared"] == list(shared)
    assert a.starts_at_optimum > 0


@pytest.mark.slow
def test_free_family_is_every_mixture_alone(grid, truth):
    frame = grid({"a": truth, "b": LOWER})
    group = (frame["mixture"] == "b").to_numpy().astype(int)
    family = Family(CHINCHILLA, Centred.from_runs(frame), group)
    q = family.fit(np.ones((1, len(frame))), Objective("huber", 0.025)).q
    alone = fit(frame, replicates=50, delta=0.025).mixtures
    assert family.theta(q, 0)[0] == pytest.approx(alone["a"].theta, rel=1e-3)
    assert family.theta(q, 1)[0] == pytest.approx(alone["b"].theta, rel=1e-3)


def test_a_shared_exponent_held_is_the_same_for_all(grid, truth):
    frame = grid({"a": truth, "b": LOWER})
    group = (frame["mixture"] == "b").to_numpy().astype(int)
    family = Family(CHINCHILLA, Centred.from_runs(frame), group, frozenset({"beta"}))
    objective, one = Objective("huber", 0.025), np.ones((1, len(frame)))
    best = family.fit(one, objective)
    place = int(family.slots[0, 4])
    assert place == family.slots[1, 4]
    q = best.q.copy()
    q[:, place] = 0.45
    found = family.descend(q, one, objective, held=(place,))
    assert [family.theta(found.q, g)[0, 4] for g in (0, 1)] == [0.45, 0.45]
    assert found.objective[0] > 1.5 * best.objective[0]
    again = family.descend(found.q, one, objective)
    assert again.objective == pytest.approx(best.objective), "let go, it returns"


@pytest.mark.parametrize("shared", [("A",), ("E", "B"), ("E", "A", "alpha", "beta")])
def test_what_cannot_be_shared(shared):
    with pytest.raises(FitError, match=r"shared is .*: mixtures can share some of E, alpha"):
        check_shared(CHINCHILLA, shared)


def test_all_exponents_of_a_law_can_be_shared(grid):
    law = law_named("overfit")
    frame = grid({"a": [1.8, 480.0, 2100.0, 0.35, 0.37], "b": [1.8, 400.0, 2500.0, 0.35, 0.37]})
    n, b = frame["params"].to_numpy(), (frame["mixture"] == "b").to_numpy()
    for name, height in (("a", 300.0), ("b", 400.0)):
        theta = np.array([1.8, 480.0, height, 0.35, 0.37, 0.1])
        rows = frame["mixture"] == name
        frame.loc[rows, "loss"] = law.loss(theta, n[rows], frame["examples"].to_numpy()[rows])
    family = Family(law, Centred.from_runs(frame), b.astype(int), check_shared(law, law.deciding))
    found = family.fit(np.ones((1, len(frame))), Objective("huber", 1e-3))
    for group, height in enumerate((300.0, 400.0)):
        theta = family.theta(found.q, group)[0]
        assert theta == pytest.approx([1.8, 480.0, height, 0.35, 0.37, 0.1], rel=1e-3)


def test_unknown_parameter():
    with pytest.raises(FitError, match="shared parameter 'gamma'"):
        check_shared(CHINCHILLA, ("gamma",))


@pytest.mark.slow
def test_no_floor_is_held_at_zero(grid):
    frame = grid({"m": [0.0, 30.0, 50.0, 0.15, 0.2]}, noise=0.005)
    fitted = fit(frame, replicates=100, law="no-floor").mixtures["m"]
    assert fitted.theta[0] == 0
    assert fitted.parameters["E"].high == 0
    assert fitted.theta[3:] == pytest.approx([0.15, 0.2], abs=0.02)
    assert fitted.at_bounds == ()
    assert fitted.warnings == ()


@pytest.mark.long
def test_repetition_is_recovered(grid, truth):
    frame = grid({"m": truth}, noise=0.0)
    frame["unique_examples"] = np.minimum(frame["examples"], 2e9)
    theta = np.array([*truth, 12.0])
    frame["loss"] = LAWS["repetition"].loss(
        theta, frame["params"], frame["examples"], unique_examples=frame["unique_examples"]
    ) * np.exp(0.003 * np.random.default_rng(0).normal(size=len(frame)))
    fitted = fit(frame, replicates=100, law="repetition").mixtures["m"]
    decay = fitted.parameters["R*"]
    assert decay.low < 12 < decay.high
    assert decay.value == pytest.approx(12, rel=0.2)
    assert fitted.theta[3:5] == pytest.approx(truth[3:], abs=0.03)
    assert fitted.worst_residual < 0.02
    plain = fit(frame, replicates=50, delta=fitted.delta).mixtures["m"]
    assert plain.objective_value > 1.5 * fitted.objective_value


@pytest.mark.slow
def test_hardly_any_repetition_means_no_decay_is_identified(grid, truth):
    frame = grid({"m": truth})
    frame["unique_examples"] = 0.9 * frame["examples"]
    fitted = fit(frame, replicates=80, law="repetition").mixtures["m"]
    assert not fitted.parameters["R*"].identified
    assert fitted.parameters["beta"].identified
    assert any(line.startswith("m: R* not identified") for line in fitted.warnings)


def pretrained(grid, truth, noise=0.003):
    """Scratch and two mixtures whose pretraining is worth 0.1 and 2 times a billion examples."""
    frame = grid({"scratch": truth, "near": truth, "far": truth}, noise=0.0)
    frame["pretraining_examples"] = np.where(frame["mixture"] == "scratch", 0.0, 1e9)
    law, parts = LAWS["transfer"], []
    for name, k in (("scratch", 0.0), ("near", 2e3), ("far", 1e2)):
        part = frame[frame["mixture"] == name].copy()
        theta = np.array([*truth, k, 0.3, 0.4])
        part["loss"] = law.loss(theta, part["params"], part["examples"])
        parts.append(part)
    made = pd.concat(parts, ignore_index=True)
    made["loss"] *= np.exp(noise * np.random.default_rng(0).normal(size=len(made)))
    return made


@pytest.mark.long
def test_transfer_is_recovered(grid, truth):
    result = fit(pretrained(grid, truth), replicates=100, law="transfer")
    near, far, scratch = (result.mixtures[name] for name in ("near", "far", "scratch"))
    assert scratch.theta[5] == 0
    assert list(scratch.parameters) == list(CHINCHILLA.parameters)
    assert (near.theta[:5] == far.theta[:5]).all()
    assert near.theta[3:5] == pytest.approx(truth[3:], abs=0.02)
    for fitted, k in ((near, 2e3), (far, 1e2)):
        moved = fitted.theta[5] * 1e9 ** fitted.theta[6] * 1e8 ** fitted.theta[7]
        assert moved == pytest.approx(k * 1e9**0.3 * 1e8**0.4, rel=0.1)
        assert fitted.parameters["y"].low < 0.4 < fitted.parameters["y"].high
    assert near.curve(1e8, 1e9) < far.curve(1e8, 1e9) < scratch.curve(1e8, 1e9)


def test_transfer_needs_runs_from_scratch(grid, truth):
    frame = pretrained(grid, truth)
    with pytest.raises(FitError, match="needs a mixture from scratch"):
        fit(frame[frame["mixture"] != "scratch"], law="transfer")


@pytest.mark.slow
def test_pretraining_size_is_recovered(grid, truth):
    rng, parts = np.random.default_rng(1), []
    for size in (1e6, 1e8, 1e10):
        part = grid({"m": truth}, noise=0.0, seeds=1)
        part["loss"] = LAWS["pretraining"].loss(
            np.array([*truth, 0.1]), part["params"], part["examples"], pretraining_examples=size
        )
        parts.append(part.assign(pretraining_examples=size, seed=int(np.log10(size))))
    frame = pd.concat(parts, ignore_index=True)
    frame["loss"] *= np.exp(0.003 * rng.normal(size=len(frame)))
    fitted = fit(frame, replicates=100, law="pretraining").mixtures["m"]
    gamma = fitted.parameters["gamma"]
    assert gamma.low < 0.1 < gamma.high
    assert gamma.value == pytest.approx(0.1, abs=0.02)
