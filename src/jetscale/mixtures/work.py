"""The work behind a stream, cut into tasks: which shards are read, which blocks are written.

A `Pool` is the eligible jets of one shard folder. `jobs_of` draws the jets of a stream, leaves the
position of every eligible jet (its slot) in a file, and lists one `Job` per shard; `buckets_of`
lists one `Bucket` per few blocks. `jetscale.mixtures.shuffle` does them. No jet is opened here, and
what stays in memory is a few numbers per shard and block.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import DataError
from jetscale.jets.shards.manifest import Manifest, Shard
from jetscale.mixtures.quota import NOT_DRAWN, slots
from jetscale.mixtures.stream import ROWS_PER_BLOCK, StreamPlan

BLOCKS_PER_BUCKET = 4
SCRATCH = "scratch"
"""Folder of slots and runs within the folder of an unfinished stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The eligible jets of one folder for one stream."""

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
class Job:
    """One shard to be read for one stream."""

    manifest: Manifest
    shard: Shard
    plan: StreamPlan
    labels: NDArray[np.int64]
    """Class index of the corpus to class index of the stream, -1 for jets that are not eligible."""
    slots: Path
    """File with the position of every eligible jet of the pool."""
    eligible: range
    """Which of them lie in this shard."""
    runs: str
    """How the names of the runs written by this job begin."""
    check: bool = True
    """Whether to compare the file with the manifest; one job per file does."""

    @property
    def path(self) -> Path:
        """The file of the shard."""
        return self.manifest.path(self.shard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Consecutive blocks of one stream, written by one task."""

    folder: Path
    first: int
    """Number of the first block in the stream."""
    number: int
    """The same among the blocks of all streams."""
    edges: tuple[int, ...]
    """Positions where the blocks begin, and where the last one ends."""
    n_features: int


def jobs_of(plan: StreamPlan, pools: Mapping[str, Pool], folder: Path) -> Iterator[Job]:
    """The shards to be read for a stream; the draw is written to the folder.

    Raises
    ------
    DataError
        A pool has fewer jets than its quota.
    """
    scratch = folder / SCRATCH
    scratch.mkdir()
    available = {name: pool.available for name, pool in pools.items()}
    for i, (name, drawn) in enumerate(slots(plan.quotas, available, plan.seed, plan.name)):
        manifest = pools[name].manifest
        labels = np.full(len(manifest.classes), -1)
        for label in pools[name].labels:
            labels[manifest.classes.index(label)] = plan.labels.index(label)
        np.save(scratch / f"slots-{i}.npy", drawn)
        counts = [pools[name].eligible(shard) for shard in manifest.shards]
        ends = np.cumsum([0, *counts]).tolist()
        for k, (shard, first, last) in enumerate(
            zip(manifest.shards, ends, ends[1:], strict=False)
        ):
            if (drawn[first:last] != NOT_DRAWN).any():
                yield Job(
                    manifest=manifest,
                    shard=shard,
                    plan=plan,
                    labels=labels,
                    slots=scratch / f"slots-{i}.npy",
                    eligible=range(first, last),
                    runs=f"run-{i}-{k:05d}",
                )


def buckets_of(plan: StreamPlan, n_features: int, folder: Path, number: int) -> list[Bucket]:
    """The blocks to be written for a stream; the first has ``number`` among all streams."""
    edges = [*range(0, plan.rows, ROWS_PER_BLOCK), plan.rows]
    return [
        Bucket(
            folder=folder,
            first=first,
            number=number + first,
            edges=tuple(edges[first : first + BLOCKS_PER_BUCKET + 1]),
            n_features=n_features,
        )
        for first in range(0, len(edges) - 1, BLOCKS_PER_BUCKET)
    ]
