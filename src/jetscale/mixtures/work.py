"""The work behind a stream, cut into tables: which rows go where, and what is done with them.

A `Pool` is the eligible jets of one shard folder. `add_stream` lists, for every Parquet row group,
which rows go to which position of a stream (the picks). Two functions do the work on tables:
`read_picks` (row group to standardised jets) and `write_group` (the jets of one block to its
file). They depend on their arguments alone, so any machinery may run them in any order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import DataError, StorageError
from jetscale.jets.manifest import Manifest
from jetscale.jets.schema import classes_of, features_of
from jetscale.mixtures.quota import Draw, draw
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.standardise import columns_for, standardise
from jetscale.mixtures.stream import ROWS_PER_BLOCK, StreamPlan, write_block


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The eligible jets of one folder for one stream."""

    manifest: Manifest
    labels: tuple[str, ...]

    @property
    def available(self) -> int:
        """Number of eligible jets."""
        return sum(self.manifest.label_counts.get(label, 0) for label in self.labels)

    def overlaps(self, other: "Pool") -> bool:
        """True if some jet may belong to both pools."""
        mine = {shard.sha256 for shard in self.manifest.shards}
        theirs = {shard.sha256 for shard in other.manifest.shards}
        return not (mine.isdisjoint(theirs) or set(self.labels).isdisjoint(other.labels))

    def eligible(self) -> NDArray[np.int64]:
        """Numbers of the eligible jets in the folder, counted over its shards in order."""
        classes = classes_of(self.manifest.corpus)
        wanted = np.array([label in self.labels for label in classes])
        found, start = [np.empty(0, np.int64)], 0
        for shard in self.manifest.shards:
            if all(label in self.labels for label in shard.label_counts):
                found.append(np.arange(start, start + shard.rows))
            elif any(label in self.labels for label in shard.label_counts):
                labels = _read(self.manifest.path(shard), None, ["jet_label"])["jet_label"]
                found.append(start + np.flatnonzero(wanted[labels.to_numpy()]))
            start += shard.rows
        return np.concatenate(found)

    def row_groups(self) -> Iterator[tuple[Path, int, int]]:
        """(file, row group, jets) of all shards in order."""
        for shard in self.manifest.shards:
            path = self.manifest.path(shard)
            try:
                metadata = pq.read_metadata(path)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, error) from error
            for group in range(metadata.num_row_groups):
                yield path, group, metadata.row_group(group).num_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row group to be read for one stream."""

    path: Path
    group: int
    features: str
    constituents: int
    labels: NDArray[np.int64]
    """Class index of the corpus to class index of the stream."""
    first_block: int
    """Number of the stream's first block among the blocks of all streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything a run of the two table functions needs."""

    jobs: list[Job]
    picks: list[pa.Table]
    """Per job: ``job``, ``row`` in the row group, ``position`` in the stream."""
    blocks: list[tuple[Path, int]]
    """File and number of features of every block of all streams."""


def add_stream(work: Work, plan: StreamPlan, pools: Mapping[str, Pool], folder: Path) -> None:
    """Add the jobs, picks and blocks of one stream.

    Raises
    ------
    DataError
        A pool has fewer jets than its quota, or one of its files is damaged.
    """
    first_block = len(work.blocks)
    n_blocks = -(-plan.rows // ROWS_PER_BLOCK)
    n_features = len(features_of(plan.features))
    files = [folder / f"block-{i:05d}.arrow" for i in range(n_blocks)]
    work.blocks.extend((file, n_features) for file in files)
    available = {name: pool.available for name, pool in pools.items()}
    draws = draw(plan.quotas, available, plan.seed, plan.name)
    for name, pool in pools.items():
        classes = classes_of(pool.manifest.corpus)
        labels = np.array([plan.labels.index(c) if c in plan.labels else -1 for c in classes])
        for path, group, rows, positions in _picks(pool, draws[name]):
            job = Job(
                path=path,
                group=group,
                features=plan.features,
                constituents=plan.constituents,
                labels=labels,
                first_block=first_block,
            )
            number = np.full(len(rows), len(work.jobs), np.int32)
            work.jobs.append(job)
            work.picks.append(pa.table({"job": number, "row": rows, "position": positions}))


def _picks(
    pool: Pool, drawn: Draw
) -> Iterator[tuple[Path, int, NDArray[np.int64], NDArray[np.int64]]]:
    """(file, row group, rows in it, their positions) for every row group with drawn jets."""
    eligible = pool.eligible()
    if len(eligible) != pool.available:
        raise _not_as_declared(pool, pool.available, len(eligible))
    rows = eligible[drawn.rows]
    order = np.argsort(rows)
    rows, positions = rows[order], drawn.positions[order]
    start = 0
    for path, group, length in pool.row_groups():
        low, high = np.searchsorted(rows, [start, start + length])
        if low < high:
            yield path, group, rows[low:high] - start, positions[low:high]
        start += length
    if start != pool.manifest.rows:
        raise _not_as_declared(pool, pool.manifest.rows, start)


def _not_as_declared(pool: Pool, expected: int, found: int) -> DataError:
    return DataError(
        f"{pool.manifest.folder}: expected {expected} jets, found {found}; the shards "
        "are not those of the manifest, check them with `jetscale inspect`"
    )


def _read(path: Path, group: int | None, names: Sequence[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            absent = [name for name in names if name not in file.schema_arrow.names]
            if absent:
                raise DataError(f"{path}: columns {absent} are absent; choose other features")
            groups = range(file.num_row_groups) if group is None else [group]
            return file.read_row_groups(list(groups), columns=list(names), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0]
    return DataError(f"{path} is damaged: {reason}; check it with `jetscale inspect`")


def read_picks(jobs: Sequence[Job], picks: pa.Table) -> pa.Table:
    """Standardised jets of one or more picks: ``block``, ``position``, ``label``, ``values``.

    ``values`` holds the features of a jet's constituents, one constituent after another.
    """
    tables = []
    for number in pc.unique(picks["job"]).to_pylist():
        job = jobs[number]
        mine = picks.filter(pc.equal(picks["job"], number))
        raw = _read(job.path, job.group, columns_for(job.features)).take(mine["row"])
        jets = standardise(raw, job.features, job.constituents)
        offsets = pa.array((jets.offsets * jets.values.shape[1]).astype(np.int32))
        position, label = mine["position"].to_numpy(), job.labels[jets.labels]
        if label.min() < 0:
            raise DataError(f"{job.path}: a class is not in the stream; run `jetscale inspect`")
        columns = {
            "block": job.first_block + position // ROWS_PER_BLOCK,
            "position": position,
            "label": label,
            "values": pa.ListArray.from_arrays(offsets, pa.array(jets.values.reshape(-1))),
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def write_group(blocks: Sequence[tuple[Path, int]], jets: pa.Table) -> pa.Table:
    """Write the jets of one block in position order; one row that describes the block.

    Raises
    ------
    StorageError
        The folder of the stream is not on this machine, or cannot be written.
    """
    jets = jets.sort_by("position").combine_chunks()
    number = jets["block"][0].as_py()
    path, n_features = blocks[number]
    if not path.parent.is_dir():
        raise StorageError(f"{path.parent} is not on this node; use a folder that all nodes share")
    values = jets["values"].combine_chunks()
    starts = values.offsets.to_numpy().astype(np.int64)
    ragged = Ragged(
        values=values.flatten().to_numpy().reshape(-1, n_features),
        offsets=(starts - starts[0]) // n_features,
        labels=jets["label"].to_numpy(),
    )
    block = write_block(path, ragged)
    return pa.Table.from_pylist([{"number": number, **asdict(block)}])
