"""Tables and progress for a terminal; no arithmetic beyond formatting.

Cells, paths and messages are plain text: brackets in them are intervals or names, never markup.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from html import escape as escape_html
from typing import IO, Any, TypeVar

import pandas as pd
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from jetscale.jets.shards.verify import Report
from jetscale.store.records import RunState, Status, count_states
from jetscale.tracking.address import hide_password
from jetscale.words import counted, loss, of_quantity, printable, short

T = TypeVar("T")


class _Terminal(Console):
    """A console on which names from files are only text: control characters are spelled."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of anything that is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


@contextmanager
def _during(variable: ContextVar[T], value: T) -> Iterator[T]:
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)


_quantity: ContextVar[str] = ContextVar("quantity", default="loss")


def instead_of_loss(quantity: str) -> AbstractContextManager[str]:
    """Print what is analysed in the place of a loss wherever a text says loss."""
    return _during(_quantity, quantity)


def _named(text: str) -> str:
    return of_quantity(text, _quantity.get())


_LISTED = 40  # runs that are still read
_WIDEST = 200  # columns of a table in a file
_terminal = _Terminal(highlight=False)
stderr = _Terminal(stderr=True, highlight=False)
_target: ContextVar[Console] = ContextVar("target", default=_terminal)
_html: ContextVar[list[str] | None] = ContextVar("html", default=None)


def as_text(file: IO[str]) -> AbstractContextManager[Console]:
    """Print into a file of text instead, without colours and as wide as the terminal."""
    plain: dict[str, Any] = {"force_terminal": False, "force_jupyter": False, "color_system": None}
    return _during(_target, _Terminal(file=file, width=_terminal.width, highlight=False, **plain))


def as_html() -> AbstractContextManager[list[str] | None]:
    """Collect tables and lines as HTML instead."""
    return _during(_html, list[str]())


