"""Tables and progress for a terminal; no arithmetic beyond formatting."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from jetscale.jets.shards.verify import Report
from jetscale.store.records import RunState, RunStatus, count_states
from jetscale.tracking.address import hide_password
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
    manifest, nouns = report.manifest, f"{report.manifest.schema.noun}s"
    console.print(
        f"{manifest.rows} {nouns} of {manifest.corpus}, role {manifest.role}: all hashes match"
    )
    counts = table(f"{nouns.capitalize()} per class", "class", nouns)
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
        f"study {plan['study']}: {plan['finetuning_runs']} fine-tuning and "
        f"{plan['pretraining_runs']} pretraining runs, {plan['flops']:.3g} FLOPs, about "
        f"{plan['core_hours']:.2g} core hours of training; simulation and start-up come on top\n"
        f"data sizes {sizes}; seeds "
        f"{', '.join(map(str, plan['seeds']))}"
    )
    for name, parts in plan["mixtures"].items():
        shares = ", ".join(f"{100 * share:.3g}% {part}" for part, share in parts.items())
        console.print(Text(f"mixture {name}: {shares or 'no pretraining'}"))
    for line in plan["warnings"]:
        console.print(Text(f"warning: {line}"))
    runs = table(
        "Runs", "mixture", "size", "N", "runs", "steps", "FLOPs", "pretrain", "core h", left=2
    )
    for row in plan["rows"]:
        low, high = row["steps"]
        runs.add_row(
            row["mixture"],
            row["size"],
            short(row["params"]),
            str(row["runs"]),
            f"{low}-{high}",
            f"{row['finetuning_flops']:.2g}",
            f"{row['pretraining_flops']:.2g}",
            f"{row['core_hours']:.2g}",
        )
    console.print(runs)
    fixed = table("Recipe: held fixed for all mixtures", "setting", "value", left=2)
    for name, value in plan["recipe"].items():
        fixed.add_row(name, str(value))
    console.print(fixed)


def show_status(rows: Sequence[RunStatus], name: str, others: int) -> None:
    """Counts per mixture, then every run that was begun and is not done, with the reason."""
    counts = ", ".join(f"{number} {state}" for state, number in count_states(rows).items())
    console.print(f"study {name}: {counts}")
    if others:
        console.print(f"{others} runs made with other settings are kept beside them")
    per_mixture = table("Runs", "mixture", *(state.value for state in RunState))
    for mixture in dict.fromkeys(row.mixture for row in rows):
        part = count_states(row for row in rows if row.mixture == mixture)
        per_mixture.add_row(mixture, *map(str, part.values()))
    console.print(per_mixture)
    begun = [row for row in rows if row.state not in (RunState.DONE, RunState.MISSING)]
    if begun:
        reasons = table("Begun and not done", "run", "state", "why", left=3)
        for row in begun:
            reasons.add_row(row.name, row.state.value, row.why)
        console.print(reasons)


def show_outcome(outcome: Any, name: str, sweep: str, uri: str) -> None:
    """What `jetscale run` did, and where to look."""
    console.print(
        f"study {name}: {outcome.done} of {outcome.planned} runs done, "
        f"{outcome.trained} trained now, {outcome.failed} failed"
    )
    if outcome.seconds:
        console.print(
            f"sweep: {outcome.seconds:.0f} s; {outcome.busy:.0%} of its core time in optimiser "
            "steps and evaluation"
        )
    for failure in outcome.failures:
        console.print(f"a trial did not finish: {failure.kind}: {failure.reason}")
    if outcome.failed:
        console.print(f"see why: jetscale status {sweep}")
    if outcome.behind:
        console.print(f"warning: {outcome.behind}")
        return
    console.print(f"MLflow at {hide_password(uri)}; look with: jetscale ui")
