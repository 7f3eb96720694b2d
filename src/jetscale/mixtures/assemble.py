"""From stream plans to stream folders: check the sources, reuse what is there, make the rest.

`assemble` opens the shard folders, decides the identity of every stream, hands the tasks of all
missing streams to a run, and completes their folders when all blocks are written. Tasks are done
in this process (`prepare_in_process`) or by Ray Data (`jetscale.compute.streams`), with the same
bytes. Until a stream is complete its folder takes twice the space, for the runs of the shuffle.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jetscale.digests import digest
from jetscale.errors import DataError
from jetscale.jets.schema import JETS
from jetscale.jets.shards.manifest import check_roles, open_shards
from jetscale.mixtures import stream
from jetscale.mixtures.shuffle import Row, write_blocks, write_runs
from jetscale.mixtures.stream import Block, StreamPlan
from jetscale.mixtures.work import SCRATCH, Bucket, Job, Pool, buckets_of, jobs_of
from jetscale.store.local import atomic_path

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called with jets done and jets in all; a jet is half done when it waits in a run."""


class Run(Protocol):
    """Calls a function with every item, in any order and anywhere; gives the rows as they come."""

    def __call__(self, function: Callable[[T], list[Row]], items: Sequence[T]) -> Iterator[Row]:
        """Rows of all calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A stream to be made, with its opened sources."""

    plan: StreamPlan
    pools: Mapping[str, Pool]
    recipe: Mapping[str, Any]
    folder: Path

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the model inputs, in order."""
        schema = next(iter(self.pools.values())).manifest.schema
        return tuple(feature.name for feature in schema.features_of(self.plan.features))


def open_pools(plan: StreamPlan) -> dict[str, Pool]:
    """The sources that give jets to a plan, opened and checked, by name.

    Raises
    ------
    DataError
        A folder is missing or damaged, its corpus lacks a class of the source or its jets a column
        of the feature set, two sources give the same jets, or their roles differ.
    """
    pools = {}
    for name in sorted(plan.quotas):
        source = plan.sources[name]
        manifest = open_shards(source.folder.resolve())
        strange = [label for label in source.labels if label not in manifest.classes]
        if strange:
            raise DataError(
                f"stream {plan.name!r}: source {name!r} wants class {strange[0]!r}, which corpus "
                f"{manifest.corpus!r} of {source.folder} does not have"
            )
        pools[name] = Pool(manifest=manifest, labels=tuple(source.labels))
        manifest.schema.check_columns(manifest.columns, plan.features, str(manifest.folder))
    for (a, first), (b, second) in combinations(pools.items(), 2):
        if first.overlaps(second):
            raise DataError(
                f"stream {plan.name!r}: sources {a!r} and {b!r} give the same jets twice; use "
                "disjoint classes or other folders"
            )
        if first.manifest.role != second.manifest.role:
            raise DataError(
                f"stream {plan.name!r}: role of {a!r} is {first.manifest.role!r}, of {b!r} "
                f"{second.manifest.role!r}; a stream has one role"
            )
        if first.manifest.schema != second.manifest.schema:
            raise DataError(
                f"stream {plan.name!r}: {first.manifest.folder} and {second.manifest.folder} have "
                "different features; a stream needs one set of inputs"
            )
    return pools


def recipe_of(plan: StreamPlan, pools: Mapping[str, Pool]) -> dict[str, Any]:
    """Everything that decides the content of a stream, and no path."""
    scaling = {} if plan.scale_pt is None else {"scale_pt": plan.scale_pt}
    schema = next(iter(pools.values())).manifest.schema
    # what columns of jets become is fixed by FORMAT; other fields say it themselves
    inputs = {} if schema == JETS else {"inputs": schema.to_dict()}
    return {
        "format": stream.FORMAT,
        "rows": plan.rows,
        "seed": plan.seed,
        "features": plan.features,
        "constituents": plan.constituents,
        "labels": list(plan.labels),
        "quotas": plan.quotas,
        "sources": {
            name: {
                "corpus": pool.manifest.corpus,
                "role": pool.manifest.role,
                "labels": list(pool.labels),
                "shards": [shard.sha256 for shard in pool.manifest.shards],
            }
            for name, pool in pools.items()
        },
        **scaling,
        **inputs,
    }


def assemble(
    plans: Sequence[StreamPlan], root: Path, run: Run, progress: Progress | None = None
) -> dict[str, Path]:
    """Make the streams that do not exist yet, all in one run; return name to folder.

    The folder of a stream is ``root / NAME-DIGEST`` with the digest of its recipe, so a stream
    that is there is the right one and is reused.

    Raises
    ------
    DataError
        A source cannot give what a plan asks for, two roles share jets, or a stream that is there
        is damaged.
    StorageError
        The streams cannot be written.
    """
    tasks = []
    for plan in plans:
        pools = open_pools(plan)
        recipe = recipe_of(plan, pools)
        folder = root.resolve() / f"{plan.name}-{digest(recipe)}"
        tasks.append(_Task(plan=plan, pools=pools, recipe=recipe, folder=folder))
    check_roles(pool.manifest for task in tasks for pool in task.pools.values())
    missing = {task.folder: task for task in tasks if not _exists(task.folder)}
    if missing:
        _make(list(missing.values()), run, progress)
    return {task.plan.name: task.folder for task in tasks}


def _exists(folder: Path) -> bool:
    found = (folder / stream.INDEX).is_file()
    if found:
        stream.open_stream(folder)
    return found


def _make(tasks: list[_Task], run: Run, progress: Progress | None) -> None:
    with ExitStack() as stack:
        folders = [stack.enter_context(atomic_path(task.folder)) for task in tasks]
        jobs: list[Job] = []
        spans, buckets = [], []
        first = 0
        for task, folder in zip(tasks, folders, strict=True):
            folder.mkdir()
            jobs += jobs_of(task.plan, task.pools, folder)
            buckets += buckets_of(task.plan, len(task.features), folder, first)
            spans.append(range(first, buckets[-1].number + len(buckets[-1].edges) - 1))
            first = spans[-1].stop
        blocks = _shuffle(jobs, buckets, run, progress)
        for task, folder, span in zip(tasks, folders, spans, strict=True):
            shutil.rmtree(folder / SCRATCH)
            stream.write_index(
                folder,
                [blocks[number] for number in span],
                recipe=task.recipe,
                features=task.features,
                labels=task.plan.labels,
                constituents=task.plan.constituents,
            )


def _shuffle(
    jobs: list[Job], buckets: list[Bucket], run: Run, progress: Progress | None
) -> dict[int, Block]:
    """Do all tasks; returns the blocks by number."""
    total = sum(bucket.edges[-1] - bucket.edges[0] for bucket in buckets)
    blocks: dict[int, Block] = {}
    moved = 0
    for row in run(write_runs, _checked_once(jobs)):
        moved += row["jets"]
        if progress:
            progress(moved // 2, total)
    for row in run(write_blocks, buckets):
        number = row.pop("number")
        blocks[number] = Block(**row)
        moved += blocks[number].rows
        if progress:
            progress(moved // 2, total)
    return blocks


def _checked_once(jobs: list[Job]) -> list[Job]:
    """Every shard is hashed by the first job that reads it: an altered one makes no stream."""
    seen: set[Path] = set()
    checked = []
    for job in jobs:
        checked.append(replace(job, check=job.path not in seen))
        seen.add(job.path)
    return checked


def prepare_in_process(
    plans: Sequence[StreamPlan], root: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Make the missing streams in this process, without Ray and in bounded memory.

    Byte for byte the same as `jetscale.compute.streams.prepare`; raises as `assemble`.
    """
    return assemble(plans, root, _run_here, progress)


def _run_here(function: Callable[[T], list[Row]], items: Sequence[T]) -> Iterator[Row]:
    for item in items:
        yield from function(item)
