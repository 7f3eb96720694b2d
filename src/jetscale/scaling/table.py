"""The run table: one row per finished training run, the only thing the analysis reads.

Columns are ``mixture, params, examples, loss`` and optionally ``seed``, ``flops`` and, as in the
tables jetscale writes, ``params_non_embedding``, ``pretraining_flops``, ``unique_examples``,
``pretraining_examples``, ``noun``, what one example is called, ``search``, ``regret`` and
``regret_error`` (see `jetscale.scaling.searched`), and ``trunk``, the run whose checkpoint several
rows share (blank where a row shares it with none), ``seconds`` a run took (blank: unknown) on which
``device``; others are ignored.
Complaints count data rows from 1.

A *cell* is a point (mixture, params, examples); its runs differ by seed alone. Cells are numbered
over all mixtures, so the same number means the same point (params, examples) in each of them.
"""

import csv
import difflib
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from jetscale.errors import TableError

REQUIRED = ("mixture", "params", "examples", "loss")
COVARIATES = ("unique_examples", "pretraining_examples")
"""What else can tell two runs apart: the distinct examples a run drew its ``examples`` from, and
the examples its model was pretrained on, 0 from scratch. Some laws need them."""
_POSITIVE = ("params", "examples", "loss", "flops", "params_non_embedding", "unique_examples")
_NOT_NEGATIVE = ("pretraining_flops", "pretraining_examples")
_TEXTS = ("trunk", "noun", "search", "device")
_BLANK_MAY_BE = ("regret", "regret_error", "seconds")
_KNOWN = {
    *(*REQUIRED, *COVARIATES, *_POSITIVE, *_NOT_NEGATIVE, *_TEXTS),
    *("seed", *_BLANK_MAY_BE),
}
_LISTED, _SHOWN = 20, 60  # column names in a message, and characters of a name or a value
_LARGEST_SEED = 2**53  # beyond, floats are not exact: different seeds could become one


def read_runs(path: Path | str) -> pd.DataFrame:
    """Read and check a comma-separated run table; raises TableError where it is none."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, skipinitialspace=True, strict=True))
    except OSError as error:
        raise TableError(f"{path}: cannot read the run table: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise TableError(f"{path}: not a comma-separated table: {error}") from error
    try:
        return validate(_frame(lines))
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


def _frame(lines: list[list[str]]) -> pd.DataFrame:
    lines = [line for line in lines if len(line) > 1 or "".join(line).strip()]
    if not lines:
        raise TableError(f"the run table is empty; needs {', '.join(REQUIRED)}")
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    for separator, shown in ((";", "';'"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise TableError(f"separated by {shown}, needs commas")
    for row, fields in enumerate(rows, start=1):
        if len(fields) != len(header):
            raise TableError(
                f"row {row} has {len(fields)} fields, the header has {len(header)}: give every row "
                "one value per column"
            )
    _check_columns(header)
    known = {name: i for i, name in enumerate(header) if name in _KNOWN}  # a table may be wide
    return pd.DataFrame({name: [row[i] for row in rows] for name, i in known.items()})


def validate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a clean copy of a run table, rows in the order given.

    ``mixture`` and ``trunk`` are text, ``seed`` (0 where none is given) and ``cell``, always there,
    whole numbers; all else is float.

    Raises TableError where a column or any row is missing, a value is not a positive finite number
    (``pretraining_flops`` and ``pretraining_examples`` may be zero), a seed is not a whole number
    or a run is listed twice.
    """
    _check_columns([str(column) for column in frame.columns])
    if frame.empty:
        raise TableError("the run table has no rows; needs at least one finished run")
    clean = pd.DataFrame({"mixture": _names(frame)})
    for column in (*_POSITIVE, *_NOT_NEGATIVE):
        if column in frame:
            clean[column] = _sizes(frame, column)
    if "trunk" in frame:  # a run without one has its own
        names = frame["trunk"].fillna("").astype(str).tolist()
        clean["trunk"] = [name if name.strip() else f"(row {i})" for i, name in enumerate(names, 1)]
    for column in {"noun", "search", "device"} & set(frame.columns):
        clean[column] = frame[column].fillna("").astype(str).str.strip().tolist()
    for column in {*_BLANK_MAY_BE} & set(frame.columns):
        clean[column] = _floats(frame[column])
    clean["seed"] = _seeds(frame) if "seed" in frame else 0
    _check_duplicates(clean, named="seed" in frame)
    clean["cell"] = _cells(clean)
    return clean


def noun_of(runs: pd.DataFrame) -> str:
    """Return what one example of a clean table is called: that of its first row, or ``example``."""
    return (runs["noun"].iloc[0] if "noun" in runs else "") or "example"


def identity(runs: pd.DataFrame) -> list[str]:
    """Return the columns that tell one run of a clean table from another."""
    return ["mixture", "params", "examples", *(c for c in COVARIATES if c in runs), "seed"]


