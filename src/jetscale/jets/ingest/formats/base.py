"""What a public file format offers to ingest, and what all formats share.

A `Format` counts the jets of a file after checking that the file is what it claims to be, and reads
them in batches of some thousand, so that memory does not grow with the file. Packages that only
formats need are the optional extra ``formats``; they are imported when a file is opened.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from jetscale.errors import DataError, MissingExtra

ROWS_PER_BATCH = 5_000


class BadFile(DataError):
    """Raised when a file is truncated, damaged or of another layout than it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A public file format: the corpus it holds, how to count and how to read its jets."""

    corpus: str
    jet_columns: tuple[str, ...]
    """Jet columns of its tables, which selection cuts may use."""
    count: Callable[[Path], int]
    """Jets in a file, after checking its layout; raises `BadFile`."""
    read: Callable[[Path], Iterator[pa.Table]]
    """Tables of at most `ROWS_PER_BATCH` jets in file order; raises `BadFile`."""


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


def first_line(error: BaseException) -> str:
    """The first line of a library's message, or the name of the error where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def unreadable(path: Path, kind: str, error: BaseException) -> BadFile:
    """The error for a file that a library cannot read."""
    return BadFile(f"{path}: not a readable {kind} file ({first_line(error)}); download it again")
