"""Shards to blocks in two steps: an external shuffle on disk.

Step 1 has one task per shard (`Reading`): `write_runs` standardises the jets that were drawn and
leaves them as runs, files of jets sorted by position in the stream. Step 2 has one task per four
blocks (`Bucket`): `write_blocks` collects their jets from all runs. The seeded draw is in
``scratch/slots-*.npy``. Tasks depend on their argument alone, hold at most one shard, and may be
done in any order, on any machine, and twice: the bytes of the blocks are the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import DataError, StorageError
from jetscale.jets.example import Schema
from jetscale.jets.shards.manifest import Manifest, Shard, check_shard
from jetscale.mixtures.quota import NOT_DRAWN, slots
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.standardise import columns_for, standardise
from jetscale.mixtures.stream import (
    ROWS_PER_BLOCK,
    Block,
    StreamPlan,
    concatenate,
    read_block,
    write_block,
    write_jets,
)
from jetscale.store.local import storage_error

BLOCKS_PER_BUCKET = 4
PIECE = 10_000  # jets standardised at a time
RUN_BYTES = 64 << 20  # constituents held before a run is written

SCRATCH = "scratch"  # folder of slots and runs within the folder of an unfinished stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The eligible jets of one shard folder for one stream."""

    manifest: Manifest
    labels: tuple[str, ...]

    @property
    def available(self) -> int:
        """Number of eligible jets."""
        return self.eligible(self.manifest)

    def eligible(self, what: Manifest | Shard) -> int:
        """Number of eligible jets of the folder or of one of its shards."""
        return sum(what.label_counts.get(label, 0) for label in self.labels)

    def overlaps(self, other: "Pool") -> bool:
        """True if some jet may belong to both pools."""
        mine = {shard.sha256 for shard in self.manifest.shards}
        theirs = {shard.sha256 for shard in other.manifest.shards}
        return not (mine.isdisjoint(theirs) or set(self.labels).isdisjoint(other.labels))


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a shard that cannot be read."""
    reason = str(error).splitlines()[0]
    return DataError(f"{path} is damaged: {reason}; check it with `jetscale inspect`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one stream takes from one shard."""

    plan: StreamPlan
    labels: NDArray[np.int64]
    """Class index of the corpus to that of the stream, -1 for jets that are not eligible."""
    slots: Path  # file with the position of every eligible jet of the pool
    eligible: range  # which of them lie in this shard
    runs: str  # how the names of the runs written for this share begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Step 1: one shard, read once for all streams that take jets from it."""

    manifest: Manifest
    shard: Shard
    shares: tuple[Share, ...]

    @property
    def path(self) -> Path:
        """The file of the shard."""
        return self.manifest.path(self.shard)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the streams need, sorted."""
        schema = self.manifest.schema
        return tuple(sorted({c for s in self.shares for c in columns_for(s.plan.features, schema)}))

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Step 2: consecutive blocks of one stream."""

    folder: Path
    first: int  # number of the first block
    edges: tuple[int, ...]  # positions where the blocks begin, and where the last one ends
    n_features: int

    def __str__(self) -> str:
        last = self.first + len(self.edges) - 2
        return f"{self.folder}: blocks {self.first} to {last}"


def readings_of(draws: Iterable[tuple[StreamPlan, Mapping[str, Pool], Path]]) -> list[Reading]:
    """Draw the jets of all streams into their folders, list the shards to read. See `slots`."""
    shares: dict[tuple[Path, str], tuple[Manifest, Shard, list[Share]]] = {}
    for plan, pools, folder in draws:
        scratch = folder / SCRATCH
        scratch.mkdir()
        available = {name: pool.available for name, pool in pools.items()}
        # one source's draw is in memory at a time
        for i, (name, drawn) in enumerate(slots(plan.quotas, available, plan.seed, plan.name)):
            pool, manifest = pools[name], pools[name].manifest
            labels = np.full(len(manifest.classes), -1)
            for label in pool.labels:
                labels[manifest.classes.index(label)] = plan.labels.index(label)
            file = scratch / f"slots-{i}.npy"
            np.save(file, drawn)
            first = 0
            for k, shard in enumerate(manifest.shards):
                span = range(first, first + pool.eligible(shard))
                first = span.stop
                if (drawn[span.start : span.stop] != NOT_DRAWN).any():
                    runs = f"run-{i}-{k:05d}"
                    mine = shares.setdefault((manifest.folder, shard.file), (manifest, shard, []))
                    mine[2].append(
                        Share(plan=plan, labels=labels, slots=file, eligible=span, runs=runs)
                    )
    return [Reading(manifest=m, shard=s, shares=tuple(found)) for m, s, found in shares.values()]


def buckets_of(plan: StreamPlan, n_features: int, folder: Path) -> list[Bucket]:
    """The blocks to be written for a stream, a few to a bucket."""
    edges = [*range(0, plan.rows, ROWS_PER_BLOCK), plan.rows]
    return [
        Bucket(
            folder=folder,
            first=first,
            edges=tuple(edges[first : first + BLOCKS_PER_BUCKET + 1]),
            n_features=n_features,
        )
        for first in range(0, len(edges) - 1, BLOCKS_PER_BUCKET)
    ]


