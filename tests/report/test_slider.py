import json

import numpy as np
import pytest

from jetscale.report.laws import answers
from jetscale.scaling import allocate, fit


@pytest.fixture(scope="module")
def fits(study):
    return fit(study, replicates=50)


def test_the_budgets_reach_a_decade_beyond_the_runs(fits):
    data = answers(fits)
    low, high = fits.mixtures["qcd"].window["flops"]
    flops = np.array(data["flops"])
    assert flops[0] == pytest.approx(low / 10, rel=0.3)
    assert flops[-1] == pytest.approx(high * 10, rel=0.3)
    np.testing.assert_allclose(np.diff(np.log10(flops)), 0.1)
    notes = dict(zip(flops, data["notes"], strict=True))
    assert all((note == "") == (low <= c <= high) for c, note in notes.items())


def test_the_answers_are_those_of_allocate(fits):
    data = answers(fits)
    assert data["mixtures"] == ["scratch", "qcd", "qcd+bsm"]
    i = data["start"]
    answer = allocate(fits, data["flops"][i])
    for name, row in zip(data["mixtures"], data["rows"][i], strict=True):
        found = answer.mixtures[name]
        assert row["examples"] == found.examples.value
        assert float(row["cells"][2][0]) == pytest.approx(found.loss.value, rel=1e-3)
        assert row["open"] is False


def test_what_is_not_identified_is_open_and_json_is_plain(vague):
    data = answers(fit(vague, replicates=50))
    assert all(row["open"] for rows in data["rows"] for row in rows)
    json.dumps(data, allow_nan=False)


def test_the_data_cannot_leave_their_script(study, report):
    odd = study.assign(mixture=study["mixture"].replace("qcd", "</script><b>x"))
    _, page = report(odd)
    assert any("\\u003c/script\\u003e" in script for script in page.scripts)
