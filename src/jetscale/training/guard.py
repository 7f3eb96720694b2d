"""Runs a command and ends it, with all that it started, when whoever asked for it is gone.

A program by itself, of the standard library alone: ``python guard.py WORD WORD ...``. Its standard
input is a pipe whose other end the worker holds: a byte asks the command to end (SIGTERM), and the
end of the pipe, which comes also where the worker was killed, ends it at once (SIGKILL). It prints
one JSON object, how the command ended. What the command prints goes to standard error.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def main(words: Sequence[str]) -> None:
    """Run the command until it ends."""
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            start_new_session=True,
            preexec_fn=_dying_with(os.getpid()),
        )
    except OSError as error:
        print(json.dumps({"error": error.strerror or str(error)}))
        return
    threading.Thread(target=_listen, args=(child.pid,), daemon=True).start()
    code = child.wait()
    _signal(child.pid, signal.SIGKILL)  # what it left behind
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"code": code, "cpu": used.ru_utime + used.ru_stime}), flush=True)


def _listen(group: int) -> None:
    """Do what the worker asks for."""
    while os.read(0, 1):
        _signal(group, signal.SIGTERM)
    _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _dying_with(parent: int) -> Callable[[], None] | None:
    """What makes the kernel end a process where this one is killed, which Linux alone can."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def promise() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed meanwhile
            os._exit(1)

    return promise


if __name__ == "__main__":
    main(sys.argv[1:])
