"""The checklist of scaling-law reporting, filled in from the analysis and the controls.

Its items follow the survey of Li et al., arXiv 2502.18969, which found most published fits missing
half of them. What nobody recorded is said to be missing: a reader must not take it for granted.
"""

from collections.abc import Iterator
from typing import Any

from jetscale.report.html import Context, Markup, join, paragraph, table, tag
from jetscale.report.results import Results
from jetscale.scaling import StudyFit
from jetscale.scaling.diagnostics.forecast import LARGEST_MODEL
from jetscale.scaling.engine.forms import law_named
from jetscale.words import short

_MISSING = "not recorded with these runs"


def section(context: Context) -> Markup:
    """Every item with its answer."""
    results = context.results
    rows = [*_sizes(results), *_training(context), *_analysis(results)]
    text = (
        "What arXiv 2502.18969 asks of a scaling-law study, as far as the runs and their records "
        "say it."
    )
    return join(paragraph(text), table(("item", "answer"), map(_row, rows), text=2))


def _row(item: tuple[str, str]) -> tuple[str, Markup]:
    name, answer = item
    return name, tag("span", answer, class_="open" if _MISSING in answer else "")


def _sizes(results: Results) -> Iterator[tuple[str, str]]:
    runs, fits = results.runs, results.fits
    law = "no law fitted" if fits is None else law_named(fits.options.law).formula
    yield "form", law
    ours = "N parameters, D distinct training jets, L test cross-entropy in nats"
    yield "units", ours if "controls" in runs else "those of the run table: params, examples, loss"
    yield "compute", "no law fitted" if fits is None else fits.cost.convention
    yield "other conventions", "in the section on the frontier" if fits is not None else "none"
    for name, column in (("model sizes", "params"), ("data sizes", "examples")):
        values = sorted(runs[column].unique())
        yield name, f"{len(values)}, from {short(values[0])} to {short(values[-1])}"
    seeds = runs.groupby(["mixture", "params", "examples"])["seed"].nunique()
    counts = dict.fromkeys((int(seeds.min()), int(seeds.max())))
    yield "seeds", f"{' to '.join(map(str, counts))} per cell"


def _training(context: Context) -> Iterator[tuple[str, str]]:
    controls = context.held_fixed or {}
    yield "schedule", _from(controls, "schedule", "epochs")
    yield "learning rate", _from(controls, "learning_rate", "width_power")
    yield "optimiser", _from(controls, "optimiser", "weight_decay")
    yield "architecture", _from(controls, "architecture")
    yield "evaluation set", _from(controls, "evaluation", "test_jets", "stream.test")
    stops = "every run is trained to the end of its own schedule; no intermediate checkpoints"
    yield "checkpoints", stops if controls else _MISSING
    trunks = context.results.runs.get("trunk")
    if trunks is None:
        yield "shared trunks", _MISSING
    else:
        shared = int(trunks.duplicated(keep=False).sum())
        yield (
            "shared trunks",
            f"{shared} of {len(trunks)} runs start from a trunk others start from",
        )


def _from(controls: Any, *names: str) -> str:
    found = [f"{name}: {controls[name]}" for name in names if name in controls]
    return "; ".join(found) if found else _MISSING


def _analysis(results: Results) -> Iterator[tuple[str, str]]:
    fits = results.fits
    if fits is None:
        return
    left_out = [f"{name}, which {why}" for name, why in fits.not_fitted.items()]
    yield "runs left out of the fits", "; ".join(left_out) or "none"
    first = next(iter(fits.mixtures.values()))
    yield "objective", f"{first.objective}; every run has the same weight"
    yield "optimiser of the fit", "damped Newton steps from the best points of a grid of exponents"
    yield "starts", "; ".join(_starts(fits))
    yield "intervals", f"{fits.interval}; {fits.replicates} replicates"
    yield from _checks(results)
    verdicts = [f"{name}: {routes.verdict}" for name, routes in results.routes.items()]
    yield "three routes to the frontier", "; ".join(verdicts)
    yield "data", f"sha256 of the run table {results.digest[:16]}"


def _starts(fits: StudyFit) -> Iterator[str]:
    for name, fitted in fits.mixtures.items():
        share = f"{fitted.starts_at_optimum} of {fitted.starts_polished}"
        yield f"{name}: {share} of the starts followed reach the optimum ({fitted.starts} tried)"


def _checks(results: Results) -> Iterator[tuple[str, str]]:
    if results.diagnostics is None:
        return
    mixtures = results.diagnostics.mixtures
    held = [
        f"{name}: {forecast.text}"
        for name, one in mixtures.items()
        for forecast in one.forecasts
        if forecast.left_out == LARGEST_MODEL
    ]
    yield "held-out check", "; ".join(held)
    moved = [
        f"{name} without {window.left_out}"
        for name, one in mixtures.items()
        for window in one.windows
        if window.significant
    ]
    yield (
        "window scan",
        f"a moves for {', '.join(moved)}" if moved else "no edge moves a significantly",
    )
