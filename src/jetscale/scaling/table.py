"""The run table: one row per finished training run, the only thing the analysis reads.

Columns are ``mixture, params, examples, loss`` and optionally ``seed``, ``flops`` and, as in the
tables jetscale writes, ``params_non_embedding``, ``pretraining_flops``, ``unique_examples``,
``pretraining_examples``, ``noun``, what one example is called, ``search``, ``regret`` and
``regret_error`` (see `jetscale.scaling.searched`), ``trunk``, the run whose checkpoint several
rows share (blank where a row shares it with none), ``seconds`` a run took (blank: unknown) on which
``device``, and where a metric takes the place of the loss (see `jetscale.scaling.metric`)
``quantity``, ``error`` and ``measured_loss``; others are ignored.
Complaints count data rows from 1.

A *cell* is a point (mixture, params, examples); its runs differ by seed alone. Cells are numbered
over all mixtures, so the same number means the same point (params, examples) in each of them.
"""

import hashlib
import math
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from jetscale.errors import TableError
from jetscale.scaling.columns import COVARIATES as COVARIATES
from jetscale.scaling.columns import NOT_NEGATIVE, POSITIVE, check_required, rename, scale_notes
from jetscale.scaling.metric import put_in_place
from jetscale.words import counted, number, one_line

SAME_SIZE = 0.005
"""Sizes of different mixtures that differ by this share or less are one cell: at the exponents
that are met, a loss moves by a few tenths of that."""
_REPEATED = (
    "{} repeat examples (unique_examples below examples), which this law takes for distinct ones: "
    "fit the law 'repetition'"
)
_PRETRAINED = (
    "{}: runs differ in pretraining_examples, which this law leaves out: fit the law "
    "'pretraining', or 'transfer' where some are from scratch"
)
_SHOWN = 60  # characters of a value in a message
_LARGEST_SEED = 2**53  # beyond, floats are not exact: different seeds could become one
_FULL_DIGITS = 6  # losses of more significant digits are equal by copying, not by chance
_FEW_PAIRS = 5  # degrees of freedom below which the spread between seeds is a rough number


def validate(
    frame: pd.DataFrame,
    columns: Mapping[str, str] | None = None,
    *,
    noun: str = "",
    metric: str = "",
) -> pd.DataFrame:
    """Return a clean copy of a run table, rows in the order given.

    ``mixture`` and ``trunk`` are text, ``seed`` (0 where none is given) and ``cell``, always there,
    whole numbers; all else is float. ``attrs["notes"]`` holds a line for all that was taken for
    something, left out or looks wrong. Arguments as in `jetscale.scaling.reading.read_runs`.

    Raises TableError where a column or any row is missing, a value is not a positive finite number
    (``pretraining_flops`` and ``pretraining_examples`` may be zero), a seed is not a whole number
    or a run is listed twice.
    """
    given = [str(column) for column in frame.columns]
    frame, notes = rename(frame, columns or {}, metric.partition(":")[0])
    notes = [*frame.attrs.get("notes", ()), *notes]
    if metric and len(frame):
        frame, told = put_in_place(frame, metric)
        notes += told
    check_required(frame, given)
    if frame.empty:
        raise TableError("the run table has no rows; needs at least one finished run")
    clean = pd.DataFrame({"mixture": _names(frame)})
    for column in (*POSITIVE, *NOT_NEGATIVE):
        if column in frame:
            clean[column] = _sizes(frame, column)
    if "trunk" in frame:  # a run without one has its own
        names = frame["trunk"].fillna("").astype(str).tolist()
        clean["trunk"] = [name if name.strip() else f"(row {i})" for i, name in enumerate(names, 1)]
    for column in (name for name in ("noun", "search", "quantity", "device") if name in frame):
        clean[column] = frame[column].fillna("").astype(str).str.strip().tolist()
    if noun:
        clean["noun"] = noun.strip().removesuffix("s")
    blank = ("regret", "regret_error", "seconds")  # where there is none
    for column in (name for name in blank if name in frame):
        clean[column] = _floats(frame[column])
    clean["seed"] = _seeds(frame) if "seed" in frame else 0
    _check_duplicates(clean, named="seed" in frame)
    clean["cell"] = _cells(clean)
    notes += [*_copy_notes(clean), *_matched_notes(clean), *scale_notes(clean, noun_of(clean))]
    notes.append(spread_of(clean[~copies(clean)], ["mixture", "cell"]).note)
    if (clean["params"] < 1).any():
        notes.append("params are below 1; if they are in millions, name the column params_M")
    clean.attrs["notes"] = tuple(filter(None, dict.fromkeys(notes)))
    return clean


