"""What templates turn into HTML, without markup: tables, placed figures, reasons of a section."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from plotly.graph_objects import Figure

from jetscale.analysis import Analysis
from jetscale.answers import ThreeAnswers, three_answers
from jetscale.report.decisions import Finding
from jetscale.report.figures.drawing import Style
from jetscale.scaling import Estimate, StudyFit
from jetscale.scaling.tuning import TrainingCurve
from jetscale.words import interval, number

_MISSING = {  # why there may be no value of a field of `Context`
    "measures": "diversity and alignment were not measured; `jetscale measure` does so before any "
    "training",
    "curves": "the record files are not at hand",
    "held_fixed": "the run table does not say what was held fixed, so it cannot show that the data "
    "composition alone varied between mixtures",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one place of a table shows."""

    text: str
    below: str = ""  # a second, smaller line, such as the interval of a value
    mark: int = 0  # number of the reason why the runs do not determine the value; 0 where they do
    warns: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; the first ``text`` columns are words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text: int


def table(title: str, rows: Iterable[Mapping[str, object]], text: int = 1) -> Table:
    """A table from rows of column to content; a finding gives its text, a number is printed.

    Columns are those of all rows: a row that lacks one has a dash there.

    >>> found = table("Sizes", [{"mixture": "qcd", "N": 10}])
    >>> found.columns, found.rows[0][1].text
    (('mixture', 'N'), '10')
    """

    def cell(value: object) -> Cell:
        if isinstance(value, Finding):
            return Cell(value.text, warns=value.warns)
        return value if isinstance(value, Cell) else Cell(str(value))

    found = list(rows)
    columns = tuple(dict.fromkeys(name for row in found for name in row))
    cells = tuple(tuple(cell(row.get(name, "–")) for name in columns) for row in found)
    return Table(title, columns, cells, text)


class Reasons:
    """Why numbers of one section are not identified: each reason once, numbered from 1."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def estimate(self, value: Estimate | None, digits: int = 3, missing: str = "") -> Cell:
        """A value above its interval, marked if not determined; or a dash above ``missing``."""
        if value is None:
            return Cell("–", missing)
        if value.reason and value.reason not in self.texts:
            self.texts.append(value.reason)
        mark = self.texts.index(value.reason) + 1 if value.reason else 0
        return Cell(number(value.value, digits), interval(value, digits), mark)


def panels(placed: dict[str, Figure], figures: Mapping[str, Figure]) -> dict[str, str]:
    """Adds figures by caption to those of a page; the id of each place, by caption."""
    for caption in figures:
        assert caption not in placed, f"two figures are called {caption}"
    start = len(placed) + 1
    placed.update(figures)
    return {caption: f"figure-{i}" for i, caption in enumerate(figures, start)}


@dataclass(frozen=True)
class Context:
    """What every section of a report is made from."""

    results: Analysis
    styles: Mapping[str, Style]
    held_fixed: Mapping[str, Any] | None
    warnings: tuple[str, ...]
    measures: Mapping[str, Any] | None = None
    curves: Sequence[TrainingCurve] | None = None
    figures: dict[str, Figure] = field(default_factory=dict)  # by caption, in order of the page

    @cached_property
    def answers(self) -> ThreeAnswers:
        """The three answers of the study, made once."""
        return three_answers(self.results)

    @property
    def fits(self) -> StudyFit:
        """The fits, for sections that need them."""
        assert self.results.fits is not None
        return self.results.fits

    def panels(self, figures: Mapping[str, Figure]) -> dict[str, str]:
        """Places figures by caption side by side; the id of each place, by caption."""
        return panels(self.figures, figures)

    @property
    def missing(self) -> dict[str, str]:
        """Why there is not what a section needs, by what it is."""
        missing = dict(self.results.missing)
        if not self.results.allocations:
            missing["allocations"] = missing.get("fits", "no budget was asked for")
        return missing | {
            part: why for part, why in _MISSING.items() if getattr(self, part) is None
        }
