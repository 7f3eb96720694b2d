"""Tables of a registered forecast and of what became of it."""

from pathlib import Path

from jetscale import words
from jetscale.display.console import instead_of_loss, note, say, show_table
from jetscale.scaling.registered import Check, ForecastCell, Registered


def show_registered(made: Registered, path: Path) -> None:
    """Show the forecasts and where they were written."""
    with instead_of_loss(made.quantity):
        rows = [
            (
                *_named(cell),
                words.times(cell.beyond),
                words.loss(cell.predicted),
                _ends((cell.low, cell.high)),
            )
            for cell in made.cells
        ]
        columns = ("mixture", "N", "D", "compute", "loss", "95% interval")
        show_table("Forecast of cells not run yet: mean loss over seeds", columns, rows)
    seeds = {cell.seeds for cell in made.cells}
    note(
        f"From {made.runs} runs of up to {made.largest_flops:.3g} FLOPs; compute: over that of the "
        f"largest of them. Mean over {words.counted(max(seeds), 'seed')}. Law: {made.law}."
    )
    for line in made.warnings:
        say(f"- {line}")
    say(f"registered {made.made} in {path}; commit it before the runs exist")


def show_check(found: Check) -> None:
    """Show what was forecast, what was measured, and the verdict first."""
    say(found.text)
    with instead_of_loss(found.registered.quantity):
        rows = []
        for one in found.cells:
            known = (
                ("–", "–", "not run")
                if not one.runs
                else (words.loss(one.measured), f"{one.error:+.2%}", "yes" if one.inside else "NO")
            )
            rows.append(
                (*_named(one.cell), words.loss(one.cell.predicted), _ends(one.ends), *known)
            )
        columns = ("mixture", "N", "D", "forecast", "95% interval", "measured", "error", "inside")
        show_table("Forecast and measured: mean loss over seeds", columns, rows)
    fewer = [one for one in found.cells if 0 < one.runs < one.cell.seeds]
    if fewer:
        say(f"- {words.counted(len(fewer), 'cell')} with fewer seeds than forecast: wider interval")
    if found.changed:
        say(f"- Beware: {found.changed}")


def _named(cell: ForecastCell) -> tuple[str, str, str]:
    return cell.mixture, words.short(cell.params), words.short(cell.examples)


def _ends(ends: tuple[float, float]) -> str:
    return f"[{words.loss(ends[0])}, {words.loss(ends[1])}]"
