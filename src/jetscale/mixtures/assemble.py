"""From stream plans to stream folders: check the sources, reuse what is there, make the rest.

`assemble` opens the shard folders, decides the identity of every stream, hands the work of all
missing streams to one run, and completes their folders when all blocks are written. The run
happens in this process (`prepare_in_process`) or as one Ray Data job (`jetscale.mixtures.prepare`),
with the same bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jetscale.errors import DataError
from jetscale.files import atomic_path
from jetscale.jets.manifest import check_roles, check_shard, open_shards
from jetscale.jets.schema import classes_of, features_of
from jetscale.mixtures import stream
from jetscale.mixtures.stream import Block, StreamPlan
from jetscale.mixtures.work import Pool, Work, add_stream, read_picks, write_group
from jetscale.study import digest

Progress = Callable[[int, int], None]
"""Called with jets written and jets to write."""

Run = Callable[[Work], Iterator[tuple[int, Block]]]
"""Does the work; gives number and description of each block when it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A stream to be made, with its opened sources."""

    plan: StreamPlan
    pools: Mapping[str, Pool]
    recipe: Mapping[str, Any]
    folder: Path


def open_pools(plan: StreamPlan) -> dict[str, Pool]:
    """The sources that give jets to a plan, opened and checked, by name.

    Raises
    ------
    DataError
        A folder is missing or damaged, its corpus lacks a class of the source, two sources give
        the same jets, or their roles differ.
    """
    pools = {}
    for name in sorted(plan.quotas):
        source = plan.sources[name]
        manifest = open_shards(source.folder.resolve())
        strange = [label for label in source.labels if label not in classes_of(manifest.corpus)]
        if strange:
            raise DataError(
                f"stream {plan.name!r}: source {name!r} wants class {strange[0]!r}, which corpus "
                f"{manifest.corpus!r} of {source.folder} does not have"
            )
        pools[name] = Pool(manifest=manifest, labels=tuple(source.labels))
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
    return pools


def recipe_of(plan: StreamPlan, pools: Mapping[str, Pool]) -> dict[str, Any]:
    """Everything that decides the content of a stream, and no path."""
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


def _check_shards(tasks: list[_Task]) -> None:
    """Hash every shard once: an altered one must not become a stream."""
    manifests = {p.manifest.folder: p.manifest for task in tasks for p in task.pools.values()}
    for manifest in manifests.values():
        for shard in manifest.shards:
            check_shard(manifest, shard)


def _make(tasks: list[_Task], run: Run, progress: Progress | None) -> None:
    _check_shards(tasks)
    work = Work(jobs=[], picks=[], blocks=[])
    total = sum(task.plan.rows for task in tasks)
    with ExitStack() as stack:
        folders = [stack.enter_context(atomic_path(task.folder)) for task in tasks]
        spans = []
        for task, folder in zip(tasks, folders, strict=True):
            folder.mkdir()
            first = len(work.blocks)
            add_stream(work, task.plan, task.pools, folder)
            spans.append(range(first, len(work.blocks)))
        blocks, done = {}, 0
        for number, block in run(work):
            blocks[number], done = block, done + block.rows
            if progress:
                progress(done, total)
        for task, folder, span in zip(tasks, folders, spans, strict=True):
            stream.write_index(
                folder,
                [blocks[number] for number in span],
                recipe=task.recipe,
                features=tuple(feature.name for feature in features_of(task.plan.features)),
                labels=task.plan.labels,
                constituents=task.plan.constituents,
            )


def block_in(row: dict[str, Any]) -> tuple[int, Block]:
    """Number and description of a block from a row of `jetscale.mixtures.work.write_group`."""
    number = row.pop("number")
    return number, Block(**row)


def prepare_in_process(
    plans: Sequence[StreamPlan], root: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Make the missing streams in this process, without Ray; holds all their jets in memory.

    Byte for byte the same as `jetscale.mixtures.prepare.prepare`; raises as `assemble`.
    """
    return assemble(plans, root, _run_here, progress)


def _run_here(work: Work) -> Iterator[tuple[int, Block]]:
    jets = pa.concat_tables([read_picks(work.jobs, picks) for picks in work.picks])
    for number in range(len(work.blocks)):
        mine = jets.filter(pc.equal(jets["block"], number))
        yield block_in(write_group(work.blocks, mine).to_pylist()[0])
