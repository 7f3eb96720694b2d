"""The Ray Data job that turns shard folders into streams.

All missing streams are made in one job: row groups are read and standardised in parallel, jets are
grouped by output block with a sort-based shuffle, and each group is written in position order. The
sort-based shuffle is made of ordinary tasks, so it needs no standing actors: it ran in half the
time of the hash shuffle on two cores and cannot wait for a CPU held by its own aggregators. The
blocks do not depend on the order in which tasks end. ``root`` must be a folder all nodes see.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import ray
import ray.data
from ray.data.context import DataContext, ShuffleStrategy

from jetscale.errors import JetscaleError, SweepError
from jetscale.mixtures.assemble import Progress, assemble, block_in
from jetscale.mixtures.stream import Block, StreamPlan
from jetscale.mixtures.work import Work, read_picks, write_group


def prepare(
    plans: Sequence[StreamPlan], root: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Make the streams that are missing below ``root``; return stream name to folder.

    Parameters
    ----------
    plans
        Streams wanted; those whose folder exists already are not made again.
    root
        Folder of streams, visible to every node.
    progress
        Called with jets written and jets to write, each time a block is done.

    Raises
    ------
    SweepError
        Ray is not initialised, or the job fails for a reason other than the data.
    DataError, StorageError
        As `jetscale.mixtures.assemble.assemble`.
    """
    if not ray.is_initialized():
        raise SweepError("streams cannot be prepared: Ray is not running; call ray.init() first")
    return assemble(plans, root, _run_on_ray, progress)


def _run_on_ray(work: Work) -> Iterator[tuple[int, Block]]:
    with _settings():
        jets = ray.data.from_arrow(work.picks).map_batches(
            partial(read_picks, work.jobs), batch_size=None, batch_format="pyarrow"
        )
        blocks = jets.groupby("block").map_groups(
            partial(write_group, work.blocks), batch_format="pyarrow"
        )
        try:
            for row in blocks.iter_rows():
                yield block_in(dict(row))
        except ray.exceptions.RayTaskError as error:
            line = str(error.cause).splitlines()[0]  # Ray appends its own advice
            if isinstance(error.cause, JetscaleError):
                raise type(error.cause)(line) from error
            raise SweepError(f"streams cannot be prepared: {line}") from error
        except ray.exceptions.RayError as error:
            line = str(error).splitlines()[0]
            raise SweepError(f"streams cannot be prepared: {line}") from error


@contextmanager
def _settings() -> Iterator[None]:
    """Ray Data as this job needs it: its shuffle, our errors as they are, and a silent console."""
    wanted = {
        "shuffle_strategy": ShuffleStrategy.SORT_SHUFFLE_PULL_BASED,
        "enable_progress_bars": False,
        "raise_original_map_exception": True,
    }
    context = DataContext.get_current()
    before = {name: getattr(context, name) for name in wanted}
    handlers = logging.getLogger("ray.data").handlers
    console = [h for h in handlers if isinstance(h, logging.StreamHandler)]
    levels = [handler.level for handler in console]
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        for handler in console:
            handler.setLevel(logging.CRITICAL + 1)  # the log file in Ray's session keeps all
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for handler, level in zip(console, levels, strict=True):
            handler.setLevel(level)
