"""A Ray Data job as ours want it: a silent terminal, and errors of tasks as they are.

Ray prints progress bars and logs of its own, and wraps what a task raises; here the terminal stays
ours, Ray's log files still have it all, and an error arrives as one line.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.data.context import DataContext

from jetscale.errors import JetscaleError, SweepError


@contextmanager
def job(failure: str) -> Iterator[None]:
    """Run a Ray Data job in the block; ``failure`` starts the message of what is not our error.

    Raises
    ------
    JetscaleError
        The leaf that a task raised, with its message.
    SweepError
        A task raised something else, or Ray itself failed.
    """
    try:
        with _settings():
            yield
    except ray.exceptions.RayTaskError as error:
        line = _first_line(error.cause)
        if isinstance(error.cause, JetscaleError):
            raise type(error.cause)(line) from error
        raise SweepError(f"{failure}: {line}") from error
    except ray.exceptions.RayError as error:
        raise SweepError(f"{failure}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    """The first line of a message, or the name of the error; Ray appends advice of its own."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def _settings() -> Iterator[None]:
    wanted = {"enable_progress_bars": False, "raise_original_map_exception": True}
    context = DataContext.get_current()
    before = {name: getattr(context, name) for name in wanted}
    handlers = logging.getLogger("ray.data").handlers
    console = {h: h.level for h in handlers if isinstance(h, logging.StreamHandler)}
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        for handler in console:
            handler.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for handler, level in console.items():
            handler.setLevel(level)
