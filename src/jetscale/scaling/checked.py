"""Fits laws and lets them forecast: the largest runs are held out, and what that shows counts.

Where the intervals of a fit without the largest model, or the largest compute, hold too few of the
runs left out, the parameters of the law are not determined, and the expected loss beyond the
measured sizes is as uncertain as those errors were large.
"""

from dataclasses import replace
from typing import Unpack

import pandas as pd

from jetscale.scaling import bootstrap
from jetscale.scaling.diagnostics.forecast import (
    LARGEST_COMPUTE,
    LARGEST_MODEL,
    forecast,
    without_largest_compute,
    without_largest_model,
)
from jetscale.scaling.fit import fit as fit_laws
from jetscale.scaling.fitted import Exponents, MixtureFit, Options, Settings, StudyFit
from jetscale.scaling.heldout import Forecast


def fit(
    frame: pd.DataFrame, options: Options | None = None, **settings: Unpack[Settings]
) -> StudyFit:
    """Fit a law and the compute-optimal frontier to every mixture, and hold out its largest runs.

    See `jetscale.scaling.fit.fit` for what is fitted, the arguments and what is raised.
    """
    fits = fit_laws(frame, options, **settings)
    reduced = {
        LARGEST_MODEL: without_largest_model(fits),
        LARGEST_COMPUTE: without_largest_compute(fits),
    }
    mixtures = {
        name: _judged(
            fitted, tuple(forecast(fits, name, what, part) for what, part in reduced.items())
        )
        for name, fitted in fits.mixtures.items()
    }
    return replace(fits, mixtures=mixtures)


def _judged(fitted: MixtureFit, forecasts: tuple[Forecast, ...]) -> MixtureFit:
    """Return the fit with what its forecasts say about it."""
    wrong = [found for found in forecasts if found.cells and found.suspicious]
    if not wrong:
        return replace(fitted, forecasts=forecasts)
    outlook = replace(fitted.replicates.outlook, stretch=max(found.stretch for found in wrong))
    reason = (
        f"forecasts without {wrong[0].left_out} hold {wrong[0].inside} of "
        f"{len(wrong[0].cells)} cells inside their 95% intervals"
    )
    parameters = bootstrap.misfit_reasons(fitted.parameters, reason)
    inherited = bootstrap.not_identified(parameters)
    frontier = {
        name: replace(found, reason=found.reason or inherited)
        for name, found in fitted.frontier.items()
    }
    return replace(
        fitted,
        forecasts=forecasts,
        parameters=parameters,
        frontier=Exponents(frontier),
        replicates=replace(fitted.replicates, outlook=outlook),
        warnings=(*fitted.warnings, f"{fitted.mixture}: {reason}: the law may bend beyond the fit"),
    )