def matched(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a clean table in which sizes of different mixtures that count as one are equal."""
    return runs.assign(**{name: _levels(runs, name) for name in ("params", "examples")})


def ignored(runs: pd.DataFrame, columns: Collection[str]) -> list[str]:
    """Return a line for what tells runs apart and a law that needs ``columns`` leaves out."""
    lines = []
    if "unique_examples" in runs and "unique_examples" not in columns:
        repeated = runs["unique_examples"] < runs["examples"]
        lines += [_REPEATED.format(counted(int(repeated.sum()), "run"))] if repeated.any() else []
    if "pretraining_examples" in runs and "pretraining_examples" not in columns:
        sizes = runs.groupby("mixture", sort=False)["pretraining_examples"].nunique()
        names = ", ".join(map(str, sizes.index[sizes > 1]))
        lines += [_PRETRAINED.format(names)] if names else []
    return lines


def quantity_of(runs: pd.DataFrame) -> str:
    """Return what the loss column of a clean table is: ``loss``, or what stands in its place."""
    return (runs["quantity"].iloc[0] if "quantity" in runs else "") or "loss"


def noun_of(runs: pd.DataFrame) -> str:
    """Return what one example of a clean table is called: that of its first row, or ``example``."""
    return (runs["noun"].iloc[0] if "noun" in runs else "") or "example"


def digest(runs: pd.DataFrame, digits: int = 17) -> str:
    """SHA-256 of the runs in a fixed order of rows, losses to so many digits."""
    columns = ["mixture", "params", "examples", "seed", "loss"]
    text = runs[columns].sort_values(columns).to_csv(index=False, float_format=f"%.{digits}g")
    return hashlib.sha256(text.encode()).hexdigest()


def identity(runs: pd.DataFrame) -> list[str]:
    """Return the columns that tell one run of a clean table from another."""
    return ["mixture", "params", "examples", *(c for c in COVARIATES if c in runs), "seed"]


def _cells(clean: pd.DataFrame) -> pd.Series:
    """Number the cells (n,): one for each (params, examples), the same in all mixtures."""
    sizes, held = ["params", "examples"], [name for name in COVARIATES if name in clean]
    clean = matched(clean)
    if not held:
        return clean.groupby(sizes, sort=True).ngroup()
    # runs of one mixture and size that differ in a covariate are no seeds of each other: they get
    # cells of their own, the smallest first, so that numbers match where mixtures have one per size
    values = clean.groupby(held, sort=True).ngroup()
    place = values.groupby([clean[name] for name in ("mixture", *sizes)]).rank("dense")
    return clean.assign(place=place).groupby([*sizes, "place"], sort=True).ngroup()


def _levels(clean: pd.DataFrame, column: str) -> pd.Series:
    """Sizes, those within `SAME_SIZE` of each other as the smallest of them.

    Sizes that any mixture itself tells apart are left as they are.
    """
    values = clean[column]
    sizes = np.unique(values)
    first = np.append(True, np.diff(np.log(sizes)) > math.log1p(SAME_SIZE))
    if first.all():
        return values
    level = values.map(dict(zip(sizes, sizes[first][np.cumsum(first) - 1], strict=True)))
    own = values.groupby([level, clean["mixture"]]).transform("nunique").groupby(level)
    apart = own.transform("max") > 1
    apart |= values.groupby(level).transform("max") > level * (1 + SAME_SIZE)
    return values.where(apart, level)


def _matched_notes(clean: pd.DataFrame) -> list[str]:
    lines = []
    for name in ("params", "examples"):
        level = _levels(clean, name)
        moved = clean[name] != level
        if moved.any():
            far = float((clean[name] / level).max() - 1)
            first = clean.loc[moved, name].iloc[0], level[moved].iloc[0]
            count = counted(clean.loc[moved, name].nunique(), "size")
            pair = " and ".join(f"{value:.12g}" for value in first)
            lines.append(
                f"{count} of {name} count as those of another mixture up to {far:.2g} of them away "
                f"(at most {SAME_SIZE:g}), e.g. {pair}: cells are matched, laws use the true sizes"
            )
    return lines


def copies(clean: pd.DataFrame) -> pd.Series:
    """Mark runs of a clean table whose loss repeats that of another seed to the last digit.

    Losses of few digits and scores, which count examples, are never marked: they may be equal by
    chance.
    """
    if "quantity" in clean:
        return pd.Series(False, index=clean.index)
    full = clean["loss"].map(lambda loss: float(f"{loss:.{_FULL_DIGITS}g}") != loss)
    return clean.duplicated(["mixture", "cell", "loss"]) & full


def _copy_notes(clean: pd.DataFrame) -> list[str]:
    again = clean[copies(clean)]
    if again.empty:
        return []
    row = again.iloc[0]
    return [
        f"{counted(len(again), 'run')} with the loss of another seed to the last digit: listed "
        f"twice, or a seed without effect? e.g. mixture {row['mixture']!r}, params "
        f"{row['params']:g}, examples {row['examples']:g}, seed {row['seed']}; of a file they "
        "count once"
    ]


def _names(frame: pd.DataFrame) -> list[str]:
    names = ["" if pd.isna(v) else one_line(str(v)) for v in frame["mixture"]]
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


_COMMA = re.compile(r"[-+]?\d+(,\d+)+(\.\d*)?(e[-+]?\d+)?")  # of decimals, or of thousands


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    raw = frame[column]
    values = _floats(raw)
    for row in np.flatnonzero(np.isnan(values)):
        text = str(raw.iloc[row]).strip()
        text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        shown = f"is {text!r}" if text else "is empty"
        needs = "a number"
        if _COMMA.fullmatch(text):
            needs = "a number without commas, decimals behind a point"
        elif text[:1].isdigit():
            needs = f"a plain number; a unit may stand in the column's name, e.g. '{column} (M)'"
        elif text.lower() in ("nan", ""):
            seeds = "number the runs of a cell, or leave the column out"
            needs += f"; {seeds if column == 'seed' else 'leave runs that failed or diverged out'}"
        raise TableError(f"row {row + 1}: {column} {shown}, needs {needs}")
    return values


def _sizes(frame: pd.DataFrame, column: str) -> np.ndarray:
    """Numbers of a column that must be finite and above zero, or for some not below it."""
    values = _numbers(frame, column)
    positive, least = column in POSITIVE, "zero or more"
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


class Spread(NamedTuple):
    """A standard deviation of log loss between runs alike."""

    value: float  # nan where no two runs are alike
    freedom: int  # degrees of freedom it rests on

    @property
    def note(self) -> str:
        """A line where it rests on few pairs: how far the true spread may be from it."""
        if not 0 < self.freedom < _FEW_PAIRS:
            return ""
        ends = (math.sqrt(self.freedom / stats.chi2.ppf(p, self.freedom)) for p in (0.975, 0.025))
        low, high = (number(self.value * end, 2) for end in ends)
        many = counted(self.freedom, "degree")
        spread = f"{number(self.value, 2)} [{low}, {high}]"
        return f"the spread between seeds, {spread} of log loss, has {many} of freedom"


def spread_of(runs: pd.DataFrame, cell: list[str]) -> Spread:
    """Return the pooled spread of log loss in runs alike in columns ``cell``."""
    groups = np.log(runs["loss"]).groupby([runs[name] for name in cell])
    freedom = len(runs) - groups.ngroups
    squares = float(((np.log(runs["loss"]) - groups.transform("mean")) ** 2).sum())
    return Spread(math.sqrt(squares / freedom) if freedom else math.nan, freedom)


def seed_spread(runs: pd.DataFrame, cell: list[str]) -> float:
    """Pooled standard deviation of log loss in runs alike in columns ``cell``; nan if none are."""
    return spread_of(runs, cell).value
