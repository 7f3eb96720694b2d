"""The map of mixtures in the report."""

import pytest

from jetscale.measures import Value
from jetscale.measures import figure as picture
from jetscale.report.figures.drawing import NEUTRAL, styles
from jetscale.report.figures.measured import mixture_map

pytestmark = pytest.mark.slow


def value(x, low, high):
    return {"value": x, "low": low, "high": high}


MEASURES = {
    "jets": 2000,
    "axes": {
        "points": {
            "qcd": {"diversity": value(3.9, 3.8, 4.0), "alignment": value(0.31, 0.29, 0.34)},
            "qcd+bsm": {"diversity": value(33, 32, 34), "alignment": value(0.52, 0.49, 0.54)},
        },
        "correlation": value(1.0, 0.9, 1.0),
        "verdict": "diversity and alignment go together",
    },
}


@pytest.mark.long
def test_the_map_and_its_numbers_are_in_the_report(study, report):
    _, page = report(study, measures=MEASURES)
    text = page.text["mixtures"]
    assert "2000 jets" in text
    assert "correlate by 1.0 [0.90, 1.0]: diversity and alignment go together." in text
    rows = {row[0].strip(): row[1:] for row in page.rows["mixtures"]}
    assert rows["qcd"] == ["3.90 [3.80, 4.00] ", "0.310 [0.290, 0.340] "]
    assert len(rows) == 3


def test_without_measurement_the_report_says_how_to_get_it(full):
    _, page = full
    assert "jetscale measure" in page.text["mixtures"]


@pytest.mark.long
def test_two_mixtures_have_no_correlation_to_tell(study, report):
    axes = MEASURES["axes"] | {"correlation": None, "verdict": "two mixtures: takes three."}
    _, page = report(study, measures=MEASURES | {"axes": axes})
    assert "correlate by" not in page.text["mixtures"]
    assert "two mixtures: takes three. " in page.text["mixtures"]
    assert "three.." not in page.text["mixtures"]


def test_points_have_the_colour_of_their_mixture_and_both_bars():
    point = {
        "diversity": Value(value=4.0, low=3.0, high=6.0),
        "alignment": Value(value=0.3, low=0.2, high=0.35),
    }
    looks = styles(["scratch", "qcd"])
    drawn = picture.mixture_map({"qcd": point, "<b>": point})
    figure = mixture_map(drawn, looks)
    first, other = figure.data
    assert first.marker.color == looks["qcd"].colour
    assert first.error_x.array == pytest.approx((2.0,))
    assert first.error_x.arrayminus == pytest.approx((1.0,))
    assert first.error_y.arrayminus == pytest.approx((0.1,))
    assert other.text == ("&lt;b&gt;",)  # not one of the study: neutral and escaped
    assert other.marker.color == NEUTRAL
    ends = [10**end for end in figure.layout.xaxis.range]
    assert ends == pytest.approx(drawn.x_range)
    assert figure.layout.yaxis.range == drawn.y_range
