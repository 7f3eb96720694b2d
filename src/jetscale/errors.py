"""Every mistake jetscale reports to a person: `JetscaleError` and its leaves.

A message is one line: what, where, the value, the fix. The command line prints it and exits with 2.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

_LISTED = 20  # more names would not fit a line


class JetscaleError(Exception):
    """Root of all errors a user can cause or cure."""


class StudyError(JetscaleError):
    """A study, mixture, ladder or recipe cannot mean what it says."""


class DataError(JetscaleError):
    """A shard, stream or public file is damaged, absent or not what it is declared to be."""


class TableError(JetscaleError):
    """A run table lacks columns or holds unusable values."""


class FitError(JetscaleError):
    """The runs do not determine the law that was asked for."""


class StorageError(JetscaleError):
    """A folder cannot be written, a disk is full, a port is taken."""


class SweepError(JetscaleError):
    """The sweep cannot start, or Ray or MLflow refuses what it needs."""


class TrainingError(JetscaleError):
    """A training cannot start, does not stay finite, or its trunk does not fit."""


class Diverged(TrainingError):
    """The loss or the output of a training is not finite, which all its workers see alike."""


class MissingExtra(JetscaleError):
    """An optional dependency is needed but not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)  # plain arguments, so that it can be pickled

    def __str__(self) -> str:
        package, extra = self.args
        return f"package {package!r} is not installed: run `pip install 'jetscale[{extra}]'`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run, trial or task failed, as a value: from where it arises to JSON."""

    kind: str
    """Name of the error's class."""
    reason: str
    """One line for people."""

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """The failure that an error stands for.

        >>> Failure.of(DataError("a.root: truncated"))
        Failure(kind='DataError', reason='a.root: truncated')
        """
        return cls(kind=type(error).__name__, reason=" ".join(str(error).split())[:500])


def unknown(what: str, value: str, known: Iterable[str]) -> str:
    """One line for a name that is not known, with the nearest known name.

    >>> unknown("class", "Hbc", ["Hbb", "QCD"])
    "unknown class 'Hbc'; did you mean 'Hbb'? known: Hbb, QCD"
    """
    names = list(known)
    shown = f"{len(names)} are known"
    if len(names) <= _LISTED:
        shown = f"known: {', '.join(repr(name) if ',' in name else name for name in names)}"
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(value.lower(), list(lowered), n=1, cutoff=0.5)
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else ";"
    return f"unknown {what} {value!r}{hint} {shown}"
