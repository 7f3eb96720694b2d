"""The search table: one row per finished run of a search over peak learning rates.

Columns are ``start, mixture, width, examples, steps, rate, seed, loss``; others are ignored.
``start`` is ``scratch``, ``pretrained`` (a pretrained trunk is fine-tuned) or ``pretraining``, and
``steps`` counts the optimiser steps of the training whose rate is searched. A run that diverged
has a loss of nan or infinity and counts as worse than every other. Complaints count rows from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from jetscale.errors import TableError, unknown
from jetscale.scaling.cost import Array
from jetscale.words import one_line

STARTS = ("scratch", "pretrained", "pretraining")
CELL = ["start", "mixture", "width", "examples"]
COLUMNS = (*CELL, "steps", "rate", "seed", "loss")
_ALIKE = 12  # decimals of a log rate: what rounding alone tells apart is the same rate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """The runs of one cell as arrays over rates and seeds, both ascending."""

    start: str
    mixture: str
    width: int
    examples: float
    steps: float
    log_rates: Array  # (R,)
    seeds: Array  # (S,)
    log_losses: Array  # (R, S): nan where there is no run, infinite where it diverged

    @property
    def finite(self) -> Array:
        """Return which rates (R,) were run and never diverged."""
        # the survivors of a rate that diverges are not a fair sample of it: all of it is left out
        return np.asarray(~np.isposinf(self.log_losses).any(axis=1))

    @property
    def means(self) -> Array:
        """Return the mean loss of each rate (R,); infinite where any of its runs diverged."""
        return np.asarray(np.nanmean(np.exp(self.log_losses), axis=1))

    @property
    def levels(self) -> Array:
        """Return the log loss of each rate (R,), seed offsets removed; infinite if one diverged."""
        # a rate run with the worse seeds alone must not look worse: offsets come from all rates
        levels = np.full(len(self.log_rates), np.inf)
        losses = self.log_losses[self.finite]
        if losses.size and np.isnan(losses).any():
            levels[self.finite] = _two_way(losses)
        else:
            levels[self.finite] = losses.mean(axis=1)
        return levels


def _two_way(losses: Array) -> Array:
    """Return the rate effects (R,) of a table (R, S) with gaps, by least squares."""
    rate, seed = np.nonzero(~np.isnan(losses))
    rates, seeds = losses.shape
    design = np.hstack([np.eye(rates)[rate], np.eye(seeds)[seed]])
    found = np.linalg.lstsq(design, losses[rate, seed], rcond=None)[0]
    return np.asarray(found[:rates] + found[rates:].mean())


def check_search(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a clean copy of a search table, its columns in order and numbers as numbers.

    Raises TableError where a column or any row is missing, a start is unknown, a number is not
    positive and finite (a loss may be nan or infinite), a run is listed twice or a cell has
    trainings of different steps.
    """
    columns = [str(column) for column in frame.columns]
    if missing := [name for name in COLUMNS if name not in columns]:
        found = ", ".join(columns) or "none"
        raise TableError(f"the search table lacks column {missing[0]!r}; add it; found: {found}")
    if frame.empty:
        raise TableError("the search table has no rows; needs at least one finished run")
    clean = pd.DataFrame({name: _names(frame[name], name) for name in ("start", "mixture")})
    for row, start in enumerate(clean["start"], start=1):
        if start not in STARTS:
            raise TableError(f"row {row}: {unknown('start', start, STARTS)}")
    for name in COLUMNS[2:]:
        clean[name] = _numbers(frame[name], name)
    clean = clean.astype({"width": int, "seed": int})
    clean["log_rate"] = np.log(clean["rate"]).round(_ALIKE)
    _check_runs(clean)
    return clean


def _names(column: pd.Series, name: str) -> list[str]:
    names = ["" if pd.isna(value) else one_line(str(value)) for value in column]
    if "" in names:
        raise TableError(f"row {names.index('') + 1}: {name} is empty; give every run one")
    return names


def _numbers(column: pd.Series, name: str) -> Array:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = ~(np.isfinite(values) & (values > 0))
    needs = "a finite number above zero"
    if name == "loss":
        blank = [pd.isna(v) or str(v).strip().lower() in ("", "nan") for v in column]
        lost = np.isnan(values) & ~np.array(blank)
        wrong, needs = lost | (values <= 0), "a number above zero, or nan for a run that diverged"
    elif name in ("width", "seed"):
        below = values < (1 if name == "width" else 0)
        wrong = ~np.isfinite(values) | below | (values != np.round(values))
        needs = "a whole number" + (" above zero" if name == "width" else " of zero or more")
    for row in np.flatnonzero(wrong):
        raise TableError(f"row {row + 1}: {name} is {column.iloc[row]!s}, needs {needs}")
    return np.asarray(values)


def _check_runs(clean: pd.DataFrame) -> None:
    key = [*CELL, "log_rate", "seed"]
    again = np.flatnonzero(clean.duplicated(key))
    if len(again):
        row = clean.iloc[again[0]]
        first = int(np.flatnonzero((clean[key] == row[key]).all(axis=1))[0])
        raise TableError(
            f"rows {first + 1} and {again[0] + 1} are the same run: {place(row)}, rate "
            f"{row['rate']:g}, seed {row['seed']}; keep one"
        )
    for _, part in clean.groupby(CELL):
        if part["steps"].nunique() > 1:
            low, high = part["steps"].min(), part["steps"].max()
            raise TableError(
                f"{place(part.iloc[0])}: steps are {low:g} and {high:g}; search the rates of a "
                "cell with trainings of equal length"
            )


def place(row: pd.Series) -> str:
    """Return where a run of a clean table lies, in words."""
    return f"{row['start']} {row['mixture']!r}, width {row['width']}, examples {row['examples']:g}"


def cells(search: pd.DataFrame) -> tuple[Cell, ...]:
    """Return the cells of a search table, sorted by start, mixture, width and examples."""
    clean = check_search(search)
    log_losses = np.log(clean["loss"].fillna(np.inf).to_numpy())
    groups = clean.groupby(CELL).indices
    keys: list[Any] = list(groups)
    numbers = clean[["width", "examples", "steps", "log_rate", "seed"]].to_numpy()
    names = clean[["start", "mixture"]].to_numpy()
    found = []
    for key in sorted(keys, key=lambda key: (STARTS.index(key[0]), *key[1:])):
        rows = groups[key]
        rates, rate = np.unique(numbers[rows, 3], return_inverse=True)
        seeds, seed = np.unique(numbers[rows, 4], return_inverse=True)
        table = np.full((len(rates), len(seeds)), np.nan)
        table[rate, seed] = log_losses[rows]
        start, mixture = names[rows[0]]
        width, examples, steps = numbers[rows[0], :3]
        found.append(
            Cell(
                start=start,
                mixture=mixture,
                width=int(width),
                examples=float(examples),
                steps=float(steps),
                log_rates=rates,
                seeds=seeds,
                log_losses=table,
            )
        )
    return tuple(found)


def sides(found: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells of scratch and pretrained together, then those of pretraining.

    The cells of a side have one skew and one noise. The first two starts train alike, and a skew of
    its own each would tell their laws apart by the error of the skew alone.
    """
    own = [cell for cell in found if cell.start != "pretraining"]
    trunks = [cell for cell in found if cell.start == "pretraining"]
    return [side for side in (own, trunks) if side]
