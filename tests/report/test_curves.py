"""The section of training curves: made-up curves that collapse, one size that does not."""

import math

import numpy as np
import pytest

from jetscale.report.curves import collapsed
from jetscale.report.figures.drawing import styles
from jetscale.report.values import Context, Reasons
from jetscale.scaling.tuning import TrainingCurve

SIZES = (1e4, 4e4, 2e5, 1e6)


def curves_of(mixtures=("scratch", "qcd", "qcd+bsm"), sizes=(1e4, 3e4, 1e5), bad=None):
    """Power laws of the share of training with noise of 1%; the rung ``bad`` has another power."""
    random = np.random.default_rng(4)
    shares = np.arange(1, 33) / 32
    out = []
    for name in mixtures:
        for d in sizes:
            for n in SIZES:
                power = 0.1 if (name, d, n) == bad else 0.3
                for seed in (1, 2, 3):
                    y = n**-0.1 * shares**-power * np.exp(random.normal(0, 0.01, 32))
                    points = list(zip((100 * shares).tolist(), y.tolist(), strict=True))
                    given = {"mixture": name, "params": n, "examples": d, "seed": seed}
                    out.append(TrainingCurve(**given, points=points, final=points[-1][1]))
    return out


@pytest.fixture
def shown():
    """Fills the section from curves; its values and figures."""

    def fill(curves):
        looks = styles(list(dict.fromkeys(curve.mixture for curve in curves)))
        context = Context(None, looks, None, (), None, curves)
        return collapsed(context, Reasons()), context.figures

    return fill


@pytest.mark.long
def test_the_report_shows_the_curves_it_is_given(study, report):
    bad = ("qcd", 3e4, 2e5)
    text, page = report(study, curves=curves_of(bad=bad))
    words = page.text["curves"]
    assert "1 of 36 rungs leave the common curve" in words
    assert "qcd, N = 200k, D = 30k" in words
    rows = [[cell.strip() for cell in row[:4]] for row in page.rows["curves"]]
    assert ["qcd", "leaves the common curve", "30000", "200k"] in rows
    verdicts = [row[1] for row in rows]
    assert verdicts.count("leaves the common curve") == 1
    assert verdicts.count("lies on the common curve") == 8  # of the other ladders
    assert text.count("<details open>") == 1


@pytest.mark.slow
def test_without_curves_the_report_says_why(full):
    _, page = full
    assert "the record files are not at hand" in page.text["curves"]


def test_figures_are_few_and_show_means_over_seeds(shown):
    curves = curves_of(sizes=(1e3, 2e3, 4e3, 8e3, 16e3), bad=("qcd", 2e3, 1e6))
    values, figures = shown(curves)
    assert values["verdict"].warns
    assert [len(row) for row in values["rows"]] == [3, 1, 3, 0, 3]
    figure = figures["qcd: D = 2,000"]
    assert [trace.line.dash for trace in figure.data] == ["solid"] * 3 + ["dash"]
    own = [c for c in curves if (c.mixture, c.examples, c.params) == ("scratch", 1e3, 1e4)]
    first = figures["scratch: D = 1,000"].data[0]
    at = np.searchsorted(first.x, 0.5)
    x = [step / 100 for step, _ in own[0].points]
    ratios = [np.interp(first.x[at], x, [np.log(y / c.final) for _, y in c.points]) for c in own]
    assert first.y[at] == pytest.approx(math.exp(np.mean(ratios)))
    assert first.y[-1] == pytest.approx(1)


def test_what_cannot_be_tested_says_so(shown):
    one_size = [curve for curve in curves_of() if curve.params == 1e4]
    values, figures = shown(one_size)
    assert "was not tested: needs three sizes" in values["verdict"].text
    assert not values["verdict"].warns
    assert len(figures) == 9
    assert shown([])[0]["verdict"].text.endswith("there are no curves.")
