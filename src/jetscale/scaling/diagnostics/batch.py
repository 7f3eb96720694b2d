"""What a fit fitted, to be fitted again with something changed or to part of the runs.

A `Batch` is what was fitted at once: one mixture, or all where parameters are shared. It is rebuilt
from the table and options of a `StudyFit`; its optimum is the one the fit reports.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.errors import FitError, TableError
from jetscale.scaling.engine.family import Family, check_shared
from jetscale.scaling.engine.forms import law_named
from jetscale.scaling.engine.laws import Array, Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.fit import fit, point_fit
from jetscale.scaling.fitted import FEWEST_REPLICATES, StudyFit

NOTHING_LEFT = "no runs are left"
_SHARE = 4  # refits make a quarter of the replicates


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Mixtures fitted together, often a single one."""

    names: tuple[str, ...]
    runs: pd.DataFrame  # rows of the mixtures, in the order of the family's runs
    family: Family
    objective: Objective
    q: Array  # (1, K) unknowns at the optimum
    value: float  # Huber sum at the optimum, see `solver.huber`
    cells: NDArray[np.intp] = field(init=False)  # (n,) number of each run's mixture and cell

    def __post_init__(self) -> None:
        numbers = self.runs.groupby([self.family.group, self.runs["cell"].to_numpy()]).ngroup()
        object.__setattr__(self, "cells", numbers.to_numpy())

    @property
    def freedom(self) -> int:
        """Cells less free unknowns, at least 1."""
        return max(1, int(self.cells.max()) + 1 - int((~self.family.design.fixed).sum()))

    def residuals(self) -> Array:
        """Log residuals (n,) of the runs."""
        return np.asarray(self.family.runs.z - self.family.design.log_loss(self.q)[0])


def batches(fits: StudyFit) -> list[Batch]:
    """Return what was fitted at once, in the order of the mixtures."""
    law, objective = law_named(fits.options.law), Objective(fits.options.objective, fits.delta)
    shared, names = check_shared(law, fits.options.shared), tuple(fits.mixtures)
    found = []
    for together in [names] if shared else [(name,) for name in names]:
        parts = [fits.runs[fits.runs["mixture"] == name] for name in together]
        runs = pd.concat(parts, ignore_index=True)
        group = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        logs = Centred.from_runs(runs, law.columns)
        family = Family(law, logs, group, shared, objective.delta)
        ends = point_fit(family, objective)
        best = int(ends.objective.argmin())
        value = float(ends.objective[best])
        found.append(Batch(together, runs, family, objective, ends.q[[best]], value))
    return found


def refit(fits: StudyFit, runs: pd.DataFrame) -> StudyFit | str:
    """Return the same fit to other runs with a quarter of the replicates, or why there is none."""
    if runs.empty:
        return NOTHING_LEFT
    replicates = max(FEWEST_REPLICATES, fits.options.replicates // _SHARE)
    try:
        return fit(runs, replace(fits.options, replicates=replicates, delta=fits.delta))
    except (FitError, TableError) as error:
        return str(error)


def why_not(part: StudyFit | str, name: str) -> str:
    """Return why a refit has no law for a mixture; empty where it has one."""
    if isinstance(part, str):
        return part
    return "" if name in part.mixtures else part.not_fitted.get(name, NOTHING_LEFT)
