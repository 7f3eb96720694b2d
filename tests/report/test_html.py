"""HTML pieces: escaping, numbers for readers, estimates that do not hide their intervals."""

import json
import math

import pytest
from plotly.graph_objects import Figure

from jetscale.report.html import (
    Figures,
    Markup,
    bullets,
    escape,
    estimate,
    inline,
    join,
    number,
    paragraph,
    table,
    tag,
)
from jetscale.scaling import Estimate


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0123, "0.0123"),
        (1234.5, "1234"),
        (2.1e15, "2.10e15"),
        (1e-5, "1.00e-5"),
        (-0.5, "−0.500"),
        (0, "0"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_for_readers(value, shown):
    assert number(value) == shown


def test_text_is_escaped_once():
    assert escape("a<b>&") == "a&lt;b&gt;&amp;"
    assert escape(escape("a<b>")) == "a&lt;b&gt;"
    assert tag("p", "x<y", class_='a"b') == '<p class="a&quot;b">x&lt;y</p>'
    assert join("<", Markup("<br>")) == "&lt;<br>"


def test_nothing_makes_no_element():
    assert paragraph("") == ""
    assert bullets([]) == ""
    assert bullets(["a"], "x") == '<ul class="x"><li>a</li></ul>'


def test_a_table_marks_heads_and_long_text():
    made = table(("name", "value"), [("a", "x" * 50)])
    assert '<th scope="row" class="text">a</th>' in made
    assert 'class="text wide"' in made
    assert 'tabindex="0"' in made


def test_an_estimate_shows_its_interval():
    sure = Estimate(value=0.5, low=0.4, high=0.6)
    assert inline(sure) == "0.500 [0.400, 0.600]"
    assert "[0.400, 0.600]" in estimate(sure)
    assert inline(Estimate(value=1, low=math.nan, high=math.nan)) == "1.00 no interval"


def test_an_estimate_that_is_not_identified_leads_with_that():
    made = estimate(Estimate(value=0.5, low=0, high=math.inf, reason="alpha < its bound"))
    assert made.index("not identified at this scale") < made.index("0.500")
    assert "alpha &lt; its bound" in made
    assert "∞" in made


def test_figures_are_safe_json_without_nan():
    figures = Figures()
    figure = Figure({"data": [{"x": [1, math.nan, math.inf], "name": "</script>"}]})
    assert 'id="figure-1"' in figures.place(figure, "a<b")
    text = figures.to_json()
    assert "<" not in text
    assert json.loads(text)["figure-1"]["data"][0]["x"] == [1, None, None]
