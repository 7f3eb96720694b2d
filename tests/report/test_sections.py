"""The values that sections hand to their templates are those of the analysis."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import jetscale.report
from jetscale.analysis import analyse, training_rate
from jetscale.report import laws, measured, page, slider
from jetscale.report.figures.drawing import styles
from jetscale.report.values import Cell, Context, Reasons
from jetscale.scaling import Options
from jetscale.scaling.engine.laws import PARAMETERS
from jetscale.words import short

pytestmark = pytest.mark.slow

SOURCE = Path(jetscale.report.__file__).parent


@pytest.fixture(scope="module")
def results(study):
    return analyse(study.assign(seconds=study["flops"] / 1e9), Options(replicates=50))


@pytest.fixture
def context(results):
    return Context(results, styles(results.names), {"epochs": 4}, ("one", "one", "two"))


def test_no_section_writes_html():
    tags = re.compile(
        r"</(?!extra>)|<(p|div|span|table|td|th|li|ul|a|h\d)\b"
    )  # <extra> is Plotly's
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8").replace(r"<code>\1</code>", "")
        text = text.replace("Markup('<code>jetscale fit</code> &lt;now&gt;')", "")
        assert not tags.findall(text), path


def test_decisions_know_of_no_page():
    text = (SOURCE / "decisions.py").read_text(encoding="utf-8")
    names = re.findall(r"^from (jetscale\.\S+) import", text, re.M)
    ours = {name for name in names if name.startswith("jetscale.report")}
    assert ours == set()


@pytest.mark.long
def test_the_law_table_has_every_parameter_and_exponent(context, results):
    found = laws.law(context, Reasons())["parameters"]
    assert found.columns[1 : 1 + len(PARAMETERS)] == tuple(PARAMETERS)
    for row, (name, fitted) in zip(found.rows, results.fits.mixtures.items(), strict=True):
        shown = dict(zip(found.columns, row, strict=True))
        assert shown["mixture"].text == name
        alpha = fitted.parameters["alpha"]
        assert float(shown["alpha"].text) == pytest.approx(alpha.value, abs=6e-4)
        exponent = fitted.frontier["params_exponent"].value
        assert float(shown["a (N* ∝ C^a)"].text) == pytest.approx(exponent, abs=6e-4)


def test_a_window_without_a_fit_says_why(context, results):
    one = results.diagnostics.mixtures["qcd"]
    gone = replace(
        one.windows[0],
        cells=0,
        params_exponent=None,
        alpha=None,
        beta=None,
        reason="no runs are left",
    )
    mixtures = {"qcd": replace(one, windows=(gone, *one.windows[1:]))}
    diagnostics = replace(results.diagnostics, mixtures=mixtures)
    changed = replace(context, results=replace(results, diagnostics=diagnostics), figures={})
    found = laws.trust(changed, Reasons())["windows"]
    assert found.rows[0][1].text == "nothing"
    texts = [cell.text for cell in found.rows[1]]
    assert texts == ["qcd", gone.left_out, "–", "not fitted: no runs are left", "–"]
    assert [row[1].text for row in found.rows[2:]] == [w.left_out for w in one.windows[1:]]


def test_limits_are_no_missing_identification(context, results):
    reasons = Reasons()
    found = measured.differences(context, reasons)["first"]
    assert reasons.texts == []
    factors = [row[-1] for row in found.rows]
    bounds = [
        row.data_factor.bound if row.data_factor else None
        for pair in results.paired.pairs
        if pair.baseline == "scratch"
        for row in (pair.overall, *pair.by_examples)
    ]
    for cell, bound in zip(factors, bounds, strict=True):
        start = {None: "–", "": "", ">": "at least ", "<": "at most "}[bound]
        assert cell.text.startswith(start)
        assert (": a " in cell.below) is bool(bound)  # the reason: "a lower limit"
    assert ">" in bounds


def test_tables_of_pairs_share_their_rows(context, results):
    found = laws.frontier(context, Reasons())["pairs"]
    pairs = [(pair.a, pair.b) for pair in results.comparison.pairs]
    for name in ("exponents", "tests", "ratios"):
        assert [(row[0].text, row[1].text) for row in found[name].rows] == pairs
    assert found["tests"].columns[2] == "one law"
    assert found["tests"].columns[-1] == "labels swapped"


def test_a_route_without_an_exponent_says_why(context, results):
    found = laws.frontier(context, Reasons())["routes"]
    assert found.columns[0] == "mixture"
    assert found.columns[1] == "verdict"
    for row, routes in zip(found.rows, results.routes.values(), strict=True):
        for cell, route in zip(row[2:], routes.routes, strict=True):
            if route.params_exponent is None:
                assert cell == Cell("–", route.missing)
            else:
                assert cell.below.startswith("[")


def test_budgets_that_pay_for_no_run_have_no_measured_cell(context, results):
    first = results.allocations[0]
    poor = {name: replace(one, measured=None) for name, one in first.mixtures.items()}
    changed = replace(results, allocations=(replace(first, mixtures=poor),))
    found = laws.budgets(replace(context, results=changed), Reasons())["table"]
    assert [cell.text for cell in found.rows[0][5:8]] == ["all cost more", "–", "–"]


def test_every_warning_is_printed_once(context):
    assert page.method(context, Reasons())["warnings"][:2] == ["one", "two"]


def test_what_was_held_fixed_is_printed_as_it_is(context):
    ((name, value),) = page.held_fixed(context, Reasons())["table"].rows
    assert (name.text, value.text) == ("epochs", "4")


def test_hours_start_from_the_speed_of_the_runs(context, results, study):
    found = slider.slider(context, Reasons())
    assert found["prices"][0] == ("rate", "training FLOP/s", "1.00e9")
    speed = short(results.runs["examples"].sum() / results.runs["seconds"].sum())
    assert found["rate_source"].startswith("measured over 120 runs")
    assert found["rate_source"].endswith(f", {speed} examples a second")
    rate, source = training_rate(study)
    assert rate == 1e14
    assert "typical GPU" in source