def _cells(clean: pd.DataFrame) -> pd.Series:
    """Number the cells (n,): one for each (params, examples), the same in all mixtures."""
    sizes, held = ["params", "examples"], [name for name in COVARIATES if name in clean]
    if not held:
        return clean.groupby(sizes, sort=True).ngroup()
    # runs of one mixture and size that differ in a covariate are no seeds of each other: they get
    # cells of their own, the smallest first, so that numbers match where mixtures have one per size
    values = clean.groupby(held, sort=True).ngroup()
    place = values.groupby([clean[name] for name in ("mixture", *sizes)]).rank("dense")
    return clean.assign(place=place).groupby([*sizes, "place"], sort=True).ngroup()


def _check_columns(columns: list[str]) -> None:
    for name in REQUIRED:
        if name in columns:
            continue
        rest = [c for c in columns if c not in (*REQUIRED, *_POSITIVE, "seed")]
        spare = {c.lower(): c for c in rest[:1000] if len(c) <= _SHOWN}  # of a table by a person
        near = difflib.get_close_matches(name, list(spare), n=1, cutoff=0.4)
        hint = f"; rename {spare[near[0]]!r}" if near else ""
        listed = ", ".join(c[:_SHOWN] for c in columns[:_LISTED]) or "none"
        more = f" and {len(columns) - _LISTED} more" if len(columns) > _LISTED else ""
        raise TableError(f"missing column {name!r}{hint}; found: {listed}{more}")
    twice = next((name for name, times in Counter(columns).items() if name and times > 1), None)
    if twice is not None:
        raise TableError(f"column {twice!r} is there twice; keep one")


def _names(frame: pd.DataFrame) -> list[str]:
    names = ["" if pd.isna(v) else str(v).strip() for v in frame["mixture"]]
    if "" in names:
        row = names.index("") + 1
        raise TableError(f"row {row}: mixture is empty; give every run the name of its mixture")
    return names


def _floats(raw: pd.Series) -> np.ndarray:
    """The values as floats, nan for what is no number; Python's integers may be beyond any."""
    most = float(np.finfo(float).max)  # of Python, which compares whole numbers exactly
    if raw.dtype == object:
        raw = raw.map(lambda v: math.inf if isinstance(v, int) and abs(v) > most else v)
    return pd.to_numeric(raw, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    raw = frame[column]
    values = _floats(raw)
    for row in np.flatnonzero(np.isnan(values)):
        text = str(raw.iloc[row]).strip()
        text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        shown = f"is {text!r}" if text else "is empty"
        raise TableError(f"row {row + 1}: {column} {shown}, needs a number")
    return values


def _sizes(frame: pd.DataFrame, column: str) -> np.ndarray:
    """Numbers of a column that must be finite and above zero, or for some not below it."""
    values = _numbers(frame, column)
    positive, least = column in _POSITIVE, "zero or more"
    if positive:
        least = "a finite number above zero; leave runs that failed or diverged out of the table"
    for row in np.flatnonzero(~np.isfinite(values) | (values <= 0 if positive else values < 0)):
        raise TableError(f"row {row + 1}: {column} is {values[row]:g}, needs {least}")
    return values


def _seeds(frame: pd.DataFrame) -> np.ndarray:
    values = _numbers(frame, "seed")
    for row in np.flatnonzero(~np.isfinite(values) | (values != np.round(values))):
        raise TableError(f"row {row + 1}: seed is {values[row]:g}, needs a whole number")
    for row in np.flatnonzero(np.abs(values) > _LARGEST_SEED):
        raise TableError(f"row {row + 1}: seed is {values[row]:g}, needs one of at most 2^53")
    return values.astype(np.int64)


def _check_duplicates(clean: pd.DataFrame, named: bool) -> None:
    key = identity(clean)
    again = np.flatnonzero(clean.duplicated(key))
    if not len(again):
        return
    row = clean.iloc[again[0]]
    first = int(np.flatnonzero((clean[key] == row[key]).all(axis=1))[0])
    sizes = ", ".join(f"{name} {row[name]:g}" for name in key[1:-1])
    unnamed = "no seed column; add one to tell them apart"
    cure = f"seed {row['seed']}; keep one" if named else unnamed
    raise TableError(
        f"rows {first + 1} and {again[0] + 1} are the same run: mixture {row['mixture']!r}, "
        f"{sizes}, {cure}"
    )


def seed_spread(runs: pd.DataFrame, cell: list[str]) -> float:
    """Pooled standard deviation of log loss in runs alike in columns ``cell``; nan if none are."""
    groups = np.log(runs["loss"]).groupby([runs[name] for name in cell])
    freedom = len(runs) - groups.ngroups
    squares = float(((np.log(runs["loss"]) - groups.transform("mean")) ** 2).sum())
    return math.sqrt(squares / freedom) if freedom else math.nan
