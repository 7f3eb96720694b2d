"""HTML pieces of the report: elements, tables, figures, the page. Text is escaped here, once.

The page is one file: Plotly's library and all figures are in it, and a content security policy
forbids the browser to load anything else.
"""

import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from string import Template
from typing import Any

import plotly.io
import plotly.offline
from plotly.graph_objects import Figure

from jetscale import __version__
from jetscale.report.drawing import Style
from jetscale.report.results import Results
from jetscale.scaling import Estimate

NOT_IDENTIFIED = "not identified at this scale"
_LONG_TEXT = 40
_TAG = re.compile("<[^>]*>")
_BREAK = re.compile('class="range')  # a further line in a cell


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """A value as HTML text; markup stays as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def join(*content: object) -> Markup:
    """Pieces one after another."""
    return Markup("".join(escape(piece) for piece in content))


def tag(name: str, *content: object, **attributes: str) -> Markup:
    """An element; in attribute names a trailing underscore is dropped, others become hyphens."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    return Markup(f"<{name}{given}>{join(*content)}</{name}>")


def paragraph(text: object, class_: str = "") -> Markup:
    """A paragraph, or nothing for an empty text."""
    return tag("p", text, class_=class_) if text else Markup()


def bullets(lines: Iterable[object], class_: str = "") -> Markup:
    """An unordered list, or nothing for no lines."""
    items = [tag("li", line) for line in lines]
    return tag("ul", *items, class_=class_) if items else Markup()


def table(columns: Sequence[object], rows: Iterable[Sequence[object]], text: int = 1) -> Markup:
    """A table in a box of its own that scrolls; the first ``text`` columns are left-aligned."""
    head = [
        tag("th", name, scope="col", class_="text" if i < text else "")
        for i, name in enumerate(columns)
    ]
    body = [tag("tr", *(_cell(i, value, text) for i, value in enumerate(row))) for row in rows]
    inside = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", inside, class_="scroll", tabindex="0")


def _cell(column: int, value: object, text: int) -> Markup:
    if column == 0:
        return tag("th", value, scope="row", class_="text")
    lines = _BREAK.split(str(value)) if isinstance(value, Markup) else [str(value)]
    if len(lines) == 1 and len(_TAG.sub("", lines[0])) > _LONG_TEXT:
        return tag("td", value, class_="text wide")
    return tag("td", value, class_="text" if column < text else "")


def number(value: float, digits: int = 3) -> str:
    """A number for a reader: 0.0123, 4000, 2.1e15; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e6:
        text = f"{size:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
    else:
        mantissa, power = f"{size:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(power)}"
    return f"−{text}" if value < 0 else text


def interval(value: Estimate, digits: int = 3) -> str:
    """The 95% interval in brackets."""
    if math.isnan(value.low):
        return "no interval"
    return f"[{number(value.low, digits)}, {number(value.high, digits)}]"


def inline(value: Estimate, digits: int = 3) -> str:
    """Value and interval in running text."""
    return f"{number(value.value, digits)} {interval(value, digits)}"


def estimate(value: Estimate, digits: int = 3) -> Markup:
    """Value with its interval below; one that is not identified says so, and why."""
    if value.identified:
        below = tag("span", interval(value, digits), class_="range")
        return join(number(value.value, digits), below)
    below = tag("span", inline(value, digits), class_="range")
    reason = tag("span", value.reason, class_="range reason")
    return join(tag("span", NOT_IDENTIFIED, class_="open"), below, reason)


class Figures:
    """The figures of a page; each gets an id and a place."""

    def __init__(self) -> None:
        self.found: dict[str, Figure] = {}
        self.captions: dict[str, str] = {}

    def place(self, figure: Figure, caption: object) -> Markup:
        """The element that will hold a figure."""
        name = f"figure-{len(self.found) + 1}"
        self.found[name], self.captions[name] = figure, str(caption)
        return tag("figure", tag("figcaption", caption), tag("div", id=name, class_="plot"))

    def panels(self, figures: Mapping[str, Figure], class_: str = "") -> Markup:
        """Figures by caption, side by side, as many as fit."""
        placed = [self.place(figure, caption) for caption, figure in figures.items()]
        return tag("div", *placed, class_=f"panels {class_}".strip())

    def by_caption(self) -> dict[str, Figure]:
        """The figures under their captions; one that repeats gets a number."""
        named: dict[str, Figure] = {}
        for name, caption in self.captions.items():
            key, again = caption, 2
            while key in named:
                key, again = f"{caption} ({again})", again + 1
            named[key] = self.found[name]
        return named

    def to_json(self) -> str:
        """All figures as JSON that is safe inside a script element."""
        plain = {name: json.loads(plotly.io.to_json(fig)) for name, fig in self.found.items()}
        return json.dumps(plain, allow_nan=False).replace("<", "\\u003c")


@dataclass(frozen=True, slots=True)
class Context:
    """What every section is made from."""

    results: Results
    styles: Mapping[str, Style]
    held_fixed: Mapping[str, Any] | None
    warnings: tuple[str, ...]
    measures: Mapping[str, Any] | None = None
    figures: Figures = field(default_factory=Figures)

    def key(self) -> Markup:
        """The mixtures with their colours and symbols."""
        items = [
            tag("li", Markup(style.swatch), escape(name)) for name, style in self.styles.items()
        ]
        return tag("ul", *items, class_="key")


def page(*, title: str, facts: str, contents: Markup, body: Markup, figures: Figures) -> str:
    """The whole file."""
    template = Template(resources.files("jetscale.report").joinpath("page.html").read_text("utf-8"))
    return template.substitute(
        title=escape(title),
        facts=escape(facts),
        contents=contents,
        body=body,
        version=escape(__version__),
        plotly=plotly.offline.get_plotlyjs(),
        figures=figures.to_json(),
    )
