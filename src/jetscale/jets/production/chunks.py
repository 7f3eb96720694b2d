"""One chunk of simulated jets: a number of events of one process, from a seed to a table.

Its jets depend on nothing else, so a job has the same jets whichever workers make its chunks.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.jets.detector import recluster
from jetscale.jets.detector.detector import VERTEX_SPREAD, Candidates, detect, subtract_pileup
from jetscale.jets.generator import labels
from jetscale.jets.generator.conditions import DEFAULT, JETCLASS_WINDOW, Conditions, Window
from jetscale.jets.generator.processes import Process, process_named
from jetscale.jets.generator.pythia import (
    BATCH,
    EventRecord,
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
    number: int = 0
    """Which chunk of its source in the job."""
    conditions: Conditions = DEFAULT

    def __str__(self) -> str:
        return f"simulation of {self.source!r}, chunk {self.number} (seed {self.seed})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The labelled jets of a chunk, and what became of the others."""

    table: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)
    """events, jets (in the pT and eta window), unmatched, unlabelled, unselected, accepted."""
    cpu_seconds: float = 0.0


def make_overlay(seed: int, role: str, window: Window = JETCLASS_WINDOW) -> tuple[SoftPool, float]:
    """The soft events of a job, and the CPU seconds they took."""
    start = time.process_time()
    pool = make_soft_pool(OVERLAY_EVENTS, chunk_seed(seed, role, OVERLAY, 0), window)
    return pool, time.process_time() - start


def simulate_chunk(chunk: Chunk, pool: SoftPool) -> Harvest:
    """Run a chunk to the end; equal chunks and pools give equal tables."""
    start = time.process_time()
    pa.set_cpu_count(1)  # as many chunks run side by side as there are cores
    process = process_named(chunk.source, chunk.conditions.window)
    generators = make_generators(process, chunk.seed, chunk.conditions.range)
    rng = np.random.default_rng([chunk.seed, 1])  # the gun uses the seed itself
    limit = BATCH if chunk.conditions.pileup < CROWDED else BATCH // 5
    batch = min(limit, -(-chunk.events // len(generators)))
    tables: list[pa.Table] = []
    counts, done = Counter[str](), 0
    while done < chunk.events:
        asked = min(batch, chunk.events - done)
        generator = generators[len(tables) % len(generators)]
        record = generator.events(asked)
        particles = overlay(generator.particles(record), len(record), pool, OVERLAY_MEAN, rng)
        if chunk.conditions.pileup:
            mean = chunk.conditions.pileup
            particles = overlay(particles, len(record), pool, mean, rng, spread=VERTEX_SPREAD)
            candidates = subtract_pileup(detect(particles, rng))
        else:
            candidates = detect(particles, rng)
        first_event = (chunk.seed << _EVENT_BITS) + done
        tables.append(_labelled_jets(process, record, candidates, chunk, first_event, counts))
        done += asked
    seconds = time.process_time() - start
    return Harvest(table=pa.concat_tables(tables), counts=dict(counts), cpu_seconds=seconds)


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
