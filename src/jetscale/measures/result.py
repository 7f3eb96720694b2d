"""What `jetscale measure` found: values with intervals, one row per mixture, and what they mean.

The downstream jets have a row of their own: it shows what a perfectly aligned mixture would score.
The last table of a study lies in its results folder, where the report finds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale.jsonable import as_json
from jetscale.shown import Shown, frame_of, row_of
from jetscale.store.home import Home
from jetscale.store.local import read_json, write_json
from jetscale.study import Study

Z95 = 1.959964
DOWNSTREAM = "(downstream)"  # row of the downstream jets; no mixture can have that name


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An estimate with its 95% interval."""

    value: float
    low: float
    high: float
    p_value: float | None = None  # of a permutation test, where the measure is one

    @classmethod
    def around(cls, value: float, error: float, p_value: float | None = None) -> "Value":
        """Value +- 1.96 standard errors."""
        reach = Z95 * error
        return cls(value=value, low=value - reach, high=value + reach, p_value=p_value)

    def within(self, low: float, high: float) -> "Value":
        """The same value, its interval clipped to where the measure can be.

        >>> Value(value=0.9, low=0.7, high=1.1).within(0.0, 1.0)
        Value(value=0.9, low=0.7, high=1.0, p_value=None)
        """
        low, high = max(self.low, low), min(self.high, high)
        return replace(self, low=min(low, self.value), high=max(high, self.value))


Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Everything measured on one mixture, or on the downstream jets."""

    diversity: Values
    alignment: Values
    transfer: Mapping[str, Values] | None  # by model size; None where no trunk was found


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Diversity and alignment of every mixture, one measure each, and how they vary together."""

    points: Mapping[str, Values]  # mixture to ``diversity`` and ``alignment``
    correlation: Value | None  # over the mixtures; None for fewer than three
    verdict: str  # what the correlation means for the study, in a sentence
    # correlation of alignment with every other measure of diversity; empty below three mixtures
    others: Mapping[str, float]
    # ``low diversity, high alignment``... to mixture, where all four are held and no interval
    # crosses the middle
    corners: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureTable(Shown):
    """The measures of all mixtures of a study."""

    study: str
    jets: int  # jets per sample, the same for every mixture and for the downstream task
    downstream: Row
    mixtures: Mapping[str, Row]
    axes: Axes  # the mixtures as points of diversity and alignment
    notes: tuple[str, ...]
    sentences: Mapping[str, str]  # measure to what it means

    def to_frame(self) -> pd.DataFrame:
        """Return a row per mixture and measure, those of trunks for each model size."""
        rows: list[dict[str, Any]] = []
        for name, row in {**self.mixtures, DOWNSTREAM: self.downstream}.items():
            parts = [("diversity", "", row.diversity), ("alignment", "", row.alignment)]
            parts += [("transfer", size, values) for size, values in (row.transfer or {}).items()]
            rows += [
                {"mixture": name, "kind": kind, "size": size, "measure": measure} | row_of(value)
                for kind, size, values in parts
                for measure, value in values.items()
            ]
        return frame_of(rows, "mixture kind measure size value low high p_value")


def save_measures(found: MeasureTable, study: Study, home: Home) -> Path:
    """Write what was measured into the results folder of the study, and return the file."""
    folder = home.study(study)
    write_json(folder.measures, as_json(found) | {"parts": _parts(study)})
    folder.put(folder.measures)
    return folder.measures


def load_measures(study: Study, home: Home) -> dict[str, Any] | None:
    """The last table of a study as JSON has it; None without one, or where mixtures changed."""
    folder = home.study(study)
    folder.fetch(folder.measures)
    found = read_json(folder.measures) or {}
    whole = {f.name for f in fields(MeasureTable)} <= found.keys()
    return found if whole and found.get("parts") == _parts(study) else None


def _parts(study: Study) -> dict[str, dict[str, float]]:
    return {mixture.name: dict(mixture.parts) for mixture in study.mixtures if mixture.parts}
