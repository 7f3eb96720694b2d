"""Run tables made from known laws, and their reports taken apart."""

from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jetscale.report import make_report
from jetscale.scaling.engine import laws

LAWS = {
    "scratch": (0.5, 20.0, 30.0, 0.45, 0.42),
    "qcd": (0.5, 18.0, 20.0, 0.45, 0.42),
    "qcd+bsm": (0.5, 17.0, 15.0, 0.45, 0.42),
}
PARAMS = (1e4, 4e4, 2e5, 1e6)
EXAMPLES = (1e4, 3e4, 1e5, 3e5, 1e6)
VOID = {"meta", "link", "br", "img", "input", "hr"}
REPLICATES = 50


def runs_of(
    mixtures: Mapping[str, tuple[float, ...]], seeds: int = 2, noise: float = 0.003
) -> pd.DataFrame:
    """A full grid of runs; compute is 6ND."""
    rng = np.random.default_rng(1)
    rows = [
        (name, n, d, seed, 6 * n * d, float(laws.loss(np.array(theta), n, d)))
        for name, theta in mixtures.items()
        for n in PARAMS
        for d in EXAMPLES
        for seed in range(seeds)
    ]
    frame = pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "flops", "loss"])
    frame["loss"] *= np.exp(noise * rng.normal(size=len(frame)))
    return frame


class Page(HTMLParser):
    """The report taken apart: text and rows by section, attributes; unbalanced tags fail."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: dict[str, str] = {}
        self.rows: dict[str, list[list[str]]] = {}
        self.scripts: list[str] = []
        self._section = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "section":
            self._section = dict(attrs)["id"]
            self.text[self._section], self.rows[self._section] = "", []
        elif tag == "tr":
            self.rows[self._section].append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()
        if tag == "section":
            self._section = ""

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts[-1] += data
        elif self._section:
            self.text[self._section] += data + " "
            if {"td", "th"} & set(self.open):
                self.rows[self._section][-1][-1] += data + " "


@pytest.fixture(scope="session")
def taken_apart() -> type[Page]:
    """Takes a page apart."""
    return Page


@pytest.fixture(scope="session")
def make_runs() -> Callable[..., pd.DataFrame]:
    """Makes a run table from a law per mixture."""
    return runs_of


@pytest.fixture(scope="session")
def study() -> pd.DataFrame:
    """Three mixtures on the same cells, laws well determined."""
    return runs_of(LAWS)


@pytest.fixture(scope="session")
def vague() -> pd.DataFrame:
    """Two mixtures whose loss does not depend on N: nothing is known about alpha."""
    return runs_of({"scratch": (0.5, 1e-6, 30, 0.45, 0.42), "qcd": (0.5, 1e-6, 20, 0.45, 0.42)})


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Callable[..., tuple[str, Page]]:
    """Writes the report of a table; returns its text and the page taken apart."""

    def write(frame: pd.DataFrame, **options) -> tuple[str, Page]:
        out: Path = tmp_path_factory.mktemp("report") / "report.html"
        given = {"title": "Test", "held_fixed": None, "replicates": REPLICATES} | options
        assert make_report(frame, **given).write(out) == out
        assert [path.name for path in out.parent.iterdir()] == ["report.html"]
        text = out.read_text(encoding="utf-8")
        page = Page(text)
        assert not page.open
        return text, page

    return write


@pytest.fixture(scope="session")
def full(study, report) -> tuple[str, Page]:
    """The report of the three mixtures."""
    controls = {"optimiser.clip": 1.0, "schedule.epochs": 4}
    return report(study, held_fixed=controls, warnings=["3 cells are missing"])
