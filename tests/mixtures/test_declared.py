"""Shards that declared simulators make."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures import stars

from jetscale.errors import DataError, SweepError
from jetscale.executor import in_process, process_pool
from jetscale.jets.shards import open_shards, verify
from jetscale.mixtures import declared
from jetscale.mixtures.declared import declared_requests
from jetscale.mixtures.inputs import ensure_shards
from jetscale.planning import plan_runs, pretraining_examples
from jetscale.study import Controls, Declared, Mixture, ModelSize, Study


def killed(classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
    """A simulator whose process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield


def unseeded(classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
    """A simulator that takes its seed from the system."""
    yield from stars.light_curves(classes, rows, int(np.random.default_rng().integers(2**40)))


@pytest.fixture(autouse=True)
def small_calls(monkeypatch):
    monkeypatch.setattr(declared, "ROWS_PER_CALL", 25)


@pytest.fixture
def study():
    source = Declared(
        downstream=stars.corpus("catalogue", simulate=stars.two_numbers),
        pretraining=(stars.corpus("curves"),),
        train_examples=60,
    )
    return Study(
        name="stars",
        source=source,
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="all", parts={"curves": 1}),
            Mixture(name="most", parts={"curves:flare,cepheid": 1}),
        ),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(20, 40),
        seeds=(1,),
        recipe=Controls(
            pretraining_jets=40, validation_jets=10, test_jets=10, constituents=6, features="all"
        ),
    )


def make(study, home, workers=1, progress=lambda what, done, total: None):
    if workers == 1:
        return ensure_shards(study, home, in_process, progress)
    with process_pool(workers) as pool:
        return ensure_shards(study, home, pool, progress)


def rows_of(folder):
    return pq.read_table(folder / "shard-00000.parquet").to_pylist()


def test_every_role_and_part_gets_its_shards(study, tmp_path):
    seen = []
    made = make(study, tmp_path, progress=lambda *call: seen.append(call))
    assert {name: verify(folder).manifest.rows for name, folder in made.items()} == {
        "train": 60,
        "validation": 10,
        "test": 10,
        "pretrain-curves": 40,
        "pretrain-curves:cepheid,flare": 40,
    }
    manifest = open_shards(made["pretrain-curves:cepheid,flare"])
    assert manifest.present == ("cepheid", "flare")
    assert manifest.classes == stars.KINDS
    assert manifest.provenance["seed"] == 1
    assert seen[0] == ("simulating stars", 0, 160)
    assert seen[-1] == ("simulating stars", 160, 160)


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_a_simulator_that_ignores_its_seed_is_refused(study, tmp_path, workers):
    wild = replace(study.source, pretraining=(stars.corpus("curves", simulate=unseeded),))
    with pytest.raises(DataError, match=r"simulator of 'curves': a second call with seed \d+ made"):
        make(replace(study, source=wild), tmp_path, workers)


@pytest.mark.long
def test_other_processes_make_the_same_examples(study, tmp_path):
    alone, shared = make(study, tmp_path / "a"), make(study, tmp_path / "b", workers=2)
    for name in alone:
        assert alone[name].name == shared[name].name
        assert rows_of(alone[name]) == rows_of(shared[name])


def test_roles_and_calls_share_no_example(study, tmp_path):
    made = make(study, tmp_path)
    rows = [str(row) for folder in made.values() for row in rows_of(folder)]
    assert len(set(rows)) == len(rows) == 160


def test_what_is_there_is_not_made_again(study, tmp_path, monkeypatch):
    first = make(study, tmp_path)
    monkeypatch.setattr(declared, "call_simulators", None)  # calling it would fail
    wider = replace(study, data_sizes=(10, 50), name="another")
    assert make(wider, tmp_path) == first


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"downstream": stars.corpus("catalogue", simulate=stars.two_numbers, version=2)},
        {"downstream": stars.corpus("catalogue", simulate=stars.light_curves)},
    ],
)
def test_another_simulator_or_seed_makes_other_examples_and_runs(study, tmp_path, change):
    other = replace(study, source=replace(study.source, **change))
    names = [
        {r.folder(tmp_path).name for r in declared_requests(s, s.source)} for s in (study, other)
    ]
    assert not {n for n in names[0] if n.startswith("train")} & names[1]
    keys = [{run.key for run in plan_runs(s)} for s in (study, other)]
    assert not keys[0] & keys[1]


def test_another_pretraining_simulator_changes_pretrained_runs_alone(study):
    curves = stars.corpus("curves", version=2)
    other = replace(study, source=replace(study.source, pretraining=(curves,)))
    pairs = zip(plan_runs(study), plan_runs(other), strict=True)
    assert all((a.key == b.key) == a.mixture.is_scratch for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_simulator_is_one_line_and_leaves_nothing(study, tmp_path, workers):
    bad = stars.corpus("catalogue", simulate=stars.broken)
    study = replace(study, source=replace(study.source, downstream=bad))
    with pytest.raises(DataError, match=r"corpus 'catalogue': .* ZeroDivisionError: no such star"):
        make(study, tmp_path, workers)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.long
def test_a_process_that_dies_is_one_line(study, tmp_path):
    bad = stars.corpus("catalogue", simulate=killed)
    study = replace(study, source=replace(study.source, downstream=bad))
    with pytest.raises(
        SweepError, match=r"simulation of 'catalogue', call \d: the process .* died 3 times"
    ):
        make(study, tmp_path, 2)


def exits(classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
    """A simulator that ends the program."""
    raise SystemExit("no licence")
    yield


def flares(classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
    """Stars of one class whatever is asked for."""
    yield from stars.two_numbers(("flare",), rows, seed)


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_a_simulator_that_exits_is_named(study, tmp_path, workers):
    bad = stars.corpus("catalogue", simulate=exits)
    study = replace(study, source=replace(study.source, downstream=bad))
    with pytest.raises(DataError, match=r"corpus 'catalogue': .* SystemExit: no licence"):
        make(study, tmp_path, workers)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"downstream": stars.corpus("catalogue", simulate=flares)}, "training pool"),
        ({"pretraining": (stars.corpus("curves", simulate=flares),)}, "mixture 'all'"),
    ],
)
def test_examples_that_are_all_of_one_class_are_refused(study, tmp_path, change, what):
    study = replace(study, source=replace(study.source, **change))
    with pytest.raises(DataError, match=f"of its {what} are all of {{'flare'}}, so there"):
        make(study, tmp_path)


def test_what_decides_an_equal_flops_budget_is_in_the_keys(study):
    def runs(budget, **changes):
        source = replace(study.source, downstream=stars.corpus("catalogue", **changes))
        recipe = study.recipe.change(pretraining_budget=budget)
        return plan_runs(replace(study, source=source, recipe=recipe))

    for budget in ("jets", "flops"):
        pairs = zip(*(runs(budget, typical_length=n) for n in (3, 5)), strict=True)
        same = budget == "jets"
        assert all((a.key == b.key) == (same or a.mixture.is_scratch) for a, b in pairs)


def test_a_budget_of_another_field_is_that_of_a_model_of_its_task(study):
    study = replace(study, recipe=study.recipe.change(pretraining_budget="flops"))
    mixture, size = study.mixtures[1], study.ladder[0]
    paid = pretraining_examples(study, mixture, size, np.full(80, 6), 3)
    assert paid == 40  # as many as typical ones, which have all six points
