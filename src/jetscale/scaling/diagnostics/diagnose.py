"""All checks of a fit at once, per mixture: what only further fits can say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jetscale.jsonable import HIDDEN
from jetscale.scaling.diagnostics.batch import batches
from jetscale.scaling.diagnostics.forecast import (
    LARGEST_COMPUTE,
    LARGEST_MODEL,
    forecast,
    without_largest_compute,
)
from jetscale.scaling.diagnostics.influence import Influence, influence
from jetscale.scaling.diagnostics.likelihood import ExponentMap, Profile, likelihoods
from jetscale.scaling.diagnostics.residuals import Residuals, residuals
from jetscale.scaling.diagnostics.windows import Window, window_fits, windows
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.heldout import Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureDiagnostics:
    """What the checks say about one mixture."""

    mixture: str
    influence: Influence
    forecasts: tuple[Forecast, ...]  # without the largest model, then the largest compute
    profiles: Mapping[str, Profile]  # alpha and beta
    map: ExponentMap
    residuals: Residuals
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """The checks of every fitted mixture."""

    mixtures: Mapping[str, MixtureDiagnostics]
    window_fits: Mapping[str, StudyFit | str] = field(repr=False, compare=False, metadata=HIDDEN)
    """The refits behind the window scan, or why there is none, by what was left out."""


def diagnose(fits: StudyFit) -> Diagnostics:
    """Run every check on what `fit` returned, for any law and objective.

    Bootstraps of reduced fits make a quarter of its replicates, at least 50. A check that the runs
    of a mixture do not allow carries its reason as text.
    """
    scan = window_fits(fits)  # the forecast without the largest model shares its refit
    reduced = {LARGEST_MODEL: scan[LARGEST_MODEL]}
    if not all(fitted.forecasts for fitted in fits.mixtures.values()):
        reduced[LARGEST_COMPUTE] = without_largest_compute(fits)
    found = {}
    for batch in batches(fits):
        for name, (profiles, surface) in likelihoods(batch).items():
            found[name] = MixtureDiagnostics(
                mixture=name,
                influence=influence(batch, fits.mixtures[name], fits.cost),
                forecasts=fits.mixtures[name].forecasts
                or tuple(forecast(fits, name, what, part) for what, part in reduced.items()),
                profiles=profiles,
                map=surface,
                residuals=residuals(batch, fits.mixtures[name]),
                windows=windows(fits, name, scan),
            )
    return Diagnostics(mixtures=found, window_fits=scan)
