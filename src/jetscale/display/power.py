"""What `jetscale power` found: the verdict, its tables, then what helps most."""

import math

from jetscale.display.console import note, say, show_table
from jetscale.scaling import Power
from jetscale.scaling.bootstrap import METHODS
from jetscale.scaling.power.detect import Detection
from jetscale.words import counted, percent


def show_power(found: Power, name: str = "") -> None:
    """Show the verdict, what is assumed, intervals, detection, further runs and warnings."""
    grid = found.grid
    say(_sentence(found.verdict))
    say(
        f"study{name and f' {name}'}: {counted(len(grid.mixtures), 'mixture')} x "
        f"{len(grid.params)} cells, "
        f"{int(grid.seeds.sum())} runs each; {grid.total:.3g} FLOPs, pretraining included"
    )
    truths, same, first = found.assumed.truths, found.assumed.same, found.assumed.first
    for mixture, truth in list(truths.items())[: 1 if same else None]:
        E, A, B, alpha, beta, *more = truth.theta
        grows = "".join(f" N^{gamma:.3g}" for gamma in more)
        say(
            f"law of {'every mixture' if same else mixture}: L = {E:.3g} + {A:.4g} / N^{alpha:.3g} "
            f"+ {B:.4g}{grows} / D^{beta:.3g}, a = {truth.exponent(grid.cost):.2f}"
        )
    say(
        f"assumed: {found.assumed.source}; log loss differs by {first.noise:.2g} between seeds and "
        f"smoothly by {first.misfit:.2g} from the law"
    )
    _show_widths(found)
    if found.detection is not None:
        _show_detection(found.detection)
    extras = []
    for extra in found.extras:
        gain = f"{extra.gain:.0f}" if 10 <= extra.gain < 1e4 else f"{extra.gain:.2g}"
        half_width, reduction = f"+-{extra.half_width:.2g}", percent(extra.reduction)
        cost = (f"{extra.flops:.2g}", percent(extra.share))
        extras.append((extra.what, *cost, half_width, reduction, gain))
    columns = ("what", "FLOPs", "of plan", "a", "narrower", "gain")
    show_table("Further runs in all mixtures, best per FLOP first", columns, extras)
    note(
        f"Half-width of a in a linear approximation, which ranks additions and is rougher than the "
        f"studies above: {found.half_width:.2g} as planned; gain: percent "
        "narrower per percent of added compute. Small sizes are cheap and the first to leave the "
        "law: a window scan must keep them."
    )
    for line in found.warnings:
        say(f"warning: {line}")
    for line in filter(None, (found.advice, found.grid_needed)):
        say(_sentence(line))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _show_widths(found: Power) -> None:
    first = next(iter(found.widths.values()))
    rows = []
    for name, widths in ({"each": first} if found.assumed.same else found.widths).items():
        cells = [f"+-{widths.exponent:.2g}"]
        for at in widths.at:
            known = math.isfinite(at.params_factor) and at.params_factor < 1e6
            cells.append(f"x{at.params_factor:.3g}" if known else "unlimited")
            cells.append(f"+-{percent(at.loss_relative)}")
        rows.append((name, *cells, f"{widths.not_identified.share:.0%}"))
    columns = ("mixture", "a", "N*", "L*", "N* later", "L* later", "unknown")
    show_table("Expected 95% intervals", columns, rows)
    note(
        f"Medians of the real analysis of {first.not_identified.of} made-up studies "
        f"({METHODS[first.method].split(' (')[0]}). N*, L*: at the largest planned run, "
        f"{first.at[0].budget:.2g} FLOPs; later: at ten times that; N* within a factor each way. "
        "Unknown: exponents of the mixture not identified."
    )


def _show_detection(found: Detection) -> None:
    rows = []
    for trial in found.trials:
        shares = (trial.claimed, trial.interval, trial.test, trial.not_identified)
        cells = (f"{share.share:.0%} +-{share.error:.0%}" for share in shares)
        rows.append((f"{trial.shift:+.3f}" if trial.shift else "none", *cells))
    columns = ("shift", "claimed", "interval", "test", "unknown")
    show_table("A shift of a between two mixtures", columns, rows)
    pairs = f", corrected for {found.pairs} pairs" if found.pairs > 1 else ""
    note(
        f"Share of made-up studies: shift claimed by compare, interval excludes zero, test of "
        f"equal exponents{pairs}. Each study compares the law of {found.baseline} with the same "
        f"law whose a is shifted (negative: towards more data). A textbook estimate from the "
        f"spread of a alone, {found.spread:.2g} for a difference, gives a detectable shift of "
        f"{found.first_estimate:.2g}. Unknown: exponents of either mixture not identified."
    )
