"""Tables of what `jetscale power` found; the conclusion comes last."""

import math

from rich.text import Text

from jetscale.display.console import add, console, note, plain_table
from jetscale.scaling import Power
from jetscale.scaling.bootstrap import METHODS
from jetscale.scaling.power.answer import exponent
from jetscale.scaling.power.detect import Detection
from jetscale.words import percent


def show_power(found: Power, name: str) -> None:
    """Show what is assumed, intervals, detection, further runs, warnings, conclusion."""
    grid = found.grid
    say(
        f"study {name}: {len(grid.mixtures)} mixtures x {len(grid.params)} cells, "
        f"{int(grid.seeds.sum())} runs each; {grid.total:.3g} FLOPs, pretraining included"
    )
    truths, same = found.assumed.truths, found.assumed.same
    for mixture, truth in dict(list(truths.items())[: 1 if same else None]).items():
        E, A, B, alpha, beta = truth.theta
        say(
            f"law of {'every mixture' if same else mixture}: L = {E:.3g} + {A:.4g} / N^{alpha:.3g} "
            f"+ {B:.4g} / D^{beta:.3g}, a = {exponent(grid, truth):.2f}"
        )
    say(
        f"assumed: {found.assumed.source}; log loss differs by {found.noise:.2g} between seeds and "
        f"by {found.misfit:.2g} between a cell and the law"
    )
    _show_widths(found)
    if found.detection is not None:
        _show_detection(found.detection)
    _show_extras(found)
    for line in found.warnings:
        say(f"warning: {line}")
    say(f"{found.conclusion[0].upper()}{found.conclusion[1:]}.")


def say(text: str) -> None:
    """Print a line of plain text."""
    console.print(Text(text))


def _show_widths(found: Power) -> None:
    grouped = {"each": next(iter(found.widths.values()))} if found.assumed.same else found.widths
    first = next(iter(grouped.values()))
    columns = ("a", "N*", "L*", "N* later", "L* later", "unknown")
    rows = plain_table("Expected 95% intervals", "mixture", *columns)
    for name, widths in grouped.items():
        cells = [f"+-{widths.exponent:.2g}"]
        for at in widths.at:
            known = math.isfinite(at.params_factor) and at.params_factor < 1e6
            cells.append(f"x{at.params_factor:.3g}" if known else "unlimited")
            cells.append(f"+-{percent(at.loss_relative)}")
        add(rows, name, *cells, f"{widths.not_identified.share:.0%}")
    console.print(rows)
    note(
        f"Medians of the real analysis of {first.not_identified.of} made-up studies "
        f"({METHODS[first.method].split(' (')[0]}). N*, L*: at the largest planned run, "
        f"{first.at[0].budget:.2g} FLOPs; later: at ten times that; N* within a factor each way. "
        "Unknown: exponents not identified."
    )


def _show_detection(found: Detection) -> None:
    columns = ("shift", "claimed", "interval", "test", "unknown")
    rows = plain_table("A shift of a between two mixtures", *columns)
    for trial in found.trials:
        shares = (trial.claimed, trial.interval, trial.test, trial.not_identified)
        cells = [f"{share.share:.0%} +-{share.error:.0%}" for share in shares]
        add(rows, f"{trial.shift:+.3f}" if trial.shift else "none", *cells)
    console.print(rows)
    pairs = f", corrected for {found.pairs} pairs" if found.pairs > 1 else ""
    note(
        f"Share of made-up studies: shift claimed by compare, interval excludes zero, test of "
        f"equal exponents{pairs}. Each study compares the law of {found.baseline} with the same "
        f"law whose a is shifted (negative: towards more data). A textbook estimate from the "
        f"spread of a alone, {found.spread:.2g} for a difference, gives a detectable shift of "
        f"{found.first_estimate:.2g}."
    )


def _show_extras(found: Power) -> None:
    columns = ("FLOPs", "of plan", "a", "narrower", "gain")
    rows = plain_table("Further runs in all mixtures, best per FLOP first", "what", *columns)
    for extra in found.extras:
        add(
            rows,
            extra.what,
            f"{extra.flops:.2g}",
            percent(extra.share),
            f"+-{extra.half_width:.2g}",
            percent(extra.reduction),
            f"{extra.gain:.0f}" if 10 <= extra.gain < 1e4 else f"{extra.gain:.2g}",
        )
    console.print(rows)
    note(
        f"Half-width of a in a linear approximation (now {found.half_width:.2g}); gain: percent "
        "narrower per percent of added compute. Small sizes are cheap and the first to leave the "
        "law: a window scan must keep them."
    )
