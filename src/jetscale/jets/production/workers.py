"""Processes that simulate, and the soft events they overlay; several jobs can share both.

Starting a process costs seconds (it imports Pythia and FastJet), and so does a pool of soft events.
A study simulates several roles and parts, so it opens the workers once.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from jetscale.jets.generator.conditions import DEFAULT, Conditions, Window
from jetscale.jets.generator.pythia import SoftPool
from jetscale.jets.production import chunks

_Key = tuple[int, str, Window]  # seed, role and window of an overlay


@dataclass(slots=True)
class Workers:
    """An executor and the overlays made on it so far."""

    executor: ProcessPoolExecutor
    _overlays: dict[tuple[int, str, Window], Future[tuple[SoftPool, float]]] = field(
        default_factory=dict
    )

    def overlay(
        self, seed: int, role: str, conditions: Conditions = DEFAULT
    ) -> tuple[SoftPool, float]:
        """The soft events of a role, made once, and the CPU seconds they took."""
        self.start_overlay(seed, role, conditions)
        return self._overlays[seed, role, conditions.range].result()

    def start_overlay(self, seed: int, role: str, conditions: Conditions = DEFAULT) -> None:
        """Begin with the soft events of a role before they are needed."""
        key = (seed, role, conditions.range)
        if key not in self._overlays:
            self._overlays[key] = self.executor.submit(chunks.make_overlay, *key)


@contextmanager
def simulation_workers(number: int) -> Iterator[Workers]:
    """Worker processes that end with the block, within a second or two."""
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of its parent
    stop = context.Event()
    executor = ProcessPoolExecutor(
        number, mp_context=context, initializer=chunks.start_worker, initargs=(stop,)
    )
    try:
        yield Workers(executor)
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)
