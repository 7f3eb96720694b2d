"""Run tables as files: comma, tab or semicolon separated, compressed, UTF-8 or UTF-16, Parquet."""

import bz2
import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from jetscale.errors import TableError
from jetscale.scaling.columns import REQUIRED
from jetscale.scaling.table import copies, validate

_COMPRESSED = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}
_BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)
_SEPARATORS = (",", "\t", ";")


def read_runs(
    path: Path | str, columns: Mapping[str, str] | None = None, noun: str = "", metric: str = ""
) -> pd.DataFrame:
    """Read and check a run table; raises TableError where it is none.

    A run whose loss repeats that of another seed to the last digit is left out, and a note says so.

    Args:
        path: A table separated by commas, tabs or semicolons, compressed or not, or Parquet.
        columns: The file's names of columns, by the name here: ``{"params": "N"}``.
        noun: What one example is called, e.g. ``tokens``.
        metric: A column to analyse instead of the loss, see `jetscale.scaling.metric`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise TableError(f"{path}: cannot read the run table: {error.strerror}") from error
    try:
        frame = _parquet(data) if data[:4] == b"PAR1" else _frame(_text(data))
        clean = validate(frame, columns, noun=noun, metric=metric)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
    return clean[~copies(clean)].reset_index(drop=True)


def _parquet(data: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except ImportError as error:
        raise TableError("a Parquet file, which needs pyarrow: pip install pyarrow") from error
    except Exception as error:  # whatever damaged bytes make of the reader
        raise TableError("not a readable Parquet file; write it again, or as CSV") from error
    return frame.reset_index() if frame.index.name in REQUIRED else frame


def _text(data: bytes) -> str:
    """The text of a file; raises TableError for what is none."""
    for magic, module in _COMPRESSED.items():
        if data.startswith(magic):
            try:
                data = module.decompress(data)
            except _BROKEN as error:
                raise TableError("the compressed file is cut short or damaged") from error
    if data[:4] == b"PK\x03\x04":
        raise TableError("a workbook or ZIP archive; save the table as CSV")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise TableError("not a text in UTF-8 or UTF-16; save the table as CSV (UTF-8)") from error


def _frame(text: str) -> pd.DataFrame:
    """The rows as they stand; every row must have as many fields as the header."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)  # the comma where there is none
    try:
        rows = io.StringIO(text, newline="")
        reader = csv.reader(rows, delimiter=separator, skipinitialspace=True, strict=True)
        lines = [[field.strip() for field in line] for line in reader]
    except csv.Error as error:
        raise TableError(f"not a comma-separated table: {error}") from error
    lines = [line for line in lines if len(line) > 1 or "".join(line)]
    if not lines:
        raise TableError(f"the run table is empty; needs {', '.join(REQUIRED)}")
    header, body = lines[0], lines[1:]
    for row, fields in enumerate(body, start=1):
        if len(fields) != len(header):
            raise TableError(
                f"row {row} has {len(fields)} fields, the header has {len(header)}: give every row "
                "one value per column"
            )
    named = {name: i for i, name in enumerate(header) if name}  # a spreadsheet's may be empty
    if twice := next((name for i, name in enumerate(header) if named.get(name, i) != i), ""):
        raise TableError(f"column {twice!r} is there twice; keep one")
    frame = pd.DataFrame(body, columns=header, dtype=object)
    return frame if len(named) == len(header) else frame[[*named]]
