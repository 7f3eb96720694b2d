"""Forecasts written down before the runs exist, and what became of them.

A forecast made after the fact can always be made to fit. A registered one holds the expected loss
of cells that nobody has run, with prediction intervals of the mean over their seeds, and a digest
of the runs it was made from; `check` compares it with what was measured later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.errors import FitError
from jetscale.scaling.cost import cost_model
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Z
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.table import SAME_SIZE, digest, quantity_of
from jetscale.words import counted, loss, short

_SAME = 1e-6  # relative; compute closer than this is the same
_CLOSE = 0.01
_DIGITS = 12  # of a loss that count: a run table that went through a file is still the same


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastCell:
    """What is expected of the runs of one cell of one mixture."""

    mixture: str
    params: float
    examples: float
    flops: float
    beyond: float  # its compute over the largest compute of a run used
    seeds: int
    predicted: float  # mean loss over the seeds
    low: float  # 95% prediction interval of that mean
    high: float
    noise: float = 0.0  # standard deviation of the log loss of one run; 0: not written down


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Forecasts of cells that had not been run, and what they rest on."""

    made: str  # date and time
    version: str  # of jetscale
    law: str  # its formula
    quantity: str
    compute: str  # how it was counted
    runs: int  # used, of all mixtures
    digest: str  # of the runs used
    largest_flops: float  # of a run used
    cells: tuple[ForecastCell, ...]
    warnings: tuple[str, ...] = ()
    used: tuple[tuple[str, float, float], ...] = ()  # mixture, params, examples of the runs used

    @classmethod
    def of(cls, plain: Any) -> "Registered":
        """Return what a JSON file holds; raises FitError where it is no registered forecast."""
        try:
            cells = tuple(ForecastCell(**cell) for cell in plain["cells"])
            names = {field.name for field in fields(cls)} - {"cells", "warnings", "used"}
            given = {name: plain[name] for name in names}
            used = tuple((str(m), float(n), float(d)) for m, n, d in plain.get("used", ()))
            return cls(**given, cells=cells, warnings=tuple(plain["warnings"]), used=used)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FitError(f"the file is no registered forecast: {error!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCell:
    """A forecast and what was measured."""

    cell: ForecastCell
    runs: int  # found
    measured: float  # mean loss over them; nan without any
    json_also: ClassVar[tuple[str, ...]] = ("error", "inside", "ends")

    @property
    def ends(self) -> tuple[float, float]:
        """The 95% prediction interval, wider where fewer runs were found than seeds foreseen."""
        cell = self.cell
        if not 0 < self.runs < cell.seeds:
            return cell.low, cell.high
        more = Z * cell.noise * math.sqrt(1 / self.runs - 1 / cell.seeds)
        low, high = (math.log(end / cell.predicted) for end in (cell.low, cell.high))
        ends = -math.hypot(low, more), math.hypot(high, more)
        return cell.predicted * math.exp(ends[0]), cell.predicted * math.exp(ends[1])

    @property
    def error(self) -> float:
        """Measured over predicted, less 1: positive where the forecast was too hopeful."""
        return self.measured / self.cell.predicted - 1

    @property
    def inside(self) -> bool:
        """True where the mean measured lies in the prediction interval."""
        return self.ends[0] <= self.measured <= self.ends[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A registered forecast against the runs of today."""

    registered: Registered
    cells: tuple[CheckedCell, ...]
    changed: str  # how the runs used differ from those of then; empty where they do not
    json_also: ClassVar[tuple[str, ...]] = ("text",)

    @property
    def text(self) -> str:
        """The verdict in words."""
        done = [one for one in self.cells if one.runs]
        if not done:
            return f"None of the {len(self.cells)} cells forecast has been run."
        errors = np.array([one.error for one in done])
        inside, close = sum(one.inside for one in done), int((np.abs(errors) <= _CLOSE).sum())
        waiting = len(self.cells) - len(done)
        left = f"; {counted(waiting, 'cell')} not run yet" if waiting else ""
        return (
            f"Forecast of {self.registered.made}: {inside} of {len(done)} cells inside their 95% "
            f"prediction intervals, {close} within {_CLOSE:.0%}; error {errors.mean():+.2%} on "
            f"average, {math.sqrt((errors**2).mean()):.2%} RMS{left}."
        )


def register(
    fits: StudyFit,
    cells: Sequence[tuple[float, float]],
    everything: pd.DataFrame,
    *,
    seeds: int,
    made: str,
    version: str,
    rivals: Sequence[StudyFit] = (),
) -> Registered:
    """Forecast cells (params, examples) for every mixture fitted that has no run of them.

    ``everything`` are all runs there are, which the fits may rest on a part of. ``rivals`` are fits
    of other laws that the same runs do not refute: intervals reach over theirs, too. Raises
    FitError where a cell has been run by every mixture, or is named twice.
    """
    largest = float(fits.cost.of_runs(fits.runs).max())
    waiting = {cell: _without(everything, cell, fits) for cell in cells}
    for number, cell in enumerate(cells):
        if not waiting[cell]:
            raise FitError(
                f"the cell {_named(cell)} has been run: it cannot be forecast; leave it out"
            )
        if cell in cells[:number]:
            raise FitError(f"the cell {_named(cell)} is named twice")
    sizes = np.array(cells, dtype=float).T
    flops = fits.cost.flops(sizes[0], sizes[1])
    found = []
    for name in fits.mixtures:
        made_of, noise = _forecast(fits, name, sizes, seeds), _noise(fits, name, sizes)
        others = [_forecast(one, name, sizes, seeds) for one in rivals if name in one.mixtures]
        made_of[:, 1] = np.min([one[:, 1] for one in (made_of, *others)], axis=0)
        made_of[:, 2] = np.max([one[:, 2] for one in (made_of, *others)], axis=0)
        for i, (predicted, low, high) in enumerate(made_of.tolist()):
            if name not in waiting[cells[i]]:
                continue
            found.append(
                ForecastCell(
                    mixture=name,
                    params=float(sizes[0, i]),
                    examples=float(sizes[1, i]),
                    flops=float(flops[i]),
                    beyond=float(flops[i]) / largest,
                    seeds=seeds,
                    predicted=predicted,
                    low=low,
                    high=high,
                    noise=noise[i],
                )
            )
    return Registered(
        made=made,
        version=version,
        law=fits.law,
        quantity=quantity_of(fits.runs),
        compute=fits.cost.convention,
        runs=len(fits.runs),
        digest=digest(fits.runs, _DIGITS),
        largest_flops=largest,
        cells=tuple(found),
        warnings=(*_bent(fits, found), *_warnings(fits, rivals)),
        used=tuple(dict.fromkeys(_cells(fits.runs))),
    )


def _forecast(fits: StudyFit, name: str, sizes: Array, seeds: int) -> Array:
    """Return the mean losses of cells (2, k) over their seeds and 95% intervals, (k, 3)."""
    fitted = fits[name]
    held = fitted.law.held(fits.runs[fits.runs["mixture"] == name])
    each = [  # by itself: no interval hangs on the cells beside it
        fitted.predicted(n, d, np.array([seeds]), fits.options.seed, **held)
        for n, d in sizes.T[:, :, None]
    ]
    return np.concatenate(each)


def _noise(fits: StudyFit, name: str, sizes: Array) -> list[float]:
    """Return the standard deviation of the log loss of one run of each cell (2, k)."""
    drawn = fits[name].replicates.outlook.noise(sizes[0], sizes[1], np.ones(sizes.shape[1]))
    return [float(one) for one in np.sqrt((drawn**2).mean(axis=1))]


def check(registered: Registered, runs: pd.DataFrame) -> Check:
    """Compare a forecast with a clean run table."""
    used = up_to(runs, registered.largest_flops)
    if registered.used:  # cells run since do not make the forecast another one
        then = set(registered.used)
        used = used[[cell in then for cell in _cells(used)]]
    changed = ""
    if digest(used, _DIGITS) != registered.digest:
        changed = (
            f"the runs of up to {registered.largest_flops:.3g} FLOPs are not those the forecast "
            f"rests on: {registered.runs} then, {len(used)} now"
        )
    found = []
    for cell in registered.cells:
        own = _at(runs, (cell.params, cell.examples)) & (runs["mixture"] == cell.mixture)
        losses = runs.loc[own, "loss"]
        found.append(CheckedCell(cell=cell, runs=len(losses), measured=float(losses.mean())))
    return Check(registered=registered, cells=tuple(found), changed=changed)


def cells_ahead(
    planned: Sequence[tuple[float, float]], fits: StudyFit, runs: pd.DataFrame, beyond: float
) -> list[tuple[float, float]]:
    """Return planned cells (params, examples) far beyond all runs of the fits.

    They cost at least ``beyond`` times the compute of each, and a mixture has no run of them.
    Raises FitError where there is none.
    """
    least = beyond * float(fits.cost.of_runs(fits.runs).max())
    found = [
        cell
        for cell in planned
        if fits.cost.flops(*np.array(cell)) >= least and _without(runs, cell, fits)
    ]
    if not found:
        raise FitError(
            f"no planned cell without runs has {beyond:g} times the compute of every run fitted: "
            "lower --up-to or --beyond"
        )
    return found


def up_to(runs: pd.DataFrame, flops: float) -> pd.DataFrame:
    """Runs of no more than so many FLOPs."""
    return runs[cost_model(runs).of_runs(runs) <= flops * (1 + _SAME)]


def _at(runs: pd.DataFrame, cell: tuple[float, float]) -> NDArray[np.bool_]:
    """Which runs (n,) are of these sizes."""
    sizes = runs[["params", "examples"]].to_numpy(dtype=float)
    return np.asarray((np.abs(sizes / np.array(cell) - 1) <= SAME_SIZE).all(axis=1))


def _warnings(fits: StudyFit, rivals: Sequence[StudyFit]) -> tuple[str, ...]:
    """What is to be known of a forecast."""
    laws = ", ".join(one.options.law for one in rivals)
    wider = (f"laws not refuted by these runs are in the intervals: {laws}",) if laws else ()
    return wider + fits.warnings + tuple(w for m in fits.mixtures.values() for w in m.warnings)


def _bent(fits: StudyFit, cells: Sequence[ForecastCell]) -> list[str]:
    """What the laws alone say where their misfit makes most of a forecast, a line per mixture."""
    lines = []
    for name, fitted in fits.mixtures.items():
        own = [cell for cell in cells if cell.mixture == name]
        held = fitted.law.held(fits.runs[fits.runs["mixture"] == name])
        alone = [float(fitted.curve(cell.params, cell.examples, **held)) for cell in own]
        off = [abs(law / cell.predicted - 1) for law, cell in zip(alone, own, strict=True)]
        if off and max(off) > _CLOSE:
            most = off.index(max(off))
            where = _named((own[most].params, own[most].examples))
            lines.append(
                f"{name}: losses follow how the runs bend from the law, which alone says "
                f"{loss(alone[most])} for {where}"
            )
    return lines


def _without(runs: pd.DataFrame, cell: tuple[float, float], fits: StudyFit) -> set[str]:
    """Mixtures fitted that have no run of these sizes."""
    return set(fits.mixtures) - set(runs.loc[_at(runs, cell), "mixture"])


def _cells(runs: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Mixture and sizes of each run."""
    sizes = (runs[name].astype(float) for name in ("params", "examples"))
    return list(zip(runs["mixture"].astype(str), *sizes, strict=True))


def _named(cell: tuple[float, float]) -> str:
    return f"N = {short(cell[0])}, D = {short(cell[1])}"
