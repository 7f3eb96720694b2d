"""What the report claims, as plain values: sentences, verdicts and the thresholds behind them.

Nothing here knows of pages. Each function takes what the analysis computed and returns text or a
flag; the sections of the report print them as they are.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jetscale.analysis import Analysis
from jetscale.scaling import Allocation, Choice, ConventionRow, MixtureDiagnostics, StudyFit
from jetscale.scaling.allocate import TOLD_APART
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED as NOT_IDENTIFIED
from jetscale.scaling.diagnostics.forecast import LARGEST_MODEL
from jetscale.scaling.diagnostics.windows import Window
from jetscale.scaling.engine.forms import law_named
from jetscale.words import counted, number, short, with_interval

_MISSING = "not recorded with these runs"
_OURS = {
    "schedule": "linear warm-up, then a cosine to zero at the run's own end",
    "optimiser": "AdamW, decoupled weight decay on matrices, one gradient norm",
    "evaluation set": "after the last step, every validation and test jet",
}
"""How `jetscale.training` does what the numbers of a recipe leave open."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its name, what was found, and whether to beware."""

    name: str
    text: str
    warns: bool = False


def facts(results: Analysis) -> str:
    """The size of the study in one line."""
    runs = results.runs
    ends = {name: (runs[name].min(), runs[name].max()) for name in ("params", "examples")}
    n, d = (f"{short(low)} to {short(high)}" for low, high in ends.values())
    return (
        f"{len(runs)} runs: {counted(len(results.names), 'mixture')}, "
        f"{counted(runs['cell'].nunique(), 'cell')} (N {n}, D {d}), "
        f"{counted(runs['seed'].nunique(), 'seed')}"
    )


def trust_checks(one: MixtureDiagnostics) -> Iterator[Finding]:
    """Each check of a mixture's fit; those that speak against it warn."""
    for forecast in one.forecasts:
        yield Finding("forecast", forecast.text, forecast.suspicious)
    yield Finding("influence", one.influence.text, one.influence.flagged)
    yield Finding("residuals", one.residuals.text, one.residuals.suspicious)
    for name, profile in one.profiles.items():
        text = f"{name} {with_interval(profile)}"
        sides = {"below": profile.open_low, "above": profile.open_high}
        unbounded = [side for side, is_open in sides.items() if is_open]
        if unbounded:
            text += f", open {' and '.join(unbounded)}"
        yield Finding("profile likelihood", text, bool(unbounded))


def window_shift(window: Window, full_identified: bool) -> Finding:
    """How far the exponent a moves without the runs of a window, and whether that can be chance."""
    if window.params_exponent is None:
        return Finding(window.left_out, "–")
    text = f"{window.shift:+.3f}"
    if not (full_identified and window.params_exponent.identified):
        text += ", not judged"
    elif window.significant:
        text += ", beyond chance"
    return Finding(window.left_out, text, window.significant)


def loose_frontiers(fits: StudyFit) -> list[str]:
    """Mixtures whose frontier must not be used, as the runs do not determine its exponent."""
    return [n for n, f in fits.mixtures.items() if not f.frontier["params_exponent"].identified]


def may_choose(answers: Sequence[Allocation]) -> bool:
    """True where there is a choice of mixture and the laws behind it are identified."""
    return all(a.choice in (Choice.TOLD_APART, Choice.NOT_TOLD_APART) for a in answers)


def choice(answers: Sequence[Allocation]) -> Finding | None:
    """Whether a mixture may be called the best at a budget; None where there is but one."""
    if answers[0].choice is Choice.ALONE:
        return None
    if not may_choose(answers):
        loose = [n for n, found in answers[0].mixtures.items() if not found.loss.identified]
        text = (
            f"Which mixture is best at a budget is {NOT_IDENTIFIED}: the runs do not determine the "
            f"law of {', '.join(loose)}. Compare the measured cells."
        )
        return Finding("choice", text, warns=True)
    paired = "" if answers[0].paired else ", resampled independently as their cells differ"
    text = (
        "The last column is the share of bootstrap replicates in which the mixture has the lowest "
        f"expected loss of all{paired}; a mixture is called the best from {TOLD_APART:.0%}."
    )
    return Finding("choice", text)


def allocation_warnings(answers: Sequence[Allocation]) -> list[str]:
    """Every warning about the answers, each once: the general ones first."""
    lines = [f"{name}: not fitted: it {why}" for name, why in answers[0].not_fitted.items()]
    lines += [line for answer in answers for line in answer.warnings]
    for answer in answers:
        for mixture in answer.mixtures.values():
            lines += [f"{number(answer.budget_flops)} FLOPs: {text}" for text in mixture.warnings]
    return list(dict.fromkeys(lines))


def changes_nothing(row: ConventionRow, own: ConventionRow) -> bool:
    """True where a convention gives what the table's own does, such as without pretraining."""
    return (row.params_exponent, row.budget) == (own.params_exponent, own.budget)


