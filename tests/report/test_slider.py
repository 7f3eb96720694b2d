import json

import numpy as np
import pytest

from jetscale.analysis import analyse, largest_decade
from jetscale.report import slider
from jetscale.report.figures.drawing import styles
from jetscale.report.slider import answers
from jetscale.report.values import Context, Reasons
from jetscale.scaling import Options, allocate, fit
from jetscale.words import interval, number, short

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fits(study):
    return fit(study, replicates=50)


@pytest.mark.long
def test_the_budgets_reach_a_decade_beyond_the_runs(fits):
    data = answers(fits)
    low, high = fits.mixtures["qcd"].window["flops"]
    flops = np.array(data["flops"])
    assert flops[0] == pytest.approx(low / 10, rel=0.3)
    assert flops[-1] == pytest.approx(high * 10, rel=0.3)
    np.testing.assert_allclose(np.diff(np.log10(flops)), 0.1)
    notes = dict(zip(flops, data["notes"], strict=True))
    assert all((note == "") == (low <= c <= high) for c, note in notes.items())


def test_the_slider_starts_at_the_budget_of_the_answer(fits):
    data = answers(fits)
    assert data["flops"][data["start"]] == pytest.approx(largest_decade(fits)[0])


@pytest.mark.long
def test_the_answers_are_those_of_allocate(fits):
    data = answers(fits)
    assert data["mixtures"] == ["scratch", "qcd", "qcd+bsm"]
    for i in (data["start"], 0, len(data["flops"]) - 1):
        answer = allocate(fits, data["flops"][i])
        for name, row in zip(data["mixtures"], data["rows"][i], strict=True):
            found = answer.mixtures[name]
            assert row["best"] == [found.params.value, found.examples.value]
            assert [value for value, _ in row["cells"]] == [
                short(found.params.value),
                short(found.examples.value),
                number(found.loss.value, 4),
            ]
            assert row["cells"][2][1] == interval(found.loss, 4)
            ends = ", ".join(map(short, (found.params.low, found.params.high)))
            assert row["cells"][0][1] == f"[{ends}]"
            assert row["open"] is False


def test_the_cells_are_the_means_of_the_runs(fits, study):
    cells = answers(fits)["cells"][1]
    own = study[study["mixture"] == "qcd"]
    assert len(cells) == len(own.groupby(["params", "examples"]))
    for params, examples, loss in cells:
        part = own[(own["params"] == params) & (own["examples"] == examples)]
        assert loss == pytest.approx(part["loss"].mean())


@pytest.mark.long
def test_what_is_not_identified_is_open_and_json_is_plain(vague):
    data = answers(fit(vague, replicates=50))
    assert all(row["open"] for rows in data["rows"] for row in rows)
    json.dumps(data, allow_nan=False)


@pytest.mark.long
def test_a_law_without_a_formula_says_that_prices_do_not_move_it(study):
    results = analyse(study[study["mixture"] == "qcd"], Options(replicates=50, law="outer-power"))
    found = slider.slider(Context(results, styles(results.names), None, ()), Reasons())
    assert found["data"]["laws"] == [None]
    assert "no formula" in found["priced"]


@pytest.mark.long
def test_the_data_cannot_leave_their_script(study, report):
    odd = study.assign(mixture=study["mixture"].replace("qcd", "</script><b>x"))
    _, page = report(odd)
    assert any("\\u003c/script\\u003e" in script for script in page.scripts)
