"""Signs of life of a run, from a thread: they come also while no step is done.

Without them nobody could tell a run that hangs from one whose worker is gone.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from jetscale.errors import StorageError
from jetscale.planning import Run
from jetscale.store.records import HEARTBEAT_SECONDS, RecordStore


@contextmanager
def beating(store: RecordStore, run: Run, done: int = 0) -> Iterator[Callable[[int, int], None]]:
    """Say that ``run`` is being trained until the block ends; call the function after every step.

    ``done`` steps had been made when the run was last heard of.
    Raises StorageError where the first sign of life cannot be written. Later ones may be lost: the
    record or the checkpoint tells of a storage that is away.
    """
    beat, ended = _Pulse(store, run, done), threading.Event()
    beat.send()

    def repeat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with suppress(StorageError):
                beat.send()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield beat.step
    finally:  # no sign of life after the record
        ended.set()
        thread.join()


class _Pulse:
    """Where a run is, and since when."""

    def __init__(self, store: RecordStore, run: Run, done: int) -> None:
        self._store, self._run = store, run
        self._begun = self._moved = time.monotonic()
        self._first: int | None = None  # steps done at the first call: a run may be resumed
        self._done = done

    def step(self, done: int, steps: int) -> None:
        """Note a step; called for every one, so it writes nothing."""
        if self._first is None:  # what came before was loading and compiling
            self._first, self._begun = done, time.monotonic()
        self._done, self._moved = done, time.monotonic()

    def send(self) -> None:
        """Write a sign of life."""
        made = self._done - (self._done if self._first is None else self._first)
        pace = (self._moved - self._begun) / made if made else 0.0
        still = time.monotonic() - self._moved
        self._store.beat(self._run.key, self._done, self._run.steps, still=still, pace=pace)


@dataclass(slots=True)
class Life:
    """The signs of life of a run, and how many of its steps were made before and lost."""

    store: RecordStore
    run: Run
    leads: bool
    recomputed: int = 0

    @contextmanager
    def beats(self) -> Iterator[Callable[[int, int], None] | None]:
        """Give signs of life until the block ends; call the function after every step.

        Of several ranks the first one alone does.
        """
        if not self.leads:
            yield None
            return
        before, first = self.store.step_of(self.run.key), True
        with beating(self.store, self.run, done=before) as beat:

            def on_step(step: int, steps: int) -> None:
                nonlocal first
                if first:
                    self.recomputed, first = max(0, before - (step - 1)), False
                beat(step, steps)

            yield on_step
