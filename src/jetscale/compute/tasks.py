"""The executor on Ray: calls run on every node of the cluster that Ray is connected to."""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RaySystemError, RayTaskError

from jetscale.errors import MissingExtra, SweepError
from jetscale.executor import Call, Lost, Outcome, attempt, drive

I = TypeVar("I")  # noqa: E741 (an item)
R = TypeVar("R")


class RayExecutor:
    """An executor whose calls are Ray tasks, ``most`` at the same time; Ray must be connected.

    None is as many as the cluster has CPUs, counted anew after every result, so that nodes that
    join are used.
    """

    def __init__(self, most: int | None = None) -> None:
        if not ray.is_initialized():
            raise SweepError("Ray is not running; call ray.init() first")
        self._most = most

    @property
    def slots(self) -> int:
        """How many one-CPU calls are worked on at the same time."""
        return self._most or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(
        self, function: Callable[[I], R], items: Iterable[I], *, lost: Lost[I, R] | None = None
    ) -> Generator[R, None, None]:
        """See `Executor.map`; a call uses one CPU, and what is no longer wanted is cancelled."""
        shared = ray.put(function)  # once for all calls, however large what is bound to it
        # retries are counted here: Ray's own would not tell of which item
        task = ray.remote(attempt).options(num_cpus=1, max_retries=0)
        running: dict[Any, Call[I]] = {}

        def start(call: Call[I]) -> bool:
            # a few wait at the nodes, so that none is idle while its result travels
            if len(running) >= (self._most or self.slots + self.slots // 8 + 1):
                return False
            running[task.remote(shared, call.item)] = call
            return True

        def finished() -> Iterator[tuple[Call[I], Outcome[R]]]:
            ended, _ = ray.wait(list(running), num_returns=1)
            for reference in ended:
                call = running.pop(reference)
                try:
                    outcome: Outcome[R] = ray.get(reference)
                    if isinstance(outcome.error, MissingExtra):
                        outcome = Outcome(error=SweepError(f"on a node, {outcome.error}"))
                except (RayTaskError, RaySystemError) as error:  # those of the call are values
                    cause = getattr(error, "cause", error)
                    told = f"{call.item}: a node cannot do it: {str(cause).splitlines()[0]}"
                    outcome = Outcome(error=SweepError(told))
                except OutOfMemoryError:
                    outcome = Outcome(death="out of memory")
                except NodeDiedError:
                    outcome = Outcome(death="its node was lost")
                except RayError:
                    outcome = Outcome(death="killed or crashed")
                yield call, outcome

        try:
            yield from drive(items, lost, start, finished)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
