"""Tables of what `jetscale measure` found: diversity, alignment, transfer, and the two axes.

One row per mixture and one for the downstream jets, so any number of mixtures fits a terminal.
Below each table stand the sentences that say what its columns mean.
"""

from collections.abc import Iterator, Mapping

from rich.text import Text

from jetscale.display.console import console, table
from jetscale.measures import DOWNSTREAM, MeasureTable, Row, Value

_LABELS = {"labels_q0": "labels", "labels_q1": "effective", "labels_q2": "common"}
_SPREAD = {"vendi": "Vendi score", "dimension": "dimension"}
_DISTANCE = {"auc": "AUC", "mmd2": "1000 MMD^2", "sliced_w1": "sliced W1"}
_SPACES = {"observables": "jet observables", "constituents": "constituents"}
_TRANSFER = {
    "logme": "1000 LogME",
    "probe_accuracy": "accuracy %",
    "probe_auc": "AUC %",
}
_FACTORS = {"mmd2": 1000, "logme": 1000, "probe": 100}


def show_measures(found: MeasureTable) -> None:
    """All tables, what their columns mean, and how diversity and alignment hang together."""
    rows = {**found.mixtures, DOWNSTREAM: found.downstream}
    said: set[str] = set()
    console.print(Text(f"study {found.study}: {found.jets} jets of each mixture"))
    _show("Diversity: labels", _LABELS, {name: row.diversity for name, row in rows.items()})
    _sentences(found, list(_LABELS), said)
    for space, title in _SPACES.items():
        columns = {f"{m}_{space}": text for m, text in _SPREAD.items()}
        _show(f"Diversity: {title}", columns, {name: row.diversity for name, row in rows.items()})
        _sentences(found, list(columns), said)
    for space, title in _SPACES.items():
        columns = {f"{m}_{space}": text for m, text in _DISTANCE.items()}
        values = {name: row.alignment for name, row in rows.items()}
        _show(f"Alignment with the downstream jets: {title}", columns, values)
        _sentences(found, list(columns), said)
    _show_transfer(rows)
    if found.downstream.transfer:
        _sentences(found, list(_TRANSFER), said)
    _show_axes(found)
    for line in found.notes:
        console.print(Text(f"- {line}"), style="dim")


def _show(title: str, columns: Mapping[str, str], rows: Mapping[str, Mapping[str, Value]]) -> None:
    tested = [measure for measure in columns if measure.startswith("mmd2")]
    out = table(title, "mixture", *columns.values(), *("p" for _ in tested))
    out.padding = (0, 1, 0, 0)
    for name, values in rows.items():
        runs = [_run(measure, values[measure]) for measure in columns]
        runs += [f"{values[measure].p_value:.2g}" for measure in tested]
        out.add_row(Text(name), *map(Text, runs), style="dim" if name == DOWNSTREAM else None)
    console.print(out)


def _show_transfer(rows: Mapping[str, Row]) -> None:
    """Trunks by size; a mixture without any says so."""
    if not rows[DOWNSTREAM].transfer:
        return
    out = table("After pretraining: frozen trunks", "mixture", "size", *_TRANSFER.values(), left=2)
    out.columns[1].no_wrap = True
    out.padding = (0, 1, 0, 0)
    for name, row in rows.items():
        if row.transfer is None:
            if name != DOWNSTREAM:
                out.add_row(Text(name), "no trunk")
            continue
        shown = "(untrained)" if name == DOWNSTREAM else name
        for size, values in row.transfer.items():
            runs = (_run(measure, values[measure]) for measure in _TRANSFER)
            out.add_row(Text(shown), size, *map(Text, runs))
    console.print(out)


def _show_axes(found: MeasureTable) -> None:
    out = table("The two axes", "mixture", "effective labels", "2 (1 - AUC), constituents")
    for name, point in found.axes.points.items():
        out.add_row(
            Text(name),
            Text(_run("labels_q1", point["diversity"])),
            Text(_run("auc", point["alignment"])),
        )
    console.print(out)
    console.print(Text(found.axes.verdict))
    if found.axes.others:
        listed = ", ".join(f"{measure} {r:+.2f}" for measure, r in found.axes.others.items())
        console.print(Text(f"the same with other measures of diversity: {listed}"))
    if found.axes.corners:
        held = "; ".join(f"{corner}: {name}" for corner, name in found.axes.corners.items())
        console.print(Text(f"all four corners are held and no interval crosses over: {held}"))


def _run(measure: str, value: Value) -> str:
    """``0.91 [0.90, 0.92]`` in the digits that suit the measure."""
    factor = next((f for kind, f in _FACTORS.items() if measure.startswith(kind)), 1)
    numbers = [factor * x for x in (value.value, value.low, value.high)]
    form = _form(measure, numbers[0])
    return "{} [{}, {}]".format(*(format(x, form) for x in numbers))


def _form(measure: str, value: float) -> str:
    if measure.startswith(("auc", "sliced_w1")):
        return ".2f"
    return ".0f" if abs(value) >= 100 or measure == "labels_q0" else ".1f"


def _sentences(found: MeasureTable, measures: list[str], said: set[str]) -> None:
    for line in _new(found, measures, said):
        console.print(Text(f"  {line}"), style="dim")


def _new(found: MeasureTable, measures: list[str], said: set[str]) -> Iterator[str]:
    """The sentences of measures, each measure once whatever the space."""
    for measure in measures:
        kind = measure.rsplit("_", 1)[0] if measure.endswith(tuple(_SPACES)) else measure
        if kind not in said:
            said.add(kind)
            yield found.sentences[measure]
