"""What a search found: the rate laws, what they cost per cell, and where to search on."""

from collections.abc import Iterator
from pathlib import Path

import jetscale.scaling.tuning as rates
from jetscale.display.console import note, say, show_table
from jetscale.tuning import Tuning, exponent
from jetscale.words import ranged, short


def show_tuning(found: Tuning) -> None:
    """Show the laws, the regret of every cell, and settings tried beside."""
    say(found.sentence)
    say(str(found.equal))
    if found.loose:
        say(found.loose_sentence)
    rows = [_law(start, law, found) for start, law in found.laws.laws.items()]
    rows += [(f"{start} *", "as before", "", "") for start in found.kept]
    columns = ("start", "rate", "falls with width", "with steps")
    show_table("Rate laws, at width 16 and 1000 steps", columns, rows)
    note(
        "rate = c (16/width)^a (1000/steps)^b with 95% intervals. = a number: not searched, but "
        "kept; = a start: shares its law. "
        f"{found.laws.test}"
    )
    for start, why in found.kept.items():
        note(f"* {why}" if why.startswith(start) else f"* {start}: {why}")
    cells = ("start", "mixture", "width", "D", "best rate", "law", "regret", "")
    show_table("What the law costs", cells, _regrets(found), left=2)
    note(
        "Best rate: minimum of the curve through the rates searched. Regret: validation loss at "
        "the law's rate minus the lowest of the search, ± its error over seeds. low, high: the "
        "best rate lies at that end of the search."
    )
    if found.settings:
        _show_settings(found)
    if found.diverged:
        say(f"{found.diverged} of {len(found.table)} runs diverged")


def show_written(found: Tuning, sweep: str, path: Path, page: str) -> None:
    """Show where to search on, and where recipe file and page are."""
    if found.widening:
        say(f"Open ends: jetscale tune {sweep} {found.widening}", wrap=False)
    say(f"page: {page}", wrap=False)
    say(f"recipe file: {path}; load it in {sweep} with", wrap=False)
    loaded = "optimiser=load_optimiser(__file__)"
    if any(hasattr(found.recipe.schedule, name) for name in found.taken):
        loaded += ", schedule=load_schedule(__file__)"
    say(f"  recipe=Recipe({loaded}, ...)", wrap=False)


def _law(start: str, law: rates.FittedLaw, found: Tuning) -> tuple[str, ...]:
    """A row: a law with the intervals of what was fitted."""
    rate = law.estimate(law.reference_width, law.reference_steps)
    shared = found.laws.shared and start != "pretraining"

    def shown(axis: str) -> str:
        value = exponent(law, axis)
        return f"= {value.value:.2g}" if axis in law.fixed else ranged(value, "{:.2f}".format)

    return (
        f"{start} =" if shared else start,
        f"{rate.value:.2g} [{rate.low:.2g}, {rate.high:.2g}]",
        *map(shown, rates.AXES),
    )


def _regrets(found: Tuning) -> Iterator[tuple[str, ...]]:
    optima = {(o.start, o.mixture, o.width, o.examples): o for o in found.optima}
    for r in found.regrets:
        best = optima[r.start, r.mixture, r.width, r.examples]
        known = f"{best.rate:.3g}" if best.identified else "?"
        cost = f"{r.regret:+.3f} ± {r.error:.3f}" if r.within else "outside"
        cells = (str(r.width), short(r.examples), known, f"{r.rate:.3g}", cost, best.edge)
        yield (r.start, r.mixture, *cells)


def _show_settings(found: Tuning) -> None:
    """Show every setting that was tried, and which are taken."""
    rows = (
        (one.setting, f"{one.effect:+.2%} ± {one.error:.2%}", str(one.pairs))
        for one in found.settings
    )
    show_table("Other settings against the study's own", ("setting", "loss", "pairs"), rows)
    taken = ", ".join(f"{name} = {value}" for name, value in found.taken.items())
    say(f"Clearly better, taken: {taken}" if taken else "None is clearly better than its own.")
