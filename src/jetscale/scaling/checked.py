"""Fits laws and lets them forecast: the largest runs are held out, and what that shows counts.

Where the intervals of a fit without the largest model, or the largest compute, hold too few of the
runs left out, the parameters of the law are not determined, and the expected loss beyond the
measured sizes is as uncertain as those errors were large. Where the default law is in doubt, or the
law is left open, richer ones are tried; none is taken without a word.
"""

from dataclasses import replace
from typing import Unpack

import pandas as pd

from jetscale.scaling import bootstrap
from jetscale.scaling.candidates import candidates
from jetscale.scaling.diagnostics.forecast import (
    LARGEST_COMPUTE,
    LARGEST_MODEL,
    forecast,
    without_largest_compute,
    without_largest_model,
)
from jetscale.scaling.engine.forms import AUTO, CHINCHILLA
from jetscale.scaling.fit import fit as fit_laws
from jetscale.scaling.fitted import Exponents, MixtureFit, Options, Settings, StudyFit
from jetscale.scaling.heldout import Forecast


def fit(
    frame: pd.DataFrame, options: Options | None = None, **settings: Unpack[Settings]
) -> StudyFit:
    """Fit a law and the compute-optimal frontier to every mixture, and hold out its largest runs.

    See `jetscale.scaling.fit.fit` for what is fitted, the arguments and what is raised.
    """
    asked = replace(options or Options(), **settings)
    if asked.law != AUTO:
        fits = _judged_fit(frame, asked)
        doubted = fits.options.law == CHINCHILLA.name and _doubtful(fits)
        tried = candidates(fits) if doubted else None
        if tried is None or tried.best == CHINCHILLA.name:
            return replace(fits, tried=tried)
        told = (*fits.warnings, f"{tried.text}: --law {tried.best}")
        return replace(fits, warnings=told, tried=tried)
    fits = _judged_fit(frame, replace(asked, law=CHINCHILLA.name))
    tried = candidates(fits)
    if tried is None:
        lack = "law 'auto': too few runs to leave some out: the law is 'chinchilla'"
        return replace(fits, warnings=(*fits.warnings, lack))
    if tried.best != CHINCHILLA.name:
        fits = _judged_fit(frame, replace(asked, law=tried.best))
    told = (f"law 'auto': {tried.text}", *fits.warnings)
    return replace(fits, warnings=told, tried=tried)


def _doubtful(fits: StudyFit) -> bool:
    """True where the runs, or those held out, say that a law is wrong."""
    return any(
        one.misfit.clear or any(found.cells and found.suspicious for found in one.forecasts)
        for one in fits.mixtures.values()
    )


def _judged_fit(frame: pd.DataFrame, options: Options) -> StudyFit:
    fits = fit_laws(frame, options)
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
