"""One chunk of simulated jets: what a worker process does, from a seed to a table.

A chunk is a number of events of one process with a seed of its own; its jets depend on nothing
else, so that the jets of a job do not depend on how many workers share it. A chunk holds one Pythia
(two where a process alternates between decay settings) and runs on one thread.

Seeds are allotted so that no event can be made twice: each (role, source) owns a range of Pythia's
900 million seeds, the user's seed hashes to a place in it, and chunks count on from there. A chunk
owns as many seeds as its process has variants.
"""

import hashlib
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

from jetscale.jets import labels, recluster, truth
from jetscale.jets.columns import COLUMNS, arrow_type
from jetscale.jets.detector import detect
from jetscale.jets.processes import PROCESSES, Process, process_named
from jetscale.jets.schema import EVENT, JETCLASS, PART_COLUMNS, ROLES
from jetscale.jets.simulate import (
    BATCH,
    MAX_SEED,
    EventRecord,
    Generator,
    SoftPool,
    make_generators,
    make_soft_pool,
    overlay,
)

OVERLAY_EVENTS, OVERLAY_MEAN = 500, 1.5
_OVERLAY = "overlay"
_SOURCES = (*PROCESSES, _OVERLAY)
_SPAN = MAX_SEED // (len(ROLES) * len(_SOURCES))
_EVENT_BITS = 21  # events of a chunk fit into these low bits of the event number

SCHEMA = pa.schema([pa.field(name, arrow_type(name), nullable=False) for name in COLUMNS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """An order for ``events`` events of one process; ``seed`` is that of `chunk_seed`."""

    source: str
    seed: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The labelled jets of a chunk, and what became of the others."""

    table: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)
    """events, jets (in the pT and eta window), unmatched, unlabelled, accepted."""
    cpu_seconds: float = 0.0


def chunk_seed(seed: int, role: str, source: str, number: int) -> int:
    """Pythia's first seed of chunk ``number``, 1 to 900000000.

    The chunk owns this seed and the next ones, one per variant of its process. Ranges of different
    (role, source) are disjoint; within one, no two chunks own the same seed.
    """
    text = f"jetscale simulation {seed} {role} {source}"
    digest = hashlib.sha256(text.encode()).digest()
    variants = len(PROCESSES[source].variants) if source in PROCESSES else 1
    places = _SPAN // variants  # whole chunks only, so that none reaches into the next range
    place = (int.from_bytes(digest[:8], "big") + number) % places
    segment = ROLES.index(role) * len(_SOURCES) + _SOURCES.index(source)
    return 1 + segment * _SPAN + variants * place


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


def make_overlay(seed: int, role: str) -> tuple[SoftPool, float]:
    """The soft events of a job, and the CPU seconds they took."""
    start = time.process_time()
    pool = make_soft_pool(OVERLAY_EVENTS, chunk_seed(seed, role, _OVERLAY, 0))
    return pool, time.process_time() - start


def simulate_chunk(chunk: Chunk, pool: SoftPool) -> Harvest:
    """Run a chunk to the end; equal chunks and pools give equal tables."""
    start = time.process_time()
    _check_stop()
    process = process_named(chunk.source)
    generators = make_generators(process, chunk.seed)
    rng = np.random.default_rng([chunk.seed, 1])  # the gun uses the seed itself
    batch = min(BATCH, -(-chunk.events // len(generators)))
    tables: list[pa.Table] = []
    counts, done = Counter[str](), 0
    while done < chunk.events:
        _check_stop()
        generator = generators[len(tables) % len(generators)]
        asked = min(batch, chunk.events - done)
        first_event = (chunk.seed << _EVENT_BITS) + done
        tables.append(_batch(process, generator, asked, pool, rng, first_event, counts))
        done += asked
    return Harvest(
        table=pa.concat_tables(tables),
        counts=dict(counts),
        cpu_seconds=time.process_time() - start,
    )


def _batch(
    process: Process,
    generator: Generator,
    n: int,
    pool: SoftPool,
    rng: np.random.Generator,
    first_event: int,
    counts: Counter[str],
) -> pa.Table:
    record = generator.events(n)
    particles = overlay(generator.particles(record), len(record), pool, OVERLAY_MEAN, rng)
    candidates = detect(particles, rng)
    jets = recluster.find_jets(candidates, len(record))
    label = label_jets(process.name, record, jets)
    counts.update(
        events=len(record),
        jets=len(jets),
        unmatched=int((label == labels.UNMATCHED).sum()),
        unlabelled=int((label == labels.NO_LABEL).sum()),
        accepted=int((label >= 0).sum()),
    )
    chosen = np.flatnonzero(label >= 0)
    jets = jets.take(chosen)
    columns = recluster.constituent_columns(candidates, jets)
    columns |= recluster.jet_columns(candidates, jets)
    columns["jet_label"] = label[chosen].astype(np.int32)
    columns[EVENT] = first_event + jets.event
    return to_table(columns, jets.start)


def label_jets(source: str, record: EventRecord, jets: recluster.Jets) -> NDArray[np.int64]:
    """Class index in the source's corpus, or UNMATCHED or NO_LABEL, for each jet."""
    axes = labels.JetAxes(event=jets.event, eta=jets.eta, phi=jets.phi, radius=recluster.RADIUS)
    if source == "QCD":
        return np.zeros(len(jets), dtype=np.int64)
    if source == "qcd":
        return labels.label_qcd(truth.shower_partons(record), axes)
    leaves = truth.decay_leaves(record)
    if source in JETCLASS:
        whole = labels.matched(leaves, axes)
        return np.where(whole, JETCLASS.index(source), labels.UNMATCHED)
    return labels.label_resonances(leaves, axes)


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
