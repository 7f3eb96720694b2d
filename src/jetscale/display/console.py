"""Tables and progress for a terminal; no arithmetic beyond formatting."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from jetscale.jets.shards.verify import Report
from jetscale.store.records import summarise
from jetscale.words import short

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A function (what, done, total) that draws one bar per task on standard error.

    Without a terminal it prints a line when a task starts, at every tenth, and when it ends.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bars:
        tasks: dict[str, Any] = {}
        tenths: dict[str, int] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)
            tenth = 10 * done // max(total, 1)
            if not stderr.is_terminal and tenths.get(what) != tenth:
                tenths[what] = tenth
                stderr.print(f"{what}: {done}/{total}")

        yield update


def table(title: str, *columns: str, left: int = 1) -> Table:
    """An empty table whose first ``left`` columns hold text and the others numbers."""
    out = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for i, column in enumerate(columns):
        if i < left:  # names fold before a number is cut
            out.add_column(column, justify="left", overflow="fold")
        else:
            out.add_column(column, justify="right", no_wrap=True)
    return out


def plain_table(title: str, *columns: str, left: int = 1) -> Table:
    """Return a table of plain text whose columns are two spaces apart."""
    out = table(escape(title), *columns, left=left)
    out.padding = (0, 1, 0, 0)
    return out


def add(rows: Table, *cells: str) -> None:
    """Add a row of plain text: brackets are intervals or names, never markup."""
    rows.add_row(*map(Text, cells))


def note(text: str) -> None:
    """Print a remark in dim letters."""
    console.print(Text(text, style="dim"))


def show_shards(report: Report) -> None:
    """Counts per class and ranges of a verified shard folder."""
    manifest = report.manifest
    console.print(
        f"{manifest.rows} jets of {manifest.corpus}, role {manifest.role}: all hashes match"
    )
    counts = table("Jets per class", "class", "jets")
    for name, number in manifest.label_counts.items():
        counts.add_row(name, str(number))
    console.print(counts)
    ranges = table("Ranges", "column", "lowest", "mean", "highest")
    for name, values in report.ranges.items():
        ranges.add_row(name, *(f"{values[key]:.4g}" for key in ("min", "mean", "max")))
    console.print(ranges)


def show_plan(plan: dict[str, Any]) -> None:
    """The plan of a study and the held-fixed table."""
    sizes = ", ".join(map(str, plan["data_sizes"]))
    console.print(
        f"study {plan['study']}: {plan['finetuning_cells']} fine-tuning and "
        f"{plan['pretraining_cells']} pretraining cells, {plan['flops']:.3g} FLOPs, about "
        f"{plan['core_hours']:.2g} core hours of training; simulation and start-up come on top\n"
        f"data sizes {sizes}; seeds "
        f"{', '.join(map(str, plan['seeds']))}"
    )
    for name, parts in plan["mixtures"].items():
        shares = ", ".join(f"{100 * share:.3g}% {part}" for part, share in parts.items())
        console.print(Text(f"mixture {name}: {shares or 'no pretraining'}"))
    for line in plan["warnings"]:
        console.print(Text(f"warning: {line}"))
    cells = table(
        "Cells", "mixture", "size", "N", "cells", "steps", "FLOPs", "pretrain", "core h", left=2
    )
    for row in plan["rows"]:
        low, high = row["steps"]
        cells.add_row(
            row["mixture"],
            row["size"],
            short(row["params"]),
            str(row["cells"]),
            f"{low}-{high}",
            f"{row['finetuning_flops']:.2g}",
            f"{row['pretraining_flops']:.2g}",
            f"{row['core_hours']:.2g}",
        )
    console.print(cells)
    fixed = table("Held fixed for all mixtures", "control", "value", left=2)
    for name, value in plan["held_fixed"].items():
        fixed.add_row(name, str(value))
    console.print(fixed)


def show_status(summary: dict[str, Any], name: str) -> None:
    """Counts per mixture, then every cell that is not done, with the reason."""
    states = ("done", "running", "failed", "missing")
    counts = ", ".join(f"{summary[state]} {state}" for state in states)
    console.print(f"study {name}: {counts}")
    per_mixture = table("Cells", "mixture", *states)
    for mixture in dict.fromkeys(row["mixture"] for row in summary["cells"]):
        rows = [row for row in summary["cells"] if row["mixture"] == mixture]
        part = summarise(rows)
        per_mixture.add_row(mixture, *(str(part[state]) for state in states))
    console.print(per_mixture)
    unfinished = [row for row in summary["cells"] if row["state"] in ("running", "failed")]
    if unfinished:
        reasons = table("Running and failed", "cell", "state", "why", left=3)
        for row in unfinished:
            reasons.add_row(row["name"], row["state"], row["why"])
        console.print(reasons)


def show_outcome(outcome: Any, name: str, sweep: str, uri: str) -> None:
    """What `jetscale run` did, and where to look."""
    console.print(
        f"study {name}: {outcome.done} of {outcome.planned} cells done, "
        f"{outcome.trained} trained now, {outcome.failed} failed"
    )
    if outcome.seconds:
        console.print(
            f"sweep: {outcome.seconds:.0f} s; {outcome.busy:.0%} of its core time in optimiser "
            "steps and evaluation"
        )
    for problem in outcome.problems:
        console.print(f"a trial did not finish: {problem}")
    if outcome.failed:
        console.print(f"see why: jetscale status {sweep}")
    if outcome.behind:
        console.print(f"warning: {outcome.behind}")
        return
    console.print(f"MLflow at {uri}; look with: jetscale ui")
