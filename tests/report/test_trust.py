"""The checks of the fits in the report, and their figures."""

import numpy as np
import pytest

from jetscale.report.figures import law as figures
from jetscale.report.figures.drawing import styles
from jetscale.scaling import diagnose, fit

LIMIT = 3.0


@pytest.fixture(scope="module")
def found(study):
    return diagnose(fit(study, replicates=50))


@pytest.fixture(scope="module")
def looks(study):
    return styles(list(study["mixture"].unique()))


@pytest.mark.slow
def test_every_mixture_has_every_check(full):
    _, page = full
    rows = [[cell.strip() for cell in row] for row in page.rows["trust"]]
    for name in ("scratch", "qcd", "qcd+bsm"):
        checks = [row[1] for row in rows if row[0] == name and len(row) == 3]
        assert checks == ["forecast"] * 2 + ["influence", "residuals"] + ["profile likelihood"] * 2
        windows = [row[1] for row in rows if row[0] == name and len(row) == 5]
        assert windows[0] == "nothing"
        assert "the smallest data size" in windows


@pytest.mark.long
def test_what_is_open_is_marked(vague, report):
    text, page = report(vague)
    assert "open below" in page.text["trust"] or "open above" in page.text["trust"]
    assert 'class="open"' in text.split('id="trust"')[1].split("</section>")[0]


@pytest.mark.slow
def test_without_fits_nothing_is_checked(study, report):
    two = study[study["params"].isin(sorted(study["params"].unique())[:2])]
    _, page = report(two)
    assert "Nothing to show here" in page.text["trust"]
    assert page.rows["trust"] == []


@pytest.mark.long
def test_profiles_touch_zero_at_the_optimum(found, looks):
    figure = figures.profile(found, looks, "beta")
    curves = [trace for trace in figure.data if trace.mode == "lines"]
    assert [curve.line.color for curve in curves] == [looks[n].colour for n in found.mixtures]
    for curve, one in zip(curves, found.mixtures.values(), strict=True):
        best = one.profiles["beta"].value
        assert min(curve.y) == pytest.approx(0, abs=1e-6)
        assert curve.x[int(np.argmin(curve.y))] == pytest.approx(best)
        low = one.profiles["beta"].low
        assert np.interp(low, curve.x, curve.y) == pytest.approx(1, abs=0.05)
    assert figure.layout.yaxis.range[1] == LIMIT


@pytest.mark.slow
def test_the_map_holds_the_best_exponents(found, looks):
    one = found.mixtures["qcd"]
    figure = figures.exponent_maps(found)(one, looks["qcd"])
    outer, inner, best = figure.data
    assert (outer.contours.value, inner.contours.value) == tuple(reversed(one.map.levels))
    assert best.x[0] == one.profiles["beta"].value
    assert outer.x[0] <= best.x[0] <= outer.x[-1]


@pytest.mark.slow
def test_the_maps_of_all_mixtures_have_the_same_axes(found, looks):
    draw = figures.exponent_maps(found)
    layouts = [draw(one, looks[name]).layout for name, one in found.mixtures.items()]
    for axis, parameter in (("xaxis", "beta"), ("yaxis", "alpha")):
        (ends,) = {layout[axis].range for layout in layouts}
        low, high = (10**end for end in ends)
        for one in found.mixtures.values():  # what the runs allow is inside
            allowed = np.array(one.map.increase) <= one.map.levels[1]
            grid = np.array(getattr(one.map, parameter))
            held = grid[allowed.any(axis=0 if parameter == "beta" else 1)]
            assert low <= held.min() * 1.001
            assert held.max() <= high * 1.001
        assert {layout[axis].tickvals for layout in layouts} == {figures._TICKS}


def test_influence_has_a_point_per_cell(found, looks):
    one = found.mixtures["qcd"]
    figure = figures.influence(one, looks["qcd"])
    points = {
        (about[0], x): y
        for trace in figure.data
        for about, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    expected = {(c.params, c.examples): c.relative_shift for c in one.influence.cells}
    assert points == pytest.approx(expected)
    assert figure.layout.yaxis.range[1] >= 1.1


def test_forecasts_are_in_percent_with_intervals_about_the_prediction(found, looks):
    one = found.mixtures["qcd"]
    figure = figures.forecast(one, looks["qcd"])
    assert len(figure.data) == 2 * len(one.forecasts)
    bars, points = figure.data[:2]
    cells = one.forecasts[0].cells
    assert points.y == pytest.approx([100 * cell.error for cell in cells])
    high = [100 * (cell.high / cell.predicted - 1) for cell in cells]
    assert bars.error_y.array == pytest.approx(high)
    assert figure.data[3].marker.symbol.endswith("-open")