def _tag(tag: str, text: str, look: str = "") -> str:
    return f"<{tag}{look}>{escape_html(printable(text))}</{tag}>"


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A function (what, done, total) that draws one bar per task on standard error.

    Without a terminal it prints a line when a task starts, at every tenth, and when it ends.
    """
    counts = TextColumn("{task.completed:.0f}/{task.total:.0f}")
    columns = (TextColumn("{task.description}"), BarColumn(), counts)
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=stderr, disable=not stderr.is_terminal) as bars:
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


def show_table(
    title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]], left: int = 1, apart: int = 2
) -> None:
    """Print a table; the first ``left`` columns hold text, ``apart`` is the spaces between two."""
    title, names, console = _named(title), list(map(_named, columns)), _target.get()
    if (parts := _html.get()) is not None:
        return parts.append(_html_table(title, names, rows, left))
    out = Table(title=escape(title), title_justify="left", title_style="bold", pad_edge=False)
    out.box, out.padding = box.SIMPLE_HEAD, (0, 1, 0, apart - 2)
    for name in names[:left]:  # names fold before a number is cut
        out.add_column(name, justify="left", overflow="fold")
    for name in names[left:]:
        out.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        out.add_row(*(Text(str(cell)) for cell in row))
    natural = Measurement.get(console, console.options.update(width=_WIDEST), out).maximum
    in_file = console is _terminal and not console.is_terminal
    if natural > console.width and in_file:  # names stay whole
        return _Terminal(highlight=False, file=console.file, width=natural).print(out)
    return console.print(out)


def _html_table(title: str, columns: list[str], rows: Iterable[Iterable[Any]], left: int) -> str:
    looks = [f' style="text-align: {"left" if i < left else "right"}"' for i in range(len(columns))]
    lines = [
        "".join(_tag(tag, str(cell), look) for cell, look in zip(row, looks, strict=False))
        for tag, row in (("th", columns), *(("td", row) for row in rows))
    ]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    head = _tag("caption", title, ' style="text-align: left; white-space: nowrap"')
    return f'<table style="margin-bottom: 1em">\n{head}\n{body}</table>'


def say(text: str, *, wrap: bool = True, style: str = "", indent: int = 0) -> None:
    """Print a text so far to the right; without ``wrap`` a path in it stays whole."""
    if (parts := _html.get()) is not None:
        return parts.append(_tag("p", _named(text))) if text else None
    shown = Padding(Text(_named(text), style=style), (0, 0, 0, indent))
    return _target.get().print(shown if indent else shown.renderable, soft_wrap=not wrap)


def note(text: str) -> None:
    """Print a remark in dim letters."""
    say(text, style="dim")


def show_ingest(summary: dict[str, Any], out: str) -> None:
    """What was read, what was left out and why, and where to look next."""
    if dropped := summary["dropped"]:
        show_table("Jets left out", ("reason", "jets"), dropped.items(), apart=3)
    for file in summary["skipped"]:
        say(f"skipped {file['reason']}", wrap=False)
    read = f"{summary['jets_kept']} of {summary['jets_read']} jets"
    files = counted(summary["files"], "file")
    say(f"{read} from {files} in {out}; look with: jetscale inspect {out}", wrap=False)
    if summary["unlabelled"]:
        say("no label column: jets are unlabelled")


def show_shards(report: Report) -> None:
    """Counts per class and ranges of a verified shard folder."""
    manifest, nouns = report.manifest, f"{report.manifest.schema.noun}s"
    say(f"{manifest.rows} {nouns} of {manifest.corpus}, role {manifest.role}: all hashes match")
    counts = manifest.label_counts.items()
    show_table(f"{nouns.capitalize()} per class", ("class", nouns), counts, apart=3)
    ranges = (
        (name, *(f"{values[key]:.4g}" for key in ("min", "mean", "max")))
        for name, values in report.ranges.items()
    )
    show_table("Ranges", ("column", "lowest", "mean", "highest"), ranges, apart=3)


def show_plan(plan: dict[str, Any], full: bool = False) -> None:
    """The plan of a study, its time first and last; ``full`` shows the held-fixed table too."""
    schedule = plan["schedule"]
    time = schedule["text"]
    say(
        f"study {plan['study']}: {plan['finetuning_runs']} fine-tuning and "
        f"{plan['pretraining_runs']} pretraining runs, {time.partition(':')[0]}"
    )
    workers = [f"{runs} with {counted(n, 'worker')}" for n, runs in schedule["workers"].items()]
    say(
        f"training: {plan['flops']:.3g} FLOPs, {plan['core_hours']:.2g} core hours; runs: "
        f"{', '.join(workers)}"
    )
    sizes, seeds = (", ".join(map(str, plan[values])) for values in ("data_sizes", "seeds"))
    say(f"data sizes {sizes}; seeds {seeds}")
    for name, parts in plan["mixtures"].items():
        shares = ", ".join(f"{100 * share:.3g}% {part}" for part, share in parts.items())
        classes = counted(len(plan["labels"][name]), "label")
        say(f"mixture {name}: {f'{shares}; {classes}' if shares else 'no pretraining'}")
    for line in plan["notes"]:
        say(line)
    columns = ("mixture", "size", "N", "runs", "steps", "FLOPs", "pretrain", "core h")
    prices = ("finetuning_flops", "pretraining_flops", "core_hours")
    runs = []
    for row in plan["rows"]:
        counts = (short(row["params"]), row["runs"], "{}-{}".format(*row["steps"]))
        costs = (f"{row[price]:.2g}" for price in prices)
        runs.append((row["mixture"], row["size"], *counts, *costs))
    show_table("Runs", columns, runs, left=2, apart=3)
    if full:
        title = "Recipe: held fixed for all mixtures"
        show_table(title, ("setting", "value"), plan["recipe"].items(), left=2, apart=3)
    for line in plan["warnings"]:
        say(f"warning: {line}")
    say(f"{time[0].upper()}{time[1:]}, on cores that do nothing else. GPUs are faster.")


def show_status(found: Status) -> None:
    """Counts per mixture, then every run that was begun and is not done, with the reason."""
    rows = found.runs
    counts = ", ".join(f"{number} {state}" for state, number in count_states(rows).items())
    say(f"study {found.study}: {counts}")
    if found.others:
        say(f"{found.others} runs made with other settings are kept beside them")
    per_mixture = (
        (mixture, *count_states(r for r in rows if r.mixture == mixture).values())
        for mixture in dict.fromkeys(row.mixture for row in rows)
    )
    show_table("Runs", ("mixture", *(state.value for state in RunState)), per_mixture, apart=3)
    begun = [row for row in rows if row.state not in (RunState.DONE, RunState.MISSING)]
    if begun:
        reasons = ((row.name, row.state.value, row.why or "") for row in begun)
        show_table("Begun and not done", ("run", "state", "why"), reasons, left=3, apart=3)


def show_runs(frame: pd.DataFrame) -> None:
    """Show who, how large, and how well of each run; of very many the first."""
    columns = ["mixture", "params", "examples", "seed", "flops", "loss"]
    rows = (
        (mixture, short(n), short(d), seed, f"{flops:.2g}", loss(reached))
        for mixture, n, d, seed, flops, reached in frame[columns].head(_LISTED).to_numpy()
    )
    show_table("Finished runs", ("mixture", "N", "D", "seed", "FLOPs", "loss"), rows)
    if len(frame) > _LISTED:
        note(f"{len(frame) - _LISTED} more are not listed; all with --csv FILE or --json.")


def show_outcome(outcome: Any, name: str, sweep: str, uri: str) -> None:
    """What `jetscale run` did, and where to look."""
    say(
        f"study {name}: {outcome.done} of {outcome.planned} runs done, "
        f"{outcome.trained} trained now, {outcome.failed} failed"
    )
    if outcome.seconds:
        share = f"{outcome.busy:.0%} of its core time in optimiser steps and evaluation"
        say(f"sweep: {outcome.seconds:.0f} s; {share}")
    if outcome.deaths or outcome.evicted:
        died = counted(len(outcome.deaths), "worker group")
        lost = f"{died} died and {outcome.evicted} were evicted"
        again = f"{outcome.recomputed:.1%} of the optimiser steps were made again"
        say(f"{lost}; others went on with their runs, {again}")
    for death in dict.fromkeys(outcome.deaths):
        say(f"a worker group died: {death}")
    for node, reason in outcome.excluded.items():
        say(f"node {node} got no run: it {reason}")
    if outcome.crowded:
        waited = counted(outcome.crowded, "worker group")
        say(f"other jobs held the cluster: {waited} waited for room in vain and asked again")
    if outcome.idle:
        say(outcome.idle)
    for failure in outcome.failures:
        say(f"the sweep ended early: {failure.kind}: {failure.reason}")
    if outcome.failed:
        say(f"see why: jetscale status {sweep}")
    if outcome.unkept:
        say(outcome.unkept, wrap=False)
    told = f"MLflow at {hide_password(uri)}; look with: jetscale ui"
    say(f"warning: {outcome.behind}" if outcome.behind else told)
