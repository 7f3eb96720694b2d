"""Tables of what `jetscale power` found; the conclusion comes last."""

import math

from rich.table import Table
from rich.text import Text

from jetscale.display.console import console, table
from jetscale.scaling import Power
from jetscale.scaling.bootstrap import METHODS
from jetscale.scaling.power.answer import exponent
from jetscale.scaling.power.detect import Detection
from jetscale.scaling.power.expect import Share, Widths


def show_power(found: Power, name: str) -> None:
    """What is assumed, intervals, detection, further runs, warnings, conclusion."""
    grid = found.grid
    _say(
        f"study {name}: {len(grid.mixtures)} mixtures x {len(grid.params)} cells, "
        f"{int(grid.seeds.sum())} runs each; {grid.total:.3g} FLOPs, pretraining included"
    )
    _show_assumed(found)
    _show_widths(found)
    if found.detection is not None:
        _show_detection(found.detection)
    _show_extras(found)
    for line in found.warnings:
        _say(f"warning: {line}")
    _say(f"{found.conclusion[0].upper()}{found.conclusion[1:]}.")


def _say(text: str, style: str = "") -> None:
    console.print(Text(text, style=style))


def _table(title: str, *columns: str) -> Table:
    out = table(title, *columns)
    out.padding = (0, 1, 0, 0)
    return out


def _add(rows: Table, *cells: str) -> None:
    """Add a row of plain text: names are never markup."""
    rows.add_row(*map(Text, cells))


def _show_assumed(found: Power) -> None:
    """One line per law, then noise and misfit."""
    truths = found.assumed.truths
    shown = dict(list(truths.items())[:1]) if found.assumed.same else truths
    for name, truth in shown.items():
        E, A, B, alpha, beta = truth.theta
        of = "every mixture" if found.assumed.same else name
        _say(
            f"law of {of}: L = {E:.3g} + {A:.4g} / N^{alpha:.3g} + {B:.4g} / D^{beta:.3g}, "
            f"a = {exponent(found.grid, truth):.2f}"
        )
    truth = next(iter(truths.values()))
    _say(
        f"assumed: {found.assumed.source}; log loss differs by {truth.noise:.2g} between seeds and "
        f"by {truth.misfit:.2g} between a cell and the law"
    )


def _show_widths(found: Power) -> None:
    grouped = {"each": next(iter(found.widths.values()))} if found.assumed.same else found.widths
    first = next(iter(grouped.values()))
    columns = ("a", "N*", "L*", "N* later", "L* later", "unknown")
    rows = _table("Expected 95% intervals", "mixture", *columns)
    for name, widths in grouped.items():
        _add(rows, name, *_widths(widths))
    console.print(rows)
    _say(
        f"Medians of the real analysis of {first.not_identified.of} made-up studies "
        f"({METHODS[first.method].split(' (')[0]}). N*, L*: at the largest planned run, "
        f"{first.at[0].budget:.2g} FLOPs; later: at ten times that; N* within a factor each way. "
        "Unknown: exponents not identified.",
        "dim",
    )


def _widths(widths: Widths) -> list[str]:
    cells = [f"+-{widths.exponent:.2g}"]
    for at in widths.at:
        known = math.isfinite(at.params_factor) and at.params_factor < 1e6
        cells.append(f"x{at.params_factor:.3g}" if known else "unlimited")
        cells.append(f"+-{percent(at.loss_relative)}")
    return [*cells, f"{widths.not_identified.value:.0%}"]


def _show_detection(found: Detection) -> None:
    names = ("claimed", "interval", "test", "not_identified")
    rows = _table("A shift of a between two mixtures", "shift", *names[:3], "unknown")
    for trial in found.trials:
        shift = f"{trial.shift:+.3f}" if trial.shift else "none"
        _add(rows, shift, *(_share(getattr(trial, name)) for name in names))
    console.print(rows)
    pairs = f", corrected for {found.pairs} pairs" if found.pairs > 1 else ""
    _say(
        f"Share of made-up studies: shift claimed by compare, interval excludes zero, test of "
        f"equal exponents{pairs}. Law of {found.baseline} against the same one shifted; negative: "
        f"to more data. By the spread of a alone ({found.spread:.2g} for a difference) it would "
        f"be {found.first_estimate:.2g}.",
        "dim",
    )


def _share(share: Share) -> str:
    return f"{share.value:.0%} +-{share.error:.0%}"


def _show_extras(found: Power) -> None:
    columns = ("FLOPs", "of plan", "a", "narrower", "gain")
    rows = _table("Further runs in all mixtures, best per FLOP first", "what", *columns)
    for extra in found.extras:
        _add(
            rows,
            extra.what,
            f"{extra.flops:.2g}",
            percent(extra.share),
            f"+-{extra.half_width:.2g}",
            percent(extra.reduction),
            f"{extra.gain:.0f}" if 10 <= extra.gain < 1e4 else f"{extra.gain:.2g}",
        )
    console.print(rows)
    _say(
        f"Half-width of a in a linear approximation (now {found.half_width:.2g}); gain: percent "
        "narrower per percent of added compute. Small sizes are cheap and the first to leave the "
        "law: a window scan must keep them.",
        "dim",
    )


def percent(share: float) -> str:
    """``0.073%``, ``4.1%``, ``213%``."""
    return f"{share:.0%}" if abs(share) >= 0.1 else f"{100 * share:.2g}%"
