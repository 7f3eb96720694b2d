"""Tables of what `jetscale measure` found: diversity, alignment, transfer, and the two axes."""

from collections.abc import Mapping

from jetscale.display.console import note, say, show_table
from jetscale.measures import DOWNSTREAM, MeasureTable, Row, Value

_LABELS = {"labels_q0": "labels", "labels_q1": "effective", "labels_q2": "common"}
_SPREAD = {"vendi": "Vendi score", "dimension": "dimension"}
_DISTANCE = {"auc": "AUC", "mmd2": "1000 MMD^2", "sliced_w1": "sliced W1"}
_SPACES = {"observables": "jet observables", "constituents": "constituents"}
_TRANSFER = {"logme": "1000 LogME", "probe_accuracy": "accuracy %", "probe_auc": "AUC %"}
_FACTORS = {"mmd2": 1000, "logme": 1000, "probe": 100}


def show_measures(found: MeasureTable) -> None:
    """Print all tables, what their columns mean, and how diversity and alignment vary together."""
    rows = {**found.mixtures, DOWNSTREAM: found.downstream}
    diversity = {name: row.diversity for name, row in rows.items()}
    alignment = {name: row.alignment for name, row in rows.items()}
    said: set[str] = set()
    say(f"study {found.study}: {found.jets} jets of each mixture")
    _show("Diversity: labels", _LABELS, diversity)
    _explain(found, list(_LABELS), said)
    for heading, columns, values in (
        ("Diversity", _SPREAD, diversity),
        ("Alignment with the downstream jets", _DISTANCE, alignment),
    ):
        for space, title in _SPACES.items():
            named = {f"{measure}_{space}": text for measure, text in columns.items()}
            _show(f"{heading}: {title}", named, values)
            _explain(found, list(named), said)
    if found.downstream.transfer:
        _show_transfer(rows)
        _explain(found, list(_TRANSFER), said)
    _show_axes(found)
    for line in found.notes:
        note(f"- {line}")


def _show(title: str, columns: Mapping[str, str], rows: Mapping[str, Mapping[str, Value]]) -> None:
    tested = [measure for measure in columns if measure.startswith("mmd2")]
    shown = []
    for name, values in rows.items():
        texts = [_text(measure, values[measure]) for measure in columns]
        texts += [f"{values[measure].p_value:.2g}" for measure in tested]
        shown.append((name, *texts))
    show_table(title, ("mixture", *columns.values(), *("p" for _ in tested)), shown)


def _show_transfer(rows: Mapping[str, Row]) -> None:
    """Trunks by size; a mixture without any says so."""
    shown = list[tuple[str, ...]]()
    for name, row in rows.items():
        if row.transfer is None:
            if name != DOWNSTREAM:
                shown.append((name, "no trunk"))
            continue
        mixture = "untrained" if name == DOWNSTREAM else name
        for size, values in row.transfer.items():
            texts = (_text(measure, values[measure]) for measure in _TRANSFER)
            shown.append((mixture, size, *texts))
    columns = ("mixture", "size", *_TRANSFER.values())
    show_table("After pretraining: frozen trunks", columns, shown, left=2)


def _show_axes(found: MeasureTable) -> None:
    points = (
        (name, _text("labels_q1", point["diversity"]), _text("auc", point["alignment"]))
        for name, point in found.axes.points.items()
    )
    columns = ("mixture", "effective labels", "2 (1 - AUC), constituents")
    show_table("The two axes", columns, points)
    say(found.axes.verdict)
    if found.axes.others:
        listed = ", ".join(f"{measure} {r:+.2f}" for measure, r in found.axes.others.items())
        say(f"the same with other measures of diversity: {listed}")
    if found.axes.corners:
        held = "; ".join(f"{corner}: {name}" for corner, name in found.axes.corners.items())
        say(f"all four corners are held and no interval crosses over: {held}")


def _text(measure: str, value: Value) -> str:
    """Value and interval in the units and digits that suit the measure.

    >>> _text("auc_observables", Value(value=0.912, low=0.897, high=0.924))
    '0.91 [0.90, 0.92]'
    """
    factor = next((f for kind, f in _FACTORS.items() if measure.startswith(kind)), 1)
    numbers = [factor * x for x in (value.value, value.low, value.high)]
    whole = abs(numbers[0]) >= 100 or measure == "labels_q0"
    digits = 2 if measure.startswith(("auc", "sliced_w1")) else 0 if whole else 1
    return "{} [{}, {}]".format(*(f"{number:.{digits}f}" for number in numbers))


def _explain(found: MeasureTable, measures: list[str], said: set[str]) -> None:
    """Print the sentences of measures, each measure once whatever the space."""
    for measure in measures:
        kind = measure.rsplit("_", 1)[0] if measure.endswith(tuple(_SPACES)) else measure
        if kind not in said:
            said.add(kind)
            note(f"  {found.sentences[measure]}")
