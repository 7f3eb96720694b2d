"""One chunk of simulated jets: what a worker process does, from a seed to a table.

A chunk is a number of events of one process with a seed of its own; its jets depend on nothing
else, so that the jets of a job do not depend on how many workers share it. A chunk holds one Pythia
(two where a process alternates between decay settings) and runs on one thread.
Seeds come from `jetscale.jets.generator.seeds`.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import parent_process
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.jets.detector import recluster
from jetscale.jets.detector.detector import (
    VERTEX_SPREAD,
    Candidates,
    detect,
    subtract_pileup,
)
from jetscale.jets.generator import labels
from jetscale.jets.generator.conditions import DEFAULT, JETCLASS_WINDOW, Conditions, Window
from jetscale.jets.generator.processes import Process, process_named
from jetscale.jets.generator.pythia import (
    BATCH,
    EventRecord,
    Particles,
    SoftPool,
    make_generators,
    make_soft_pool,
    overlay,
)
from jetscale.jets.generator.seeds import OVERLAY, chunk_seed
from jetscale.jets.schema import EVENT, JETCLASS, JETCLASS2, PART_COLUMNS
from jetscale.jets.shards.columns import COLUMNS, arrow_type

UNSELECTED = -3  # a label that the part does not ask for
CROWDED = 5.0  # pile-up from which fewer events share a batch
OVERLAY_EVENTS, OVERLAY_MEAN = 500, 1.5
_EVENT_BITS = 21  # events of a chunk fit into these low bits of the event number

SCHEMA = pa.schema([pa.field(name, arrow_type(name), nullable=False) for name in COLUMNS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """An order for ``events`` events of one process; ``seed`` is that of `chunk_seed`."""

    source: str
    seed: int
    events: int
    conditions: Conditions = DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The labelled jets of a chunk, and what became of the others."""

    table: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)
    """events, jets (in the pT and eta window), unmatched, unlabelled, unselected, accepted."""
    cpu_seconds: float = 0.0


class Stopped(Exception):
    """The job is over; what remains of a chunk is not wanted."""


_stop: Any = None  # the job's event, in a worker process


def start_worker(stop: Any) -> None:
    """Prepare a worker process: one thread, no share in Ctrl-C, no life after its parent.

    When the event ``stop`` is set, the chunk at work ends after its current batch.
    """
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _check_stop() -> None:
    if _stop is not None and _stop.is_set():
        raise Stopped


def make_overlay(seed: int, role: str, window: Window = JETCLASS_WINDOW) -> tuple[SoftPool, float]:
    """The soft events of a job, and the CPU seconds they took."""
    start = time.process_time()
    first = chunk_seed(seed, role, OVERLAY, 0)
    pool = make_soft_pool(OVERLAY_EVENTS, first, window)
    return pool, time.process_time() - start


def simulate_chunk(chunk: Chunk, pool: SoftPool) -> Harvest:
    """Run a chunk to the end; equal chunks and pools give equal tables."""
    start = time.process_time()
    process = process_named(chunk.source, chunk.conditions.window)
    generators = make_generators(process, chunk.seed, chunk.conditions.range)
    rng = np.random.default_rng([chunk.seed, 1])  # the gun uses the seed itself
    limit = BATCH if chunk.conditions.pileup < CROWDED else BATCH // 5
    batch = min(limit, -(-chunk.events // len(generators)))
    tables: list[pa.Table] = []
    counts, done = Counter[str](), 0
    while done < chunk.events:
        _check_stop()
        asked = min(batch, chunk.events - done)
        generator = generators[len(tables) % len(generators)]
        record = generator.events(asked)
        particles = overlay(generator.particles(record), len(record), pool, OVERLAY_MEAN, rng)
        candidates = _observed(particles, len(record), pool, chunk.conditions, rng)
        first_event = (chunk.seed << _EVENT_BITS) + done
        tables.append(_labelled_jets(process, record, candidates, chunk, first_event, counts))
        done += asked
    return Harvest(
        table=pa.concat_tables(tables),
        counts=dict(counts),
        cpu_seconds=time.process_time() - start,
    )


def _observed(
    particles: Particles,
    n_events: int,
    pool: SoftPool,
    conditions: Conditions,
    rng: np.random.Generator,
) -> Candidates:
    """What the detector makes of the particles, with and after mitigation of the pile-up."""
    if not conditions.pileup:
        return detect(particles, rng)
    crowded = overlay(particles, n_events, pool, conditions.pileup, rng, spread=VERTEX_SPREAD)
    return subtract_pileup(detect(crowded, rng))


def _labelled_jets(
    process: Process,
    record: EventRecord,
    candidates: Candidates,
    chunk: Chunk,
    first_event: int,
    counts: Counter[str],
) -> pa.Table:
    jets = recluster.find_jets(candidates, len(record), chunk.conditions.range)
    label = label_jets(process, record, jets)
    counts.update(
        events=len(record),
        jets=len(jets),
        unmatched=int((label == labels.UNMATCHED).sum()),
        unlabelled=int((label == labels.NO_LABEL).sum()),
        unselected=int((label == UNSELECTED).sum()),
        accepted=int((label >= 0).sum()),
    )
    chosen = np.flatnonzero(label >= 0)
    jets = jets.take(chosen)
    columns = recluster.constituent_columns(candidates, jets)
    columns |= recluster.jet_columns(candidates, jets)
    columns["jet_label"] = label[chosen].astype(np.int32)
    columns[EVENT] = first_event + jets.event
    return to_table(columns, jets.start)


def label_jets(process: Process, record: EventRecord, jets: recluster.Jets) -> NDArray[np.int64]:
    """Class index in the process's corpus, or UNMATCHED, NO_LABEL or UNSELECTED, per jet."""
    axes = labels.JetAxes(event=jets.event, eta=jets.eta, phi=jets.phi, radius=recluster.RADIUS)
    if process.family == "QCD":
        return np.zeros(len(jets), dtype=np.int64)
    if process.family in JETCLASS:
        whole = labels.match_resonances(labels.decay_leaves(record), axes)
        return np.where(whole, JETCLASS.index(process.family), labels.UNMATCHED)
    if process.family == "qcd":
        label = labels.label_qcd(labels.shower_partons(record), axes)
    else:
        label = labels.label_resonances(labels.decay_leaves(record), axes)
    wanted = np.isin(label, [JETCLASS2.index(name) for name in process.labels])
    return np.where((label < 0) | wanted, label, UNSELECTED)


def to_table(columns: Mapping[str, NDArray[Any]], start: NDArray[np.int64]) -> pa.Table:
    """An Arrow table with the schema's columns; constituent columns are split at ``start``."""
    offsets = pa.array(start.astype(np.int32))
    arrays = []
    for column in SCHEMA:
        values = pa.array(columns[column.name])
        if column.name in PART_COLUMNS:
            values = pa.ListArray.from_arrays(offsets, values, type=column.type)
        arrays.append(values)
    return pa.table(arrays, schema=SCHEMA)
