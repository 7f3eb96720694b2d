"""Being told to stop: Ctrl-C, SIGTERM (Slurm, docker stop, spot machines), SIGHUP."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Raised in the main thread when signal ``number`` ends the process, with code 128 + number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(slots=True)
class Stop:
    """Whether the process was told to stop, also where a library swallowed the exception."""

    number: int | None = None

    def check(self) -> None:
        """Raise `Stopped` if a signal came."""
        if self.number is not None:
            raise Stopped(self.number)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Raise `Stopped` for the signals that end a process, for the length of the block.

    Ray, which takes over SIGTERM, is started inside of it and gives it back (see
    `jetscale.compute.connect.quiet_start`). In other threads than the main one nothing is changed.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.number = number
        raise Stopped(number)

    # nohup asks to outlive the terminal
    heard = [n for n in _SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
