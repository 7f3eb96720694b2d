"""Every mistake jetscale reports to a person, as one tree.

    JetscaleError
    ├── StudyError      a study, mixture, ladder or control cannot mean what it says
    ├── DataError       a shard, stream or public file is damaged, absent or of the wrong kind
    ├── TableError      a run table cannot be analysed
    ├── FitError        the runs do not determine the law that was asked for
    ├── StorageError    a folder cannot be written, a disk is full, a port is taken
    ├── SweepError      Ray or MLflow could not do what the sweep needs
    ├── TrainingError   a run diverged or its checkpoint does not fit
    └── MissingExtra    an optional dependency is not installed

A message is one line: what, where, the value, the fix. The command line prints it and exits with 2.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

_LISTED = 20  # more names would not fit a line


class JetscaleError(Exception):
    """Root of all errors a user can cause or cure."""


class StudyError(JetscaleError):
    """Raised when a study or one of its parts fails validation."""


class DataError(JetscaleError):
    """Raised when jets on disk are damaged, missing or not what they are declared to be."""


class TableError(JetscaleError):
    """Raised when a run table lacks columns or holds unusable values."""


class FitError(JetscaleError):
    """Raised when a law cannot be fitted to the runs given."""


class StorageError(JetscaleError):
    """Raised when files cannot be written or a service cannot get its port."""


class SweepError(JetscaleError):
    """Raised when the sweep cannot start or a backing service refuses."""


class TrainingError(JetscaleError):
    """Raised when a training run cannot start or does not stay finite."""


class MissingExtra(JetscaleError):
    """Raised when an optional dependency is needed but not installed."""

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
    shown = f"known: {', '.join(names)}" if len(names) <= _LISTED else f"{len(names)} are known"
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(value.lower(), list(lowered), n=1, cutoff=0.5)
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else ";"
    return f"unknown {what} {value!r}{hint} {shown}"
