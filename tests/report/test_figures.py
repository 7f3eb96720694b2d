"""Figures and tables show the numbers of the analysis, not others."""

import math

import numpy as np
import pytest

from jetscale.analysis import analyse, decades
from jetscale.report.figures import law as figures_law
from jetscale.report.figures import measured as figures_measured
from jetscale.report.figures.drawing import (
    Style,
    alike,
    bars,
    data_axis,
    dots,
    empty,
    line,
    loss_range,
    rule,
    shades,
    shift,
    styles,
)
from jetscale.scaling import Options, fit
from jetscale.scaling.engine import laws

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(study):
    return analyse(study, Options(replicates=50))


@pytest.fixture(scope="module")
def looks(results):
    return styles(results.names)


def traces(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_mixtures_look_different():
    looks = styles([f"m{i}" for i in range(35)])
    assert len({(look.colour, look.symbol) for look in looks.values()}) == 35
    assert Style("#0072b2", "circle").faded(0.5) == "rgba(0,114,178,0.50)"
    assert Style("#0072b2", "square").outline == "M2 2H10V10H2Z"


def test_series_are_set_apart_around_the_true_size():
    factors = [shift(i, 3) for i in range(3)]
    assert factors[1] == 1
    assert factors[0] * factors[2] == pytest.approx(1)
    assert factors[0] < 1 < factors[2]


def test_the_data_axis_names_the_sizes_and_thins_many():
    axis = data_axis(empty("x", "y"), [1e4, 3e4, 1e4]).layout.xaxis
    assert axis.tickvals == (1e4, 3e4)
    assert axis.ticktext == ("10k", "30k")
    assert len(data_axis(empty("x", "y"), range(1, 40)).layout.xaxis.tickvals) <= 9


def test_without_sizes_the_data_axis_stays_as_it_is():
    assert data_axis(empty("x", "y"), []).layout.xaxis.type is None


def test_every_size_has_one_shade_and_larger_ones_are_darker():
    found = shades([3e4, 1e4, 3e4, 2e5])
    assert [size for size, _ in found] == [1e4, 3e4, 2e5]
    assert [opacity for _, opacity in found] == sorted(opacity for _, opacity in found)
    assert found[-1][1] == 1


def test_dots_take_what_a_trace_takes():
    trace = dots([1], [2], "red", "circle", size=7, mode="lines+markers", customdata=[3])
    assert (trace.mode, trace.marker.size, trace.marker.color) == ("lines+markers", 7, "red")
    assert trace.customdata == (3,)


def test_a_line_answers_the_pointer_only_where_it_has_something_to_say():
    style = Style("#000000", "circle")
    assert line("<a>", style, [1], [2]).hoverinfo == "skip"
    said = line("<a>", style, [1], [2], hover="x = %{x}")
    assert said.hoverinfo == "all"
    assert said.hovertemplate == "%{fullData.name}<br>x = %{x}<extra></extra>"
    assert said.name == "&lt;a&gt;"


@pytest.mark.parametrize(("at", "ends"), [({"y": 2}, ("y0", "y1")), ({"x": 2}, ("x0", "x1"))])
def test_a_rule_is_dotted_at_its_value(at, ends):
    figure = rule(empty("x", "y"), **at)
    (shape,) = figure.layout.shapes
    assert shape.line.dash == "dot"
    assert [shape[end] for end in ends] == [2, 2]


def test_the_loss_range_holds_all_losses_even_equal_ones(study):
    low, high = loss_range(study["loss"])
    assert low < study["loss"].min() < study["loss"].max() < high
    low, high = loss_range(study["loss"] * 0 + 1)
    assert low < 1 < high


@pytest.mark.long
def test_differences_are_those_of_the_paired_study(results, looks):
    figure = figures_measured.differences(results.paired, looks)
    assert not traces(figure, "scratch")
    for pair in results.paired.pairs[:2]:
        (trace,) = traces(figure, pair.mixture)
        assert trace.y == tuple(row.difference.value for row in pair.by_examples)
        assert trace.customdata == tuple(row.examples for row in pair.by_examples)
        ends = np.array(trace.y) + trace.error_y.array
        np.testing.assert_allclose(ends, [row.difference.high for row in pair.by_examples])


def test_factors_are_limits_where_they_are_limits(results, looks):
    figure = figures_measured.data_factors(results.paired, looks)
    pair = results.paired.pairs[0]
    (trace,) = traces(figure, pair.mixture)
    factors = [row.data_factor for row in pair.by_examples]
    assert trace.y == tuple(factor.value for factor in factors)
    assert factors[-1].bound == ">"
    assert trace.marker.symbol[-1] == "triangle-up-open"
    assert trace.error_y.array[-1] == 0
    assert trace.marker.symbol[0] == looks[pair.mixture].symbol


def test_losses_show_every_run_once(results, looks):
    found = figures_measured.losses(results.runs, looks)
    assert list(found) == ["N = 10k", "N = 40k", "N = 200k", "N = 1M"]
    shown = [
        loss
        for figure in found.values()
        for trace in figure.data
        if trace.mode == "markers"
        for loss in trace.y
    ]
    assert sorted(shown) == sorted(results.runs["loss"])


def test_many_sizes_share_figures_by_range(study):
    rng = np.random.default_rng(0)
    scattered = study.assign(params=10 ** rng.uniform(4, 6, len(study)))
    found = figures_measured.losses(scattered, {"scratch": Style("#000", "circle")})
    assert 1 < len(found) <= 8
    assert all(" to " in caption for caption in found)
    shown = [loss for figure in found.values() for trace in figure.data for loss in trace.y]
    assert sorted(shown) == sorted(scattered.loc[scattered["mixture"] == "scratch", "loss"])


def test_sizes_that_look_the_same_keep_a_figure_each(study):
    near = study.replace({"params": {4e4: 10001.0}})
    found = figures_measured.losses(near[near["params"] < 2e4], styles(["scratch", "qcd"]))
    assert list(found) == ["N = 10k", "N = 10001.0"]


def test_fit_curves_and_residuals_belong_together(results, looks):
    fitted, runs = results.fits.mixtures["qcd"], results.runs
    figure = figures_law.law_fit(fitted, runs, looks["qcd"])
    curves = [trace for trace in figure.data if trace.mode == "lines"]
    for size, curve in zip((1e4, 4e4, 2e5, 1e6), curves, strict=True):
        expected = laws.loss(fitted.theta, size, np.array(curve.x))
        np.testing.assert_allclose(curve.y, expected)
    distances = figures_law.residuals(fitted, runs, looks["qcd"], 5.0)
    worst = max(abs(y) for trace in distances.data for y in trace.y)
    assert worst == pytest.approx(100 * fitted.worst_residual)


def test_exponents_are_those_of_the_fits(results, looks):
    figure = figures_law.exponents(results.fits, looks)
    for name, fitted in results.fits.mixtures.items():
        (trace,) = traces(figure, name)
        value = fitted.frontier["params_exponent"]
        assert trace.x == (value.value,)
        assert value.value + trace.error_x.array[0] == pytest.approx(value.high)
        assert trace.marker.symbol == looks[name].symbol


@pytest.mark.long
def test_open_symbols_where_the_exponent_is_not_identified(vague):
    fits = fit(vague, replicates=60)
    figure = figures_law.exponents(fits, styles(list(fits.mixtures)))
    assert all(trace.marker.symbol.endswith("-open") for trace in figure.data)


@pytest.mark.parametrize("what", ["params", "examples"])
def test_the_frontier_is_solid_where_measured_and_dashed_beyond(results, looks, what):
    ends = results.fits.flops
    figure = figures_law.frontier(results.fits, looks, what)
    inside, beyond = traces(figure, "qcd")
    assert (inside.line.dash, beyond.line.dash) == ("solid", "dash")
    assert (inside.x[0], inside.x[-1]) == pytest.approx(ends)
    assert beyond.x[-1] == pytest.approx(10 * ends[1])
    best = laws.optimum(results.fits.mixtures["qcd"].theta, np.array(inside.x), results.fits.cost)
    np.testing.assert_allclose(inside.y, getattr(best, what))


def test_the_extrapolation_is_named_where_no_tool_covers_it(results, looks):
    (note,) = figures_law.frontier(results.fits, looks, "params").layout.annotations
    assert note.text == "extrapolated →"
    assert (note.x, note.xref, note.xanchor) == (1, "paper", "right"), "a small figure holds it"
    assert (note.y, note.yanchor) == (0, "bottom")


def test_isoflop_minima_that_do_not_count_are_open(results, looks):
    (route,) = [r for r in results.routes["qcd"].routes if r.name == "isoFLOP"]
    figure = figures_law.isoflop("qcd", route, looks["qcd"])
    curves, minima = figure.data[::2], figure.data[1::2]
    assert len(curves) == len(minima) == len(route.points)
    for point, minimum in zip(route.points, minima, strict=True):
        assert minimum.x == (point.params.value,)
        assert minimum.y == (point.loss,)
        assert minimum.marker.symbol == ("diamond-open" if point.flag else "diamond")


def test_budgets_are_decades_of_the_measured_compute(results):
    low, high = results.fits.flops
    budgets = decades(results.fits)
    assert len(budgets) <= 8
    assert all(math.log10(budget) == round(math.log10(budget)) for budget in budgets)
    assert budgets[-2] <= high < budgets[-1]
    assert budgets[0] >= low
    assert [answer.budget_flops for answer in results.allocations] == list(budgets)


@pytest.mark.long
def test_the_baseline_comes_first(study, results):
    assert results.names == ("scratch", "qcd", "qcd+bsm")
    two = study[study["mixture"] != "qcd+bsm"]
    turned = analyse(two.iloc[::-1], Options(replicates=50), budgets=[1e9])
    assert turned.names[0] == next(iter(turned.fits.mixtures)) == "scratch"
    assert [pair.a for pair in turned.comparison.pairs] == ["scratch"]


@pytest.mark.long
def test_the_measured_cell_stands_beside_the_prediction(study, full, results):
    header, *rows = full[1].rows["allocation"]
    assert [cell.strip() for cell in header[5:8]] == ["measured N", "measured D", "measured loss"]
    expected = [(a.budget_flops, f) for a in results.allocations for f in a.mixtures.values()]
    for row, (budget, found) in zip(rows, expected, strict=True):
        own = study[(study["mixture"] == found.mixture) & (study["flops"] <= budget)]
        best = own.groupby(["params", "examples"])["loss"].mean().min()
        assert row[1].strip() == found.mixture
        assert float(row[7]) == pytest.approx(best, rel=1e-3)
        assert float(row[4].split()[0]) == pytest.approx(found.loss.value, rel=1e-2)
        assert row[8].strip() == f"{found.best_share:.0%}"


def test_laws_draw_themselves(results):
    figure = results.fits.plot()
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert shown == list(results.fits.mixtures)
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in points) == len(results.fits.runs)
    curves = [trace for trace in figure.data if trace.mode == "lines" and trace.name]
    low, high = figure.layout.yaxis.range
    assert all(low < y < high for trace in curves for y in trace.y if math.isfinite(y))
    fitted = results.fits[shown[0]]
    best = fitted.law.optimum(fitted.theta, curves[0].x[0], results.fits.cost)
    expected = fitted.losses(best.params, best.examples)[0]  # what `allocate` says, misfit included
    assert curves[0].y[0] == pytest.approx(float(expected))