def extrapolation(flops: float, low: float, high: float) -> str:
    """How far a budget lies outside the measured compute (low, high); empty inside."""
    if flops > high:
        return f"extrapolated by {math.log10(flops / high):.1f} decades beyond the measured compute"
    if flops < low:
        return f"extrapolated by {math.log10(low / flops):.1f} decades below the measured compute"
    return ""


def checklist(results: Analysis, held_fixed: Mapping[str, Any] | None) -> list[Finding]:
    """The items that Li et al., arXiv 2502.18969, found missing in most published fits.

    An item that nobody recorded warns: a reader must not take it for granted.
    """
    return [
        *_sizes(results, held_fixed is not None),
        *_training(results, held_fixed or {}),
        *(_analysis(results, results.fits) if results.fits else ()),
    ]


def _sizes(results: Analysis, ours: bool) -> Iterator[Finding]:
    """What was fitted to which sizes; the units are known of runs of ``ours``, with a recipe."""
    runs, fits = results.runs, results.fits
    yield Finding("form", law_named(fits.options.law).formula if fits else "no law fitted")
    known = "N parameters, D distinct training jets, L test cross-entropy in nats"
    yield Finding("units", known if ours else "those of the run table: params, examples, loss")
    yield Finding("compute", fits.cost.convention if fits else "no law fitted")
    yield Finding("other conventions", "in the section on the frontier" if fits else "none")
    for name, column in (("model sizes", "params"), ("data sizes", "examples")):
        values = sorted(runs[column].unique())
        yield Finding(name, f"{len(values)}, from {short(values[0])} to {short(values[-1])}")
    seeds = runs.groupby(["mixture", "params", "examples"])["seed"].nunique()
    counts = dict.fromkeys((int(seeds.min()), int(seeds.max())))
    yield Finding("seeds", f"{' to '.join(map(str, counts))} per cell")


def _training(results: Analysis, held_fixed: Mapping[str, Any]) -> Iterator[Finding]:
    """How the runs were trained, as far as the recipe says it.

    A value of the recipe is found by the last part of its name: ``optimiser.clip`` as ``clip``.
    """
    asked = {
        "schedule": ("schedule", "epochs", "batch_size", "warmup"),
        "learning rate": ("learning_rate", "width_exponent"),
        "optimiser": ("optimiser", "beta1", "beta2", "weight_decay", "clip"),
        "architecture": ("architecture", "architecture_version"),
        "evaluation set": ("evaluation", "test_jets"),
    }
    values = {name.rpartition(".")[2]: value for name, value in held_fixed.items()}
    for item, names in asked.items():
        found = [f"{name}: {values[name]}" for name in names if name in values]
        if item in _OURS and "training.version" in held_fixed:
            found.insert(0, _OURS[item])
        yield Finding(item, "; ".join(found) or _MISSING, warns=not found)
    stops = "every run is trained to the end of its own schedule; no intermediate checkpoints"
    yield Finding("checkpoints", stops if held_fixed else _MISSING, warns=not held_fixed)
    trunks = results.runs.get("trunk")
    if trunks is None:
        yield Finding("shared trunks", _MISSING, warns=True)
    else:
        shared = int(trunks.duplicated(keep=False).sum())
        text = f"{shared} of {len(trunks)} runs start from a trunk others start from"
        yield Finding("shared trunks", text)


def _analysis(results: Analysis, fits: StudyFit) -> Iterator[Finding]:
    """How the laws were fitted and checked."""
    left_out = [f"{name}, which {why}" for name, why in fits.not_fitted.items()]
    yield Finding("runs left out of the fits", "; ".join(left_out) or "none")
    first = next(iter(fits.mixtures.values()))
    yield Finding("objective", f"{first.objective}; every run has the same weight")
    steps = "damped Newton steps from the best points of a grid of exponents"
    yield Finding("optimiser of the fit", steps)
    starts = [
        f"{name}: {one.starts_at_optimum} of {one.starts_polished} of the starts followed reach "
        f"the optimum ({one.starts} tried)"
        for name, one in fits.mixtures.items()
    ]
    yield Finding("starts", "; ".join(starts))
    yield Finding("intervals", f"{fits.interval}; {fits.replicates} replicates")
    checked = results.diagnostics.mixtures if results.diagnostics else {}
    held, moved = [], []
    for name, one in checked.items():
        held += [f"{name}: {f.text}" for f in one.forecasts if f.left_out == LARGEST_MODEL]
        moved += [f"{name} without {w.left_out}" for w in one.windows if w.significant]
    yield Finding("held-out check", "; ".join(held))
    none = "no edge moves a significantly"
    yield Finding("window scan", f"a moves for {', '.join(moved)}" if moved else none)
    verdicts = [f"{name}: {routes.verdict}" for name, routes in results.routes.items()]
    yield Finding("three routes to the frontier", "; ".join(verdicts))
    yield Finding("data", f"sha256 of the run table {results.digest[:16]}")
