"""Shards to blocks in two steps, an external shuffle on disk.

`write_runs` reads a shard row group by row group, standardises the jets that were drawn and leaves
them as runs: files of jets sorted by their position in the stream. `write_blocks` collects the
jets of a few blocks from all runs and writes the blocks. Either holds a bounded number of bytes,
whatever the length of the stream. Both depend on their argument alone, so any machinery may do the
tasks of a step in any order; the bytes of the blocks are the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import DataError, StorageError
from jetscale.jets.shards.manifest import check_shard
from jetscale.mixtures.quota import NOT_DRAWN
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.standardise import columns_for, standardise
from jetscale.mixtures.stream import concatenate, read_block, write_block, write_jets
from jetscale.mixtures.work import SCRATCH, Bucket, Job, damaged
from jetscale.store.local import storage_error

RUN_BYTES = 64 << 20
"""Constituents held before a run is written."""

Row = dict[str, Any]


def write_runs(job: Job) -> list[Row]:
    """Do one job; one row with the number of its ``jets``.

    Raises
    ------
    DataError
        The shard is damaged or is not the one of its manifest.
    StorageError
        The folder of the stream is not on this machine, or cannot be written.
    """
    scratch = job.slots.parent
    if not scratch.is_dir():
        raise StorageError(f"{scratch} is not on this node; use a folder that all nodes share")
    if job.check:
        check_shard(job.manifest, job.shard)
    features = job.manifest.schema.features_of(job.plan.features)
    run = _Run(path=scratch / job.runs, n_features=len(features))
    for positions, jets in _drawn(job):
        run.add(positions, jets)
    run.flush()
    return [{"jets": run.jets}]


@dataclass(slots=True, kw_only=True)
class _Run:
    """Jets that wait to be written as one sorted file, and how many were written before."""

    path: Path
    n_features: int
    jets: int = 0
    positions: list[NDArray[np.uint32]] = field(default_factory=list)
    parts: list[Ragged] = field(default_factory=list)
    files: int = 0

    def add(self, positions: NDArray[np.uint32], jets: Ragged) -> None:
        self.positions.append(positions)
        self.parts.append(jets)
        self.jets += len(jets)
        if sum(part.values.nbytes for part in self.parts) >= RUN_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self.parts:
            return
        positions = np.concatenate(self.positions)
        jets = concatenate(self.parts, self.n_features)
        self.positions, self.parts = [], []
        order = np.argsort(positions)
        stem = f"{self.path.name}-{self.files:03d}"
        try:
            write_jets(self.path.with_name(f"{stem}.arrow"), jets.take(order))
            np.save(self.path.with_name(f"{stem}.npy"), positions[order])
        except OSError as error:
            raise storage_error(self.path.parent, error) from error
        self.files += 1


def _drawn(job: Job) -> Iterator[tuple[NDArray[np.uint32], Ragged]]:
    """Positions and standardised jets of the shard's row groups."""
    slots = np.load(job.slots, mmap_mode="r")[job.eligible.start : job.eligible.stop]
    seen, rows, label = 0, 0, job.manifest.schema.label
    try:
        with pq.ParquetFile(job.path) as file:
            for group in range(file.num_row_groups):
                stored = _read(file, group, [label])[label].to_numpy()
                eligible = np.flatnonzero(job.labels[stored] >= 0)
                mine = slots[seen : seen + len(eligible)]
                seen, rows = seen + len(eligible), rows + len(stored)
                if len(mine) < len(eligible):
                    break
                taken = mine != NOT_DRAWN
                if taken.any():
                    yield mine[taken], _jets(job, file, group, eligible[taken])
    except (pa.ArrowException, OSError) as error:
        raise damaged(job.path, error) from error
    expected = len(job.eligible), job.shard.rows
    if (seen, rows) != expected:
        raise DataError(
            f"{job.path}: expected {expected[0]} jets of the classes wanted among {expected[1]}, "
            f"found {seen} among {rows}; it is not the shard of the manifest, check it with "
            "`jetscale inspect`"
        )


def _read(file: pq.ParquetFile, group: int, names: Sequence[str]) -> pa.Table:
    return file.read_row_group(group, columns=list(names), use_threads=False)


def _jets(job: Job, file: pq.ParquetFile, group: int, rows: NDArray[np.int64]) -> Ragged:
    """The standardised jets ``rows`` of a row group, with the labels of the stream."""
    plan, schema = job.plan, job.manifest.schema
    raw = _read(file, group, columns_for(plan.features, schema))
    if len(rows) < raw.num_rows:
        raw = raw.take(rows)
    jets = standardise(raw, plan.features, plan.constituents, scale_pt=plan.scale_pt, schema=schema)
    return Ragged(values=jets.values, offsets=jets.offsets, labels=job.labels[jets.labels])


def write_blocks(bucket: Bucket) -> list[Row]:
    """Write the blocks of a bucket; one row per block: its ``number`` and description.

    Raises
    ------
    StorageError
        The runs are not on this machine or not complete, or a block cannot be written.
    """
    positions, jets = _collect(bucket)
    start, stop = bucket.edges[0], bucket.edges[-1]
    if len(positions) != stop - start:
        raise StorageError(
            f"{bucket.folder}: {len(positions)} of {stop - start} jets are on this node; use a "
            "folder that all nodes share"
        )
    order = np.argsort(positions)
    rows = []
    for i, (first, last) in enumerate(zip(bucket.edges, bucket.edges[1:], strict=False)):
        path = bucket.folder / f"block-{bucket.first + i:05d}.arrow"
        block = write_block(path, jets.take(order[first - start : last - start]))
        rows.append({"number": bucket.number + i, **asdict(block)})
    return rows


def _collect(bucket: Bucket) -> tuple[NDArray[np.uint32], Ragged]:
    """Positions and jets of a bucket from all runs; only its part of each run is touched.

    The parts are copied, so that one run at a time is mapped.
    """
    positions, parts = [np.empty(0, np.uint32)], []
    span = np.array([bucket.edges[0], bucket.edges[-1]], np.uint32)
    for path in (bucket.folder / SCRATCH).glob("run-*.npy"):
        run = np.load(path, mmap_mode="r")
        first, last = np.searchsorted(run, span).tolist()
        if first < last:
            positions.append(np.array(run[first:last]))
            jets = read_block(path.with_suffix(".arrow"), bucket.n_features, first, last)
            parts.append(jets.take(np.arange(len(jets))))
    return np.concatenate(positions), concatenate(parts, bucket.n_features)
