"""The same fit made again to part of the runs, or the reason why it cannot be."""

from dataclasses import replace

import pandas as pd

from jetscale.errors import FitError, TableError
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import FEWEST_REPLICATES, StudyFit

_SHARE = 4  # refits make a quarter of the replicates
NOTHING_LEFT = "no runs are left"


def refit(fits: StudyFit, runs: pd.DataFrame) -> StudyFit | str:
    """Return the same fit to other runs with a quarter of the replicates, or why there is none."""
    if runs.empty:
        return NOTHING_LEFT
    replicates = max(FEWEST_REPLICATES, fits.replicates // _SHARE)
    try:
        return fit(runs, replace(fits.options, replicates=replicates, delta=fits.delta))
    except (FitError, TableError) as error:
        return str(error)


def why_not(part: StudyFit | str, name: str) -> str:
    """Return why a refit has no law for a mixture; empty where it has one."""
    if isinstance(part, str):
        return part
    return "" if name in part.mixtures else part.not_fitted.get(name, NOTHING_LEFT)
