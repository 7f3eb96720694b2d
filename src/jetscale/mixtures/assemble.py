"""From stream plans to stream folders: check the sources, reuse what is there, make the rest.

Until a stream is complete its folder takes twice the space, for the runs.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

from jetscale.digests import digest
from jetscale.errors import DataError
from jetscale.executor import Executor, in_process
from jetscale.jets.example import Schema
from jetscale.jets.schema import JETS
from jetscale.jets.shards.manifest import check_roles, open_shards
from jetscale.mixtures import shuffle, stream
from jetscale.mixtures.shuffle import Pool, Reading
from jetscale.mixtures.stream import StreamPlan
from jetscale.store.local import atomic_path

Progress = Callable[[int, int], None]
"""Called with jets done and jets in all; a jet is half done when it waits in a run."""

Read = Callable[[Sequence[Reading]], Iterator[int]]
"""Does step 1 of the shuffle for all shards; gives the jets of each as it is done."""

_Wanted = tuple[StreamPlan, Mapping[str, Pool], Mapping[str, Any]]  # plan, pools, recipe


def open_pools(plan: StreamPlan) -> dict[str, Pool]:
    """The sources that give jets to a plan, opened and checked, by name.

    Raises DataError where a folder is missing or damaged, its corpus lacks a class of the source or
    its jets a column, or two sources give the same jets or have different roles.
    """
    pools = {}
    for name in sorted(plan.quotas):
        source = plan.sources[name]
        manifest = open_shards(source.folder.resolve())
        for label in source.labels:
            if label not in manifest.classes:
                raise DataError(
                    f"stream {plan.name!r}: source {name!r} wants class {label!r}, which corpus "
                    f"{manifest.corpus!r} of {source.folder} does not have"
                )
        pools[name] = Pool(manifest=manifest, labels=tuple(source.labels))
        manifest.schema.check_columns(manifest.columns, plan.features, str(manifest.folder))
    for (a, first), (b, second) in combinations(pools.items(), 2):
        one, other, where = first.manifest, second.manifest, f"stream {plan.name!r}"
        if first.overlaps(second):
            raise DataError(
                f"{where}: sources {a!r} and {b!r} give the same jets twice; use disjoint classes "
                "or other folders"
            )
        if one.role != other.role:
            raise DataError(
                f"{where}: role of {a!r} is {one.role!r}, of {b!r} {other.role!r}; a stream has "
                "one role"
            )
        if one.schema != other.schema:
            raise DataError(
                f"{where}: {one.folder} and {other.folder} have different features; a stream needs "
                "one set of inputs"
            )
    return pools


def _schema_of(pools: Mapping[str, Pool]) -> Schema:
    return next(iter(pools.values())).manifest.schema


def recipe_of(plan: StreamPlan, pools: Mapping[str, Pool]) -> dict[str, Any]:
    """Everything that decides the content of a stream, and no path."""
    schema = _schema_of(pools)
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
        **({} if plan.scale_pt is None else {"scale_pt": plan.scale_pt}),
        **inputs,
    }


def stream_folders(plans: Sequence[StreamPlan], root: Path) -> dict[str, Path]:
    """The folder of every stream, there or not, by its name; raises as `open_pools`."""
    recipes = {plan.name: recipe_of(plan, open_pools(plan)) for plan in plans}
    return {name: root.resolve() / f"{name}-{digest(what)}" for name, what in recipes.items()}


def assemble(
    plans: Sequence[StreamPlan],
    root: Path,
    executor: Executor,
    progress: Progress | None = None,
    read: Read | None = None,
) -> dict[str, Path]:
    """Make the streams that do not exist yet; return name to folder.

    The folder of a stream is ``root / NAME-DIGEST`` with the digest of its recipe, so a stream
    that is there is the right one. Every byte of it is read and it is reused, or made again where
    it is damaged. On a cluster all nodes must see ``root``. Shards are read and standardised by
    ``read``; None leaves that to the executor, too.

    Raises DataError where a source cannot give what a plan asks for or two roles share jets;
    StorageError where the streams cannot be written.
    """
    missing: dict[Path, _Wanted] = {}
    folders: dict[str, Path] = {}
    opened = [open_pools(plan) for plan in plans]
    check_roles(pool.manifest for pools in opened for pool in pools.values())
    for plan, pools in zip(plans, opened, strict=True):
        recipe = recipe_of(plan, pools)
        folder = folders[plan.name] = root.resolve() / f"{plan.name}-{digest(recipe)}"
        if not stream.is_whole(folder, digest(recipe)):
            missing[folder] = plan, pools, recipe
    if missing:
        with ExitStack() as stack:
            made = {folder: stack.enter_context(atomic_path(folder)) for folder in missing}
            damaged = [folder for folder in missing if folder.exists()]
            _make({made[f]: wanted for f, wanted in missing.items()}, executor, progress, read)
            for folder in damaged:  # until now some runs could read it; it goes with the scratch
                folder.rename(made[folder].with_name("damaged"))
    return folders


def _make(
    wanted: Mapping[Path, _Wanted], executor: Executor, progress: Progress | None, read: Read | None
) -> None:
    """Shuffle the jets of all streams at once, so that a shard is read once for all of them."""
    for folder in wanted:
        folder.mkdir()
    readings = shuffle.readings_of((plan, pools, f) for f, (plan, pools, _) in wanted.items())
    features = {
        f: tuple(feature.name for feature in _schema_of(pools).features_of(plan.features))
        for f, (plan, pools, _) in wanted.items()
    }
    buckets = [b for f, w in wanted.items() for b in shuffle.buckets_of(w[0], len(features[f]), f)]
    total, moved, written = sum(plan.rows for plan, _, _ in wanted.values()), 0, []

    def report(jets: int) -> None:
        nonlocal moved
        moved += jets
        if progress:
            progress(moved // 2, total)

    for jets in read(readings) if read else executor.map(shuffle.write_runs, readings):
        report(jets)
    for bucket, blocks in executor.map(shuffle.write_blocks, buckets):
        written.append((bucket, blocks))
        for block in blocks:
            report(block.rows)
    for folder, (plan, _, recipe) in wanted.items():
        shutil.rmtree(folder / shuffle.SCRATCH)
        stream.write_index(
            folder,
            shuffle.blocks_in_order(written, folder),
            recipe=recipe,
            features=features[folder],
            labels=plan.labels,
            constituents=plan.constituents,
        )


def prepare_in_process(
    plans: Sequence[StreamPlan], root: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Make what `jetscale.compute.streams.prepare` makes in this process; raises as `assemble`."""
    return assemble(plans, root, in_process, progress)
