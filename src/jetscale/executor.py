"""One way to call a function with many items: in this process, in a pool of processes, or on Ray.

All executors give the same results. The item of a process that dies (killed, out of memory, a fault
in a native library) is tried again in a new one, `RETRIES` times, then given up with a line.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, Protocol, TypeVar, cast

from jetscale.errors import JetscaleError, SweepError

I = TypeVar("I")  # noqa: E741 (an item)
R = TypeVar("R")

RETRIES = 2  # how often an item is tried again after the process that had it died

GRACE = 3.0  # seconds a process gets to end by itself before it is killed

Lost = Callable[[I, str], R]
"""Given an item whose processes all died and the reason: what stands for its result, or raises."""


class Executor(Protocol):
    """Calls a function with every item of a list, somewhere."""

    def map(
        self, function: Callable[[I], R], items: Iterable[I], *, lost: Lost[I, R] | None = None
    ) -> Generator[R, None, None]:
        """The results of ``function(item)`` for all items, in the order in which they arrive.

        Nothing more is started once the generator is closed or has raised. Raises what ``function``
        raised, as it is, and SweepError where `RETRIES` + 1 processes died at the same item.

        Args:
            function: Importable by its name, or a `functools.partial` of such a function; data that
                all calls share is best bound there, because it is sent once to each process.
            items: Taken one by one, when there is room. After every result more are asked for, even
                if there were none before, so an iterator may decide by what has arrived.
            lost: Called for an item whose process died again and again; None raises SweepError.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[R]):
    """How a call ended: with a value, an error (which travels as a value), or a dead process."""

    value: R | None = None
    error: Exception | None = None
    death: str = ""


@dataclass(slots=True, eq=False)
class Call(Generic[I]):
    """One item of one `Executor.map`, and the deaths it has seen."""

    item: I
    deaths: int = 0


def attempt(function: Callable[[I], R], item: I) -> Outcome[R]:
    """Call the function in a worker; an exception that cannot travel becomes a SweepError."""
    try:
        return Outcome(value=function(item))
    except Exception as error:
        if not isinstance(error, JetscaleError):  # a bug: show where it was, there
            error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = SweepError(f"{item}: {type(error).__name__}: {error}")
        return Outcome(error=error)


def drive(
    items: Iterable[I],
    lost: Lost[I, R] | None,
    start: Callable[[Call[I]], bool],
    finished: Callable[[], Iterable[tuple[Call[I], Outcome[R]]]],
) -> Generator[R, None, None]:
    """The loop of every `Executor.map` that has workers: fill them, collect, try again.

    ``start`` gives a call to a free worker, and is False if none is free; ``finished`` waits until
    a call has ended and tells how.
    """
    source = iter(items)
    waiting: deque[Call[I]] = deque()
    running = 0
    while True:
        while waiting or (waiting := deque(Call(item) for item in islice(source, 1))):
            if not start(waiting[0]):
                break
            waiting.popleft()
            running += 1
        if not running and not waiting:
            return
        for call, outcome in finished():
            running -= 1
            if outcome.error:
                raise outcome.error
            if not outcome.death:
                yield cast(R, outcome.value)
            elif call.deaths < RETRIES:
                call.deaths += 1
                waiting.append(call)
            else:
                reason = f"the process working on it died {RETRIES + 1} times ({outcome.death})"
                if lost is None:
                    text = f"{call.item}: {reason}; if memory is short, use fewer workers"
                    raise SweepError(text)
                yield lost(call.item, reason)


class InProcess:
    """The executor that calls the function here, one item after another."""

    def map(
        self, function: Callable[[I], R], items: Iterable[I], *, lost: Lost[I, R] | None = None
    ) -> Generator[R, None, None]:
        """See `Executor.map`; ``lost`` plays no part, this process is all there is."""
        for item in iter(items):
            yield function(item)


in_process = InProcess()


@dataclass(slots=True, eq=False)
class _Worker:
    """A process of a pool, the call it works on, and the map that its function is of."""

    process: SpawnProcess
    pipe: Connection
    call: Call[Any] | None = None
    map: int = 0


class ProcessPool:
    """The executor that runs calls in other processes of this machine; see `process_pool`.

    `concurrent.futures.ProcessPoolExecutor` breaks as a whole when a process dies, and cannot tell
    which item was to blame. Here every process has a pipe of its own, and only it is replaced.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots  # processes at most
        self._workers: list[_Worker] = []
        self._maps = 0

    def map(
        self, function: Callable[[I], R], items: Iterable[I], *, lost: Lost[I, R] | None = None
    ) -> Generator[R, None, None]:
        """See `Executor.map`; what one that was left early left behind is worked off silently."""
        self._maps += 1
        number, mine = self._maps, set[Call[I]]()

        def start(call: Call[I]) -> bool:
            if (worker := self._idle()) is None:
                return False
            # the function, with the data bound to it, travels with the first call of a map alone
            what = function if worker.map != number else None
            # one that died while it was idle is noticed when its answer is read
            with suppress(BrokenPipeError):
                worker.pipe.send((what, call.item))
            mine.add(call)
            worker.call, worker.map = call, number
            return True

        def finished() -> Iterator[tuple[Call[I], Outcome[R]]]:
            pipes = {worker.pipe: worker for worker in self._workers if worker.call}
            for pipe in wait(list(pipes)):
                worker = pipes[cast(Connection, pipe)]
                call, worker.call = worker.call, None
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, OSError):  # nobody holds the other end any more
                    outcome = Outcome(death=self._bury(worker))
                if call in mine:
                    yield cast(Call[I], call), outcome

        return drive(items, lost, start, finished)

    def _idle(self) -> _Worker | None:
        """A process with nothing to do; a new one as long as there may be more."""
        for worker in self._workers:
            if worker.call is None:
                return worker
        if len(self._workers) == self.slots:
            return None
        # a fork would copy the threads and locks of this process
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()  # or the end of the process would not close the pipe
        self._workers.append(_Worker(process=process, pipe=ours))
        return self._workers[-1]

    def _bury(self, worker: _Worker) -> str:
        """Forget a process that died; returns how it ended."""
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(GRACE)
        code = worker.process.exitcode or 0
        worker.process.close()
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"exit code {code}"

    def close(self) -> None:
        """End all processes, whatever they are doing; nothing stays behind."""
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():  # deep in native code, where no signal is looked at
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
            worker.process.close()
        self._workers.clear()


def process_pool(slots: int) -> closing[ProcessPool]:
    """An executor of up to ``slots`` processes on this machine, which end with the block.

    They start when there is work and are kept for the next `map`: importing takes seconds. Raises
    SweepError where a process that is only being started asks for processes of its own.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SweepError(
            "a process of a pool imports the main script, which begins a sweep again; put what "
            'begins it below `if __name__ == "__main__":`'
        )
    return closing(ProcessPool(slots))


def _work(pipe: Connection) -> None:
    """What a process of a pool does: calls until the pipe closes."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process is one slot, in native code, too
    # Ctrl-C reaches all processes of a terminal; the pool decides what it means. SIGTERM comes from
    # the pool and ends the call as an exception does, so that files half written are removed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:  # even if that one was killed
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, KeyboardInterrupt):
        # not a SystemExit, which would be taken for one of the code that is called
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while True:
            new, item = pipe.recv()
            if new is not None:
                function = new
            try:
                pipe.send(attempt(function, item))
            except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
                pipe.send(Outcome(error=SweepError(f"{item}: its result cannot travel: {error}")))
