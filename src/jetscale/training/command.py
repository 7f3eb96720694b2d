"""Runs that a command trains: start it, watch it, end it, and read what it left.

jetscale decides what is trained, and records it; how it is trained is the command's own business.
"""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetscale.errors import Diverged, SweepError, TrainingError, unknown
from jetscale.store.local import fits, make_folder, read_json
from jetscale.training import guard
from jetscale.training.stack import Evicted

GRACE = 10.0  # seconds a command has to save what it wants to when it is told to end
LOOK = 0.5  # seconds between two looks at whether it is to end
_TAIL = 4096  # bytes of a log in which the last line is looked for
_KINDS: Mapping[str, tuple[Any, str]] = {
    "loss": (float, "a finite number"),
    "validation_loss": (float, "a finite number"),
    "training_loss": (float, "a finite number"),
    "scores": (dict[str, float | dict[str, float | None]], "finite numbers by name"),
    "curve": (dict[str, list[list[float]]], "points [step, loss] of finite numbers by name"),
    "params": (int, "a whole number above zero"),
    "steps": (int, "a whole number above zero"),
    "flops": (float, "a finite number above zero"),
    "versions": (dict[str, str], "texts by name"),
}
_LOSSES = ("loss", "validation_loss", "training_loss")
_CURVES = ("training_loss", "validation_loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the result of a command says; None is what it does not."""

    loss: float | None = None
    """Test loss."""
    validation_loss: float | None = None
    training_loss: float | None = None
    scores: dict[str, Any] | None = None
    curve: dict[str, list[list[float]]] | None = None
    params: int | None = None
    steps: int | None = None
    flops: float | None = None
    versions: dict[str, str] | None = None


def run_command(
    words: Sequence[str],
    folder: Path,
    log: Path,
    *,
    alive: Callable[[], object] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> float:
    """Run a command in ``folder``; returns the CPU seconds of its processes.

    What it prints is added to the file ``log``. ``alive`` is called about twice a second. Where
    ``stop`` says so or an exception arrives the command is told to end, and killed after `GRACE`
    seconds; it is killed at once where this process is.

    Raises:
        SweepError: The command cannot be started here.
        TrainingError: It ended with an exit code other than 0, or was killed.
        Evicted: ``stop`` said so, however the command ended then.
    """
    _check_program(words[0], folder)
    make_folder(log.parent)
    with log.open("ab") as file:
        begin = file.tell()
        guarded = subprocess.Popen(
            # without the user's settings and packages it starts in a few milliseconds
            [sys.executable, "-I", "-S", guard.__file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            cwd=folder,
            # a worker has one core, and many commands share a machine
            env={"OMP_NUM_THREADS": "1"} | os.environ,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then decides
        )
    with guarded:
        try:
            while not _ended(guarded, LOOK):
                alive()
                if stop():
                    raise Evicted("its command was told to end")
        finally:
            _end(guarded)
        found = json.loads(_read(guarded) or "{}")
    if "error" in found:
        raise _not_started(words[0], found["error"])
    if found.get("code") != 0:
        raise TrainingError(f"its command {_how(found.get('code'))}, {_last_line(log, begin)}")
    return float(found["cpu"])


def _ended(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command that may still run; returns when it is gone."""
    if process.stdin is None or process.returncode is not None:
        return
    with suppress(OSError):  # it has just ended
        process.stdin.write(b".")
        process.stdin.flush()
        _ended(process, GRACE)
    with suppress(OSError):
        process.stdin.close()
    process.wait()


def _read(process: "subprocess.Popen[bytes]") -> bytes:
    return process.stdout.read() if process.stdout else b""


def _check_program(program: str, folder: Path) -> None:
    """Raise SweepError where there is no such program; a path begins at the folder."""
    if not folder.is_dir():
        raise _not_started(program, f"there is no folder {folder} to start it in")
    path = str(folder / program) if "/" in program else program
    if shutil.which(path) is None:
        raise _not_started(program, "there is no such program that may be run")


def _not_started(program: str, why: str) -> SweepError:
    return SweepError(
        f"the command {program!r} cannot be started on {socket.gethostname()}: {why}; install it "
        "there, or name another one in recipe.trainer"
    )


def _how(code: int | None) -> str:
    if code is None:
        return "and who watched it were killed"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _last_line(log: Path, begin: int) -> str:
    """The log's path, and what was last printed behind ``begin``."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(begin, size - _TAIL))
        lines = file.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
    return f"log {log}: {last[:300]}"


def read_outcome(path: Path, *, tested: bool) -> Outcome:
    """What the result file of a command says; ``tested`` asks for a test loss.

    Raises Diverged for a loss that is not finite, TrainingError for all else that is wrong.
    """
    if not path.is_file():
        raise TrainingError(f"its command left no {path}; write the result there as JSON")
    if (values := read_json(path)) is None:
        raise TrainingError(f"{path} is not a JSON object; write one, as json.dump does")
    for name, value in values.items():
        if name not in _KINDS:
            raise TrainingError(f"{path}: {unknown('name', name, _KINDS)}; leave it out")
        if name in _LOSSES and isinstance(value, float) and not math.isfinite(value):
            raise Diverged(f"{path}: {name} is {value}; lower recipe.optimiser.learning_rate")
        kind, needs = _KINDS[name]
        good = fits(value, kind) and (name not in ("params", "steps", "flops") or value > 0)
        if name == "curve" and good:
            good = value.keys() <= set(_CURVES) and all(
                len(point) == 2 for points in value.values() for point in points
            )
        if not good:
            shown = json.dumps(value)[:100]
            raise TrainingError(f"{path}: {name} is {shown}, needs {needs}; let the command say so")
    if tested and "loss" not in values:
        raise TrainingError(f"{path}: has no 'loss', the mean loss of the test jets; add it")
    if "loss" in (values.get("scores") or {}):
        raise TrainingError(f"{path}: 'loss' is no score; write it beside 'scores'")
    return Outcome(**values)