def test_figures_that_are_compared_have_the_same_axes():
    one, other = empty("x", "y"), empty("x", "y")
    one.add_trace(dots([1, 2], [0.0, 1.0], "red", "circle", error_y=bars([3.0, 0.5], [0.0, 2.0])))
    other.add_trace(dots([10.0, 4], [0.5, math.nan], "red", "circle"))
    alike({"a": one, "b": other})
    for axis, low, high in (("xaxis", 1, 10), ("yaxis", -1, 3)):
        (ends,) = {figure.layout[axis].range for figure in (one, other)}
        assert low - 1 < ends[0] < low
        assert high < ends[1] < high + 1


def test_a_logarithmic_axis_is_shared_in_decades():
    figures = {str(x): empty("x", "y").add_trace(dots([x], [1], "red", "circle")) for x in (1, 100)}
    for figure in figures.values():
        data_axis(figure, [1, 100])
    alike(figures)
    assert figures["1"].layout.xaxis.range == figures["100"].layout.xaxis.range
    assert figures["1"].layout.xaxis.range[1] == pytest.approx(2, abs=0.2)


def test_what_has_a_range_keeps_it_unless_another_reaches_further():
    narrow, wide = empty("x", "y", [0, 1]), empty("x", "y", [-1, 0.5])
    alike({"a": narrow, "b": wide})
    assert narrow.layout.yaxis.range == wide.layout.yaxis.range == (-1, 1)
