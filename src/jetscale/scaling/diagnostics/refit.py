"""The runs of a fit as the engine takes them, to be fitted again with something changed.

Mixtures without shared parameters are fitted one by one, others together: a `Batch` is what was
fitted at once. It is rebuilt from the table and the options a `StudyFit` keeps, and its optimum is
the one the fit reports.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.engine.family import Family, check_shared
from jetscale.scaling.engine.forms import Law, law_named
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.fit import centred, point_fit
from jetscale.scaling.fitted import StudyFit


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Mixtures fitted together, often a single one."""

    names: tuple[str, ...]
    runs: pd.DataFrame
    """Rows of the mixtures, in the order of the family's runs."""
    family: Family
    objective: Objective
    q: Array
    """(1, K) unknowns at the optimum."""
    value: float
    """Huber sum at the optimum, see `solver.huber`."""
    cells: NDArray[np.intp] = field(init=False)
    """(n,) number of each run's mixture and cell, from 0."""

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
    """What was fitted at once, in the order of the mixtures."""
    law = law_named(fits.options.law)
    names = tuple(fits.mixtures)
    together = check_shared(law, fits.options.shared)
    return [_batch(fits, law, group) for group in ([names] if together else [(n,) for n in names])]


def _batch(fits: StudyFit, law: Law, names: tuple[str, ...]) -> Batch:
    parts = [fits.runs[fits.runs["mixture"] == name] for name in names]
    runs = pd.concat(parts, ignore_index=True)
    group = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    objective = Objective(fits.options.objective, fits.delta)
    shared = check_shared(law, fits.options.shared)
    family = Family(law, centred(runs, law), group, shared)
    ends = point_fit(family, objective)
    best = int(ends.objective.argmin())
    return Batch(names, runs, family, objective, ends.q[[best]], float(ends.objective[best]))


def held_columns(law: Law, runs: pd.DataFrame) -> dict[str, float]:
    """Covariates the frontier of a law needs, at the geometric middle of a mixture's runs.

    Only a law whose loss depends on the size of the pretraining needs one.
    """
    if law.name != "pretraining":
        return {}
    return {name: float(np.exp(np.log(runs[name]).mean())) for name in law.columns}
