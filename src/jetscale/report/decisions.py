"""What the report claims, as plain values: sentences, verdicts and the thresholds behind them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from jetscale.analysis import Analysis
from jetscale.scaling import Allocation, Choice, ConventionRow, MixtureDiagnostics, StudyFit
from jetscale.scaling.allocation.values import TOLD_APART
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED
from jetscale.scaling.diagnostics.windows import Window
from jetscale.scaling.engine.forms import law_named
from jetscale.words import counted, number, short, with_interval

_MISSING = "not recorded with these runs"
_OURS = {  # how `jetscale.training` does what the numbers of a recipe leave open
    "schedule": "linear warm-up, then a cosine to zero at the run's own end",
    "optimiser": "AdamW, decoupled weight decay on matrices, one gradient norm",
    "evaluation set": "after the last step, every validation and test example",
}
_LAW = ("learning_rate", "width_exponent", "steps_exponent")
_ASKED = {
    "schedule": ("epochs", "batch_size", "batch_exponent", "warmup", "min_steps"),
    "learning rate": (*_LAW, "rates"),
    "optimiser": ("beta1", "beta2", "weight_decay", "clip", "average"),
    "architecture": (
        *("architecture", "architecture_version", "parametrization", "pretraining_objective"),
    ),
    "evaluation set": ("test_jets",),
}


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
        sides = {"below": profile.open_low, "above": profile.open_high}
        unbounded = " and ".join(side for side, is_open in sides.items() if is_open)
        text = f"{name} {with_interval(profile)}" + (f", open {unbounded}" if unbounded else "")
        yield Finding("profile likelihood", text, bool(unbounded))


def trusted(checks: Sequence[Finding]) -> Finding:
    """Which checks speak against a fit, each kind once."""
    against = list(dict.fromkeys(check.name for check in checks if check.warns))
    text = f"beware: {', '.join(against)}" if against else "nothing speaks against it"
    return Finding("verdict", text, bool(against))


def window_shift(window: Window, full_identified: bool) -> Finding:
    """How far the exponent a moves without the runs of a window, and whether that can be chance."""
    if window.params_exponent is None:
        return Finding(window.left_out, "–")
    judged = full_identified and window.params_exponent.identified
    verdict = ", not judged" if not judged else ", beyond chance" if window.significant else ""
    return Finding(window.left_out, f"{window.shift:+.3f}{verdict}", window.significant)


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
            f"The runs do not determine the law of {', '.join(loose)}, nor which mixture is best "
            "at a budget: compare the measured cells."
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
    at: dict[str, dict[str, None]] = {}
    for answer in answers:
        for mixture in answer.mixtures.values():
            for text in mixture.warnings:
                if NOT_IDENTIFIED not in text:  # the table has a star there
                    at.setdefault(text, {})[number(answer.budget_flops)] = None
    lines += [f"{', '.join(budgets)} FLOPs: {text}" for text, budgets in at.items()]
    return list(dict.fromkeys(lines))


def changes_nothing(row: ConventionRow, own: ConventionRow) -> bool:
    """True where a convention gives what the table's own does, such as without pretraining."""
    return (row.params_exponent, row.budget) == (own.params_exponent, own.budget)


def extrapolation(flops: float, low: float, high: float) -> str:
    """How far a budget lies outside the measured compute (low, high); empty inside."""
    if low <= flops <= high:
        return ""
    side, ratio = ("beyond", flops / high) if flops > high else ("below", low / flops)
    return f"extrapolated by {math.log10(ratio):.1f} decades {side} the measured compute"


def checklist(results: Analysis, held_fixed: Mapping[str, Any] | None) -> list[Finding]:
    """The items that Li et al., arXiv 2502.18969, miss in most fits; unrecorded ones warn."""
    sizes = _sizes(results, held_fixed is not None)
    fitted = _analysis(results, results.fits) if results.fits else {}
    trained = _training(results, held_fixed or {})
    return [*starmap(Finding, sizes.items()), *trained, *starmap(Finding, fitted.items())]


def _sizes(results: Analysis, ours: bool) -> dict[str, str]:
    """What was fitted to which sizes; the units are known of runs of ``ours``, with a recipe."""
    runs, fits = results.runs, results.fits
    known = "N parameters, D distinct training examples, L test cross-entropy in nats"
    seeds = runs.groupby(["mixture", "params", "examples"])["seed"].nunique()
    counts = dict.fromkeys((int(seeds.min()), int(seeds.max())))
    sizes = {
        name: f"{runs[column].nunique()}, from {short(runs[column].min())} to "
        f"{short(runs[column].max())}"
        for name, column in (("model sizes", "params"), ("data sizes", "examples"))
    }
    return {
        "form": law_named(fits.options.law).formula if fits else "no law fitted",
        "units": known if ours else "those of the run table: params, examples, loss",
        "compute": fits.cost.convention if fits else "no law fitted",
        "other conventions": "in the section on the frontier" if fits else "none",
        **sizes,
        "seeds": f"{' to '.join(map(str, counts))} per cell",
    }


def _training(results: Analysis, held_fixed: Mapping[str, Any]) -> Iterator[Finding]:
    """How the runs were trained, as far as the recipe says it."""
    # by its name within the group: ``optimiser.clip`` as ``clip``
    values = {name.partition(".")[2] or name: value for name, value in held_fixed.items()}
    if any(name.startswith("rates.") for name in values):  # they are in place of the one law
        values = {name: value for name, value in values.items() if name not in _LAW}
    for item, names in _ASKED.items():
        found = [
            f"{name}: {value}"
            for asked in names
            for name, value in values.items()
            if name == asked or name.startswith(f"{asked}.")
        ]
        if item in _OURS and "training.version" in held_fixed:
            found.insert(0, _OURS[item])
        yield Finding(item, "; ".join(found) or _MISSING, warns=not found)
    stops = "every run is trained to the end of its own schedule; no intermediate checkpoints"
    yield Finding("checkpoints", stops if held_fixed else _MISSING, warns=not held_fixed)
    text, trunks = _MISSING, results.runs.get("trunk")
    if trunks is not None:
        shared = int(trunks.duplicated(keep=False).sum())
        text = f"{shared} of {len(trunks)} runs start from a trunk others start from"
    yield Finding("shared trunks", text, warns=trunks is None)


def _analysis(results: Analysis, fits: StudyFit) -> dict[str, str]:
    """How the laws were fitted and checked."""
    starts = [
        f"{name}: {one.starts_at_optimum} of {one.starts_polished} of the starts followed reach "
        f"the optimum ({one.starts} tried)"
        for name, one in fits.mixtures.items()
    ]
    moved: list[str] = []
    for name, one in results.diagnostics.mixtures.items() if results.diagnostics else ():
        moved += [f"{name} without {w.left_out}" for w in one.windows if w.significant]
    left_out = [f"{name}, which {why}" for name, why in fits.not_fitted.items()]
    objective = next(iter(fits.mixtures.values())).objective
    none, no_check = "no edge moves a significantly", "not made"
    routes = "in the section on the frontier" if results.routes else no_check
    return {
        "runs left out of the fits": "; ".join(left_out) or "none",
        "objective": f"{objective}; every run has the same weight",
        "optimiser of the fit": "damped Newton steps from the best points of a grid of exponents",
        "starts": "; ".join(starts),
        "intervals": f"{fits.interval}; {fits.options.replicates} replicates",
        "held-out check": "in the section on trust" if results.diagnostics else no_check,
        "window scan": f"a moves for {', '.join(moved)}" if moved else none,
        "three routes to the frontier": routes,
        "data": f"sha256 of the run table {results.digest[:16]}",
    }