def write_runs(reading: Reading) -> int:
    """Do step 1 for one shard, row group by row group; returns the number of jets drawn from it.

    Raises DataError for a shard that is damaged or not that of its manifest, StorageError where the
    folder of a stream is not on this machine or cannot be written.
    """
    return write_runs_from(reading, _row_groups(reading))


def _row_groups(reading: Reading) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(reading.path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=list(reading.columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise damaged(reading.path, error) from error


def write_runs_from(reading: Reading, tables: Iterable[pa.Table]) -> int:
    """`write_runs` for whoever has the rows of the shard already, whole and in order."""
    for share in reading.shares:
        if not share.slots.parent.is_dir():
            raise StorageError(
                f"{share.slots.parent} is not on this node; use a folder that all nodes share"
            )
    # bytes are compared, so that an altered shard makes no stream even if it can be read
    check_shard(reading.manifest, reading.shard)
    runs = [_Runs(share=share, schema=reading.manifest.schema) for share in reading.shares]
    rows = 0
    for table in tables:
        rows += table.num_rows
        for start in range(0, table.num_rows, PIECE):
            piece = table.slice(start, PIECE)
            for run in runs:
                run.add(piece)
    for run in runs:
        wanted, among = len(run.share.eligible), reading.shard.rows
        if (run.seen, rows) != (wanted, among):
            raise DataError(
                f"{reading.path}: expected {wanted} jets of the classes wanted among {among}, "
                f"found {run.seen} among {rows}; it is not the shard of the manifest, check it "
                "with `jetscale inspect`"
            )
        run.flush()
    return sum(run.jets for run in runs)


@dataclass(slots=True, kw_only=True)
class _Runs:
    """The runs of one share: what waits to be written, and what was."""

    share: Share
    schema: Schema
    seen: int = 0  # eligible jets met so far, drawn or not
    jets: int = 0
    files: int = 0
    positions: list[NDArray[np.uint32]] = field(default_factory=list)
    parts: list[Ragged] = field(default_factory=list)

    def add(self, table: pa.Table) -> None:
        share, plan = self.share, self.share.plan
        eligible = np.flatnonzero(share.labels[table[self.schema.label].to_numpy()] >= 0)
        first = share.eligible.start + self.seen
        self.seen += len(eligible)
        if self.seen > len(share.eligible):
            return  # not the shard of the manifest, as the caller will find
        positions = np.load(share.slots, mmap_mode="r", allow_pickle=False)[
            first : first + len(eligible)
        ]
        drawn = positions != NOT_DRAWN
        if not drawn.any():
            return
        raw = table.select(columns_for(plan.features, self.schema))
        if drawn.sum() < table.num_rows:
            raw = raw.take(eligible[drawn])
        jets = standardise(
            raw, plan.features, plan.constituents, scale_pt=plan.scale_pt, schema=self.schema
        )
        self.positions.append(positions[drawn])
        self.parts.append(replace(jets, labels=share.labels[jets.labels]))
        self.jets += len(jets)
        if sum(part.values.nbytes for part in self.parts) >= RUN_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one sorted run."""
        if not self.parts:
            return
        positions = np.concatenate(self.positions)
        jets, order = concatenate(self.parts), np.argsort(positions)
        self.positions, self.parts = [], []
        scratch = self.share.slots.parent
        stem, temporary = f"{self.share.runs}-{self.files:03d}", scratch / f"{uuid4().hex}.npy"
        try:  # renamed when complete: a first worker, thought dead, may still write the same run
            write_jets(temporary, jets.take(order))
            temporary.replace(scratch / f"{stem}.arrow")
            np.save(temporary, positions[order])
            temporary.replace(scratch / f"{stem}.npy")
        except OSError as error:
            raise storage_error(scratch, error) from error
        self.files += 1


def write_blocks(bucket: Bucket) -> tuple[Bucket, list[Block]]:
    """Do step 2 for one bucket; returns it with its blocks.

    Raises StorageError where runs are not here or not complete, or a block cannot be written.
    """
    positions, parts = [np.empty(0, np.uint32)], []
    start, stop = bucket.edges[0], bucket.edges[-1]
    for path in (bucket.folder / SCRATCH).glob("run-*.npy"):
        run = np.load(path, mmap_mode="r", allow_pickle=False)
        first, last = np.searchsorted(run, np.array([start, stop], np.uint32)).tolist()
        if first < last:
            # copied, so that the pages of one run at a time are held
            positions.append(np.array(run[first:last]))
            jets = read_block(path.with_suffix(".arrow"), bucket.n_features, first, last)
            parts.append(jets.take(np.arange(len(jets))))
    found = np.concatenate(positions)
    if len(found) != stop - start:
        raise StorageError(
            f"{bucket.folder}: {len(found)} of {stop - start} jets are on this node; use a "
            "folder that all nodes share"
        )
    jets, order = concatenate(parts), np.argsort(found)
    return bucket, [
        write_block(
            bucket.folder / f"block-{bucket.first + i:05d}.arrow",
            jets.take(order[first - start : last - start]),
        )
        for i, (first, last) in enumerate(zip(bucket.edges, bucket.edges[1:], strict=False))
    ]


def blocks_in_order(written: Sequence[tuple[Bucket, list[Block]]], folder: Path) -> list[Block]:
    """The blocks of the stream in ``folder``, whatever the order in which buckets were done."""
    mine = sorted((bucket.first, blocks) for bucket, blocks in written if bucket.folder == folder)
    return [block for _, blocks in mine for block in blocks]
