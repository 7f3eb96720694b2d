"""What every file format shares: columns, batches, and one guard around all reader libraries.

A reader opens a file of one kind as a `File`: named columns of one length that come in batches of
some thousand rows, so that memory does not grow with the file.
"""

import errno
import importlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import DataError, JetscaleError, MissingExtra
from jetscale.jets.arrays import Ints

ROWS_PER_BATCH = 5_000
LIST = "list"  # in the place of a length: another one in every row
ANY = None  # in the place of a length that may be anything
Array = NDArray[Any]
Shape = tuple[int | str | tuple[int, ...] | None, ...]
"""Lengths; a tuple of lengths means any of them."""


class BadFile(DataError):
    """Raised when a file is truncated, damaged or of another layout than it should be."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """One list of numbers per row: ``counts`` (n,) and the ``values`` (T,), row after row."""

    counts: Ints
    values: Array

    def __post_init__(self) -> None:
        """Refuse counts that do not share out the values: native code would read past them."""
        if (self.counts < 0).any() or self.counts.sum() != len(self.values):
            raise ValueError(f"lists of {self.counts.sum()} entries in all, {len(self.values)} are")


Column = Array | Ragged


class Layout(NamedTuple):
    """What a column holds, before any of it is read."""

    kind: str  # of its numbers as in NumPy (f, i, u, b), S for text, else empty
    rows: int
    shape: Shape  # of one row; (LIST,) for lists
    text: str  # the type as its library calls it, for messages


class File(NamedTuple):
    """An open file as columns."""

    names: Collection[str]
    layout: Callable[[str], Layout]
    batches: Callable[[Sequence[str]], Iterator[dict[str, Column]]]
    """Columns by name, at most `ROWS_PER_BATCH` rows at a time, in file order."""


def load(package: str) -> Any:
    """A package of the extra ``formats``; raises MissingExtra where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtra(package.split(".")[0], "formats") from error


def row_ranges(rows: int) -> Iterator[slice]:
    """Slices of at most `ROWS_PER_BATCH` that cover ``rows``."""
    for start in range(0, rows, ROWS_PER_BATCH):
        yield slice(start, min(start + ROWS_PER_BATCH, rows))


def native(values: Array) -> Array:
    """The array in this machine's byte order, which Arrow needs; files may have the other one."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


@contextmanager
def guarded(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong with a file into BadFile, with a reason that fits in one line.

    What a library raises depends on the byte that is wrong. Running out of memory is no damage.
    """
    try:
        yield
    except (BadFile, MemoryError, MissingExtra):
        raise
    except JetscaleError as error:
        raise BadFile(f"{path}: {error}") from error
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if number in (errno.EAGAIN, errno.EDEADLK) and kind == "HDF5":
            fix = "close that, or set HDF5_USE_FILE_LOCKING=FALSE to read it all the same"
            reason = f"is locked by a program that writes it; {fix}"
        elif number is not None:
            reason = f"cannot be read: {os.strerror(number)}"
        elif isinstance(error, ImportError | NotImplementedError):
            reason = f"this {kind} file needs more than is installed: {line}"
        else:
            reason = f"not a readable {kind} file ({line}); download it again"
        raise BadFile(f"{path}: {reason}") from error
