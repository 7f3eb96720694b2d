"""The templates: text is escaped, numbers are marked, scripts are safe."""

import json
import math
import re
from importlib import resources
from types import SimpleNamespace

import pandas as pd
import pytest
from jinja2 import UndefinedError
from plotly.graph_objects import Figure

from jetscale.analysis import analyse
from jetscale.report import page as pages
from jetscale.report import tuning
from jetscale.report.figures.drawing import styles
from jetscale.report.page import SECTIONS, Section, render, with_code
from jetscale.report.values import Cell, Context, table
from jetscale.scaling import Options

pytestmark = pytest.mark.slow


@pytest.fixture
def show(monkeypatch, study):
    """Renders a page whose one section is the allocation, filled with the values given."""
    results = analyse(study[study["mixture"] == "qcd"], Options(replicates=50), budgets=[1e9])
    given = {"choice": None, "warnings": []}

    def shown(rows, reasons=(), figures=None, **values):
        def fill(context, found):
            found.texts.extend(reasons)
            context.panels(figures or {})
            return given | {"table": table("Answers", rows, text=2)} | values

        monkeypatch.setattr(pages, "SECTIONS", (Section("allocation", "What it buys", fill),))
        context = Context(results, styles(results.names), None, ())
        text = render(context, "<title>")
        return SimpleNamespace(
            text=text, section=re.search("<section.*</section>", text, re.S).group()
        )

    return shown


def test_every_section_has_a_template_and_every_template_a_user():
    folder = resources.files("jetscale.report") / "templates"
    names = {path.name for path in folder.iterdir()}
    sections = {f"{section.anchor}.html" for section in (*SECTIONS, *tuning.SECTIONS)}
    assert sections <= names
    text = (folder / "page.html").read_text(encoding="utf-8")
    shared = names - sections - {"page.html"}
    assert all(f'"{name}"' in text for name in shared)


def test_needs_are_things_that_can_be_missing(study):
    two = study[study["params"].isin(sorted(study["params"].unique())[:2])]
    context = Context(analyse(two[two["mixture"] == "qcd"], Options(replicates=50)), {}, None, ())
    assert {section.needs for section in SECTIONS} - {""} <= set(context.missing)


@pytest.mark.long
def test_text_is_escaped(show):
    found = show([{"a<b>": "x&y", "n": Cell("<i>", below="<u>", warns=True)}])
    for raw in ("<b>", "x&y", "<i>", "<u>", "<h1><title>"):
        assert raw not in found.text.split("<script>")[0]
    assert "x&amp;y" in found.section
    assert (
        '<span class="open">&lt;i&gt;</span><span class="range">&lt;u&gt;</span>' in found.section
    )
    assert "<h1>&lt;title&gt;</h1>" in found.text


@pytest.mark.long
def test_cells_say_what_they_are(show):
    row = {"a": "name", "b": "words", "c": "1.0", "d": "x" * 50}
    section = show([row]).section
    assert '<th scope="row" class="text">name</th>' in section
    assert '<td class="text" data-name="b">words</td>' in section
    assert '<td data-name="c">1.0</td>' in section
    assert f'<td class="text wide" data-name="d">{"x" * 50}</td>' in section
    heads = re.findall('<th scope="col"( class="text")?>(.)</th>', section)
    assert [(bool(text), name) for text, name in heads] == [
        (True, "a"),
        (True, "b"),
        (False, "c"),
        (False, "d"),
    ]


@pytest.mark.long
def test_marks_lead_to_their_reason(show):
    section = show([{"a": "x", "b": Cell("0.5", "[0, 1]", mark=2)}], reasons=["first", "`b` <"])
    assert '<a class="mark" href="#allocation-note-2">*</a>' in section.section
    assert '<li id="allocation-note-2"><code>b</code> &lt;</li>' in section.section
    assert section.section.count("not identified at this scale") == 1


@pytest.mark.long
def test_without_reasons_nothing_is_called_unidentified(show):
    assert "not identified" not in show([{"a": "x", "b": Cell("0.5", "[0, 1]")}]).section


def test_long_lines_below_a_number_may_be_broken(show):
    section = show([{"a": "x", "b": Cell("–", "r" * 41), "c": Cell("1", "[0, 2]")}]).section
    assert '<span class="range long">rrr' in section
    assert '<span class="range">[0, 2]' in section


@pytest.mark.long
def test_warnings_are_a_list(show):
    section = show([{"a": "x"}], warnings=["one `x`", "two"]).section
    assert "<li>one <code>x</code></li>" in section
    assert "<li>" not in show([{"a": "x"}]).section


@pytest.mark.long
def test_a_table_of_many_columns_becomes_cards(show):
    assert '<table class="cards">' in show([{"a": "x", "b": "y", "c": "z"}]).section
    assert "<table>" in show([{"a": "x", "b": "y"}]).section


@pytest.mark.long
def test_figures_are_safe_json_without_nan(show):
    figure = Figure({"data": [{"x": [1, math.nan, math.inf], "name": "</script>"}]})
    text = show([{"a": "x"}], figures={"a<b": figure}).text
    (found,) = re.findall('<script type="application/json" id="figures">(.*?)</script>', text)
    assert "<" not in found
    assert json.loads(found)["figure-1"]["data"][0]["x"] == [1, None, None]


@pytest.mark.long
def test_a_name_the_values_lack_is_an_error(show, monkeypatch):
    section = Section("allocation", "What it buys", lambda context, reasons: {"table": None})
    show([{"a": "x"}])
    monkeypatch.setattr(pages, "SECTIONS", (section,))
    results = SimpleNamespace(missing={}, allocations=(1,), quantity="loss", runs=pd.DataFrame())
    monkeypatch.setattr(pages.decisions, "facts", lambda results: "")
    with pytest.raises(UndefinedError, match="has no attribute 'choice'"):
        render(Context(results, {}, None, ()), "t")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `a b` now", "run <code>a b</code> now"),
        ("<`x<y`>", "&lt;<code>x&lt;y</code>&gt;"),
        ("one ` alone", "one ` alone"),
        ("plain", "plain"),
    ],
)
def test_backticks_become_code(text, shown):
    assert with_code(text) == shown
