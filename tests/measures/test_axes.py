from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.jsonable import as_json
from jetscale.measures.axes import ALIGNMENT, DIVERSITY, axes_of, corners, correlation, place
from jetscale.measures.result import Row, Value


def row(labels, auc, error=0.01):
    return Row(
        diversity={DIVERSITY: Value.around(labels, labels * error)},
        alignment={ALIGNMENT: Value.around(auc, error)},
        transfer=None,
    )


FACTORIAL = {
    "few-far": row(4, 0.95),
    "many-far": row(20, 0.96),
    "few-near": row(4, 0.70),
    "many-near": row(20, 0.69),
}


def test_a_mixture_that_cannot_be_told_from_the_task_is_fully_aligned():
    assert place(row(4, 0.5))["alignment"].value == 1.0
    point = place(row(4, 0.9))["alignment"]
    assert point.value == pytest.approx(0.2)
    assert point.low < 0.2 < point.high


def test_a_two_by_two_design_is_not_collinear_and_fills_its_corners():
    axes = axes_of(FACTORIAL)
    assert abs(axes.correlation.value) < 0.1
    assert axes.correlation.low < axes.correlation.value < axes.correlation.high
    assert "not collinear" in axes.verdict
    assert axes.corners == {
        "low diversity, low alignment": "few-far",
        "low diversity, high alignment": "few-near",
        "high diversity, low alignment": "many-far",
        "high diversity, high alignment": "many-near",
    }


def test_diversity_and_alignment_that_rise_together_are_collinear():
    axes = axes_of({"a": row(4, 0.9), "b": row(12, 0.8), "c": row(36, 0.7)})
    assert axes.correlation.value == pytest.approx(1, abs=1e-9)
    assert ": the study cannot tell" in axes.verdict
    assert axes.corners is None


def test_something_between_is_called_so():
    axes = axes_of(FACTORIAL | {"more": row(200, 0.55)})
    assert 0.3 < axes.correlation.value < 0.8
    assert "partly collinear" in axes.verdict


def test_a_verdict_needs_its_interval():
    vague = {name: row(labels, 0.8, 0.2) for name, labels in zip("abcd", (4, 5, 6, 5), strict=True)}
    axes = axes_of(vague)
    assert axes.correlation.low < -0.5
    assert axes.correlation.high > 0.5
    assert "undecided: measure more jets" in axes.verdict


def test_labels_may_be_apart_where_jets_are_not():
    rows = {}
    for name, base in FACTORIAL.items():
        jets = Value.around(30.0 if "far" in name else 6.0, 0.1)
        rows[name] = replace(base, diversity={**base.diversity, "vendi_observables": jets})
    axes = axes_of(rows)
    assert abs(axes.correlation.value) < 0.1
    assert axes.others == {"vendi_observables": pytest.approx(-1, abs=0.01)}


def test_two_mixtures_have_no_correlation():
    axes = axes_of({"a": row(4, 0.9), "b": row(12, 0.8)})
    assert axes.correlation is None
    assert "takes three" in axes.verdict
    assert as_json(axes)["correlation"] is None


def test_equal_mixtures_have_correlation_zero():
    points = {name: place(row(4, 0.8, error=0.0)) for name in "abc"}
    assert correlation(points).value == 0.0


def test_corners_need_intervals_that_do_not_cross_over():
    wide = FACTORIAL | {"few-far": row(4, 0.95, error=0.2)}
    assert corners({name: place(r) for name, r in wide.items()}) is None


def test_corners_need_all_four():
    three = {name: FACTORIAL[name] for name in ("few-far", "many-far", "few-near")}
    points = {name: place(r) for name, r in (three | {"again": row(4.1, 0.71)}).items()}
    assert corners(points) is None


def test_several_mixtures_may_share_a_corner():
    points = {name: place(r) for name, r in (FACTORIAL | {"more": row(21, 0.68)}).items()}
    assert corners(points)["high diversity, high alignment"] == "many-near, more"


positions = st.lists(
    st.tuples(st.floats(1.1, 300), st.floats(0.5, 0.999)), min_size=3, max_size=6, unique=True
)


@settings(max_examples=25)
@given(positions)
def test_a_correlation_is_one_and_does_not_depend_on_units(found):
    points = {str(i): place(row(*pair, error=1e-6)) for i, pair in enumerate(found)}
    scaled = {str(i): place(row(3 * a, b, error=1e-6)) for i, (a, b) in enumerate(found)}
    value = correlation(points).value
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    assert correlation(scaled).value == pytest.approx(value, abs=1e-6)


def test_wide_intervals_of_the_points_widen_that_of_the_correlation():
    narrow, wide = (
        correlation({n: place(row(4 + i, 0.9 - 0.05 * i, error)) for i, n in enumerate("abc")})
        for error in (0.001, 0.1)
    )
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_axes_are_plain_values_for_json():
    found = as_json(axes_of(FACTORIAL))
    assert found["points"]["few-far"]["diversity"]["value"] == 4
    assert set(found) == {"points", "correlation", "verdict", "others", "corners"}
    assert len(found["corners"]) == 4
