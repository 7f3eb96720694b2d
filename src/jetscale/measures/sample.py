"""The jets that are measured: equal samples of every mixture and of the downstream task.

A sample takes its jets as the stream of the same name does, with the same seed and quotas, straight
from the shards: what is measured is a subset of what a model is trained on.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import MissingExtra, StudyError
from jetscale.jets.schema import JETS
from jetscale.jets.shards.manifest import check_roles
from jetscale.mixtures.assemble import open_pools
from jetscale.mixtures.inputs import pretraining_stream, stream_plans
from jetscale.mixtures.quota import NOT_DRAWN, slots
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.shuffle import Pool, damaged
from jetscale.mixtures.standardise import standardise
from jetscale.mixtures.stream import StreamPlan
from jetscale.study import Recipe, Simulated, Study

FEWEST = 200  # jets per sample below which intervals mean nothing

Slots = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Jets of one mixture or of the downstream task."""

    table: pa.Table  # the jets to be measured, in a random order, with the columns of the shards
    label_counts: Mapping[str, int]  # jets per label in all the jets that the sample stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Everything that `jetscale measure` reads."""

    reference: Sample  # downstream jets that all others are compared with
    downstream: Sample  # as many other downstream jets
    mixtures: Mapping[str, Sample]
    jets: int  # jets of each


def read_samples(study: Study, shards: Mapping[str, Path], jets: int) -> Samples:
    """Samples of ``jets`` jets, or as many as the pretraining and the downstream pool allow.

    Raises what `check_measurable` does, and DataError for shards damaged or with too few jets.
    """
    check_measurable(study, jets)
    plans = {plan.name: plan for plan in stream_plans(study, dict(shards))}
    pools = [pool for plan in plans.values() for pool in open_pools(plan).values()]
    check_roles(pool.manifest for pool in pools)
    task, most = plans["train-0"], study.recipe.data.pretraining_jets
    available = sum(pool.available for pool in open_pools(task).values())
    jets = min(jets, most, available // 2)
    _check_enough(study, jets)
    table, counts = _read(replace(task, rows=2 * jets)), _label_counts(task)
    mixtures = {}
    for mixture in study.pretrained:
        plan = plans[pretraining_stream(mixture)]
        labels = _label_counts(replace(plan, rows=most))
        mixtures[mixture.name] = Sample(table=_read(replace(plan, rows=jets)), label_counts=labels)
    return Samples(
        reference=Sample(table=table.slice(0, jets), label_counts=counts),
        downstream=Sample(table=table.slice(jets), label_counts=counts),
        mixtures=mixtures,
        jets=jets,
    )


def check_measurable(study: Study, jets: int) -> None:
    """Raise StudyError for no mixture or too few jets, MissingExtra without scikit-learn."""
    if find_spec("sklearn") is None:
        raise MissingExtra("scikit-learn", "measure")
    if study.schema != JETS:
        raise StudyError(
            f"study {study.name!r} is about {study.noun}s; diversity and alignment are measured in "
            "observables of jets, so `measure` is for jets alone"
        )
    if not study.pretrained:
        why = "has no mixture besides scratch; there is nothing to measure"
        raise StudyError(f"study {study.name!r} {why}")
    _check_enough(study, min(jets, study.recipe.data.pretraining_jets))
    if isinstance(study.source, Simulated):
        _check_enough(study, study.source.train_jets // 2)


def _check_enough(study: Study, jets: int) -> None:
    if jets < FEWEST:
        raise StudyError(
            f"study {study.name!r} has {jets} jets per sample to measure, needs {FEWEST}; raise "
            "--jets, pretraining_jets or the training pool, half of which is the reference"
        )


def read_stream(study: Study, shards: Mapping[str, Path], name: str, jets: int) -> pa.Table:
    """The first jets of a stream of the study, such as ``validation``, in stream order."""
    plan = next(plan for plan in stream_plans(study, dict(shards)) if plan.name == name)
    return _read(replace(plan, rows=min(jets, plan.rows)))


def model_inputs(table: pa.Table, recipe: Recipe) -> Ragged:
    """Jets as the models of a study see them."""
    data = recipe.data
    return standardise(table, data.features, data.constituents, scale_pt=data.scale_pt)


def _read(plan: StreamPlan) -> pa.Table:
    """The jets of a plan in stream order, with the columns that all its sources have."""
    _, tables, positions = zip(*_draw(plan, None), strict=True)
    common = set.intersection(*(set(table.column_names) for table in tables))
    shared = [name for name in tables[0].column_names if name in common]
    table = pa.concat_tables([table.select(shared) for table in tables])
    return table.take(np.argsort(np.concatenate(positions)))


def _label_counts(plan: StreamPlan) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for pool, table, _ in _draw(plan, ["jet_label"]):
        classes = pool.manifest.classes
        labels, number = np.unique(table["jet_label"].to_numpy(), return_counts=True)
        counts.update({classes[i]: int(n) for i, n in zip(labels, number, strict=True)})
    return dict(counts)


def _draw(plan: StreamPlan, columns: list[str] | None) -> Iterator[tuple[Pool, pa.Table, Slots]]:
    """The drawn jets of every source of a plan with their positions, reading a group at a time."""
    pools = open_pools(plan)
    available = {name: pool.available for name, pool in pools.items()}
    for name, drawn in slots(plan.quotas, available, plan.seed, plan.name):
        pool = pools[name]
        wanted = np.array([label in pool.labels for label in pool.manifest.classes])
        tables, positions, start = [], [], 0
        for path in map(pool.manifest.path, pool.manifest.shards):
            try:
                with pq.ParquetFile(path) as file:
                    for group in range(file.num_row_groups):
                        labels = file.read_row_group(group, columns=["jet_label"])["jet_label"]
                        eligible = np.flatnonzero(wanted[labels.to_numpy()])
                        mine = drawn[start : start + len(eligible)]
                        start += len(eligible)
                        rows = eligible[mine != NOT_DRAWN]
                        if len(rows):
                            tables.append(file.read_row_group(group, columns=columns).take(rows))
                            positions.append(mine[mine != NOT_DRAWN])
            except (pa.ArrowException, OSError) as error:
                raise damaged(path, error) from error
        yield pool, pa.concat_tables(tables), np.concatenate(positions)
