"""The Ray Data jobs that turn shard folders into streams.

All missing streams are made in two jobs, one per step of `jetscale.mixtures.shuffle`. Jets go from
task to task through files in ``root``, which must be a folder all nodes see: neither the driver nor
Ray's object store ever holds them, so memory is that of the running tasks. (Ray's own sort shuffle
keeps a piece per input and output in the object store.) Tasks need no standing actors, so none can
wait for a CPU held by another. The blocks do not depend on the order in which tasks end.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import ray
import ray.data
from ray.data.context import DataContext

from jetscale.errors import JetscaleError, SweepError
from jetscale.mixtures.assemble import Progress, T, assemble
from jetscale.mixtures.shuffle import Row
from jetscale.mixtures.stream import StreamPlan


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
        Called with jets done and jets in all, each time a shard is read or a block written.

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


def _run_on_ray(function: Callable[[T], list[Row]], items: Sequence[T]) -> Iterator[Row]:
    with _settings():
        numbers = ray.data.range(len(items), override_num_blocks=len(items))
        try:
            for row in numbers.flat_map(partial(_call, function, items)).iter_rows():
                yield dict(row)
        except ray.exceptions.RayTaskError as error:
            line = str(error.cause).splitlines()[0]  # Ray appends its own advice
            if isinstance(error.cause, JetscaleError):
                raise type(error.cause)(line) from error
            raise SweepError(f"streams cannot be prepared: {line}") from error
        except ray.exceptions.RayError as error:
            line = str(error).splitlines()[0]
            raise SweepError(f"streams cannot be prepared: {line}") from error


def _call(function: Callable[[T], list[Row]], items: Sequence[T], row: Row) -> list[Row]:
    return function(items[row["id"]])


@contextmanager
def _settings() -> Iterator[None]:
    """Ray Data as this job needs it: our errors as they are, and a silent console."""
    wanted = {
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
