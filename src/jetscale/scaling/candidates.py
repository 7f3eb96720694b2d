"""Which law forecasts best: the default one, or one with more parameters; judged on runs left out.

Every candidate is fitted without the largest model and without the cells of largest compute, and
forecasts these by its formula alone. A law with more parameters follows the measured runs more
closely whatever is true; only runs it did not see can tell whether it should be believed.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from jetscale.scaling.diagnostics.batch import batches
from jetscale.scaling.diagnostics.forecast import of_largest_compute, of_largest_model
from jetscale.scaling.engine.forms import CHINCHILLA, RICHER, law_named
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fit import shortage
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.heldout import Candidate, Candidates

_ENOUGH = 4_000  # runs to judge by; of a larger table, evenly spaced ones


def candidates(fits: StudyFit) -> Candidates | None:
    """Try the richer laws against the one of ``fits``, the default; None where runs are too few."""
    laws = (CHINCHILLA, *RICHER)
    logs: dict[str, list[Array]] = {law.name: [] for law in laws}
    for kept, held in _splits(fits):
        for law in laws:
            part = replace(fits, options=replace(fits.options, law=law.name), runs=kept)
            logs[law.name].append(_errors(part, held))
    cells = sum(len(part) for part in logs[CHINCHILLA.name])
    if not cells:
        return None
    found = {
        name: float(np.sqrt((np.concatenate(all_) ** 2).mean())) for name, all_ in logs.items()
    }
    return Candidates(tried=tuple(Candidate(law=n, error=e) for n, e in found.items()), cells=cells)


def _splits(fits: StudyFit) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Runs to fit and runs to forecast, of the mixtures that every candidate can be fitted to."""
    runs = fits.runs[fits.runs["mixture"].isin(fits.mixtures)]
    runs = runs.iloc[:: -(-len(runs) // _ENOUGH)]
    for out in (of_largest_model(runs), of_largest_compute(runs, fits.cost)):
        kept = runs[~out]
        groups = kept.groupby("mixture", sort=False)
        names = [n for n, part in groups if not any(shortage(part, law) for law in RICHER)]
        if set(names) == set(fits.mixtures):
            yield kept, runs[out]


def _errors(fits: StudyFit, held: pd.DataFrame) -> Array:
    """Log of measured over forecast of each cell held out."""
    law, found = law_named(fits.options.law), []
    for batch in batches(fits):
        for group, name in enumerate(batch.names):
            own = held[held["mixture"] == name]
            cells = own.groupby("cell", sort=False)[["params", "examples", "loss"]].mean()
            theta = batch.family.theta(batch.q, group)[0]
            n, d, measured = (cells[column].to_numpy() for column in cells)
            found.append(np.log(measured / law.loss(theta, n, d)))
    return np.concatenate(found)
