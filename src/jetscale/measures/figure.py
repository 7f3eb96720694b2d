"""The mixtures of a study as points of diversity and alignment, with error bars and names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jetscale.errors import StorageError
from jetscale.measures.result import Axes, Value, Values
from jetscale.store.local import atomic_path

KINDS = (".png", ".svg", ".pdf")
# Colours of Okabe and Ito, told apart with every common kind of colour blindness.
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
AXES = {
    "diversity": "diversity: effective number of labels, exp(entropy)",
    "alignment": "alignment: 2 (1 − AUC) against downstream jets",
}
_MARKERS = "osD^vP"
_MARGIN = 1.6  # factor by which the logarithmic diversity axis reaches beyond the intervals


@dataclass(frozen=True, slots=True)
class MapPoint:
    """One mixture: its two measures, and the lengths of the bars before and after each."""

    x: float
    y: float
    x_bars: tuple[float, float]
    y_bars: tuple[float, float]


@dataclass(frozen=True, slots=True)
class MixtureMap:
    """What a picture of mixtures shows, here and in the report; diversity is logarithmic."""

    points: Mapping[str, MapPoint]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    ticks: tuple[int, ...]  # on the diversity axis: 1, 2 and 5 of every decade


def mixture_map(points: Mapping[str, Values]) -> MixtureMap:
    """The map of mixtures from their ``diversity`` and ``alignment``.

    >>> value = Value(value=4.0, low=3.0, high=6.0)
    >>> found = mixture_map({"qcd": {"diversity": value, "alignment": value}})
    >>> found.points["qcd"].x_bars
    (1.0, 2.0)
    """
    across, upwards = ([point[axis] for point in points.values()] for axis in AXES)
    pairs = zip(points, across, upwards, strict=True)
    return MixtureMap(
        points={name: MapPoint(x.value, y.value, _bars(x), _bars(y)) for name, x, y in pairs},
        x_range=(min(v.low for v in across) / _MARGIN, max(v.high for v in across) * _MARGIN),
        # Alignment is at most 1, but estimates and their intervals may lie beyond.
        y_range=(min(0.0, *(v.low for v in upwards)), max(1.05, *(v.high for v in upwards))),
        ticks=tuple(step * 10**power for power in range(4) for step in (1, 2, 5)),
    )


def _bars(value: Value) -> tuple[float, float]:
    return value.value - value.low, value.high - value.value


def check_figure(path: Path) -> None:
    """Raise StorageError for a file name that no picture can have."""
    if path.suffix not in KINDS:
        raise StorageError(f"figure {path}: its ending is {path.suffix!r}, use {', '.join(KINDS)}")


def draw_axes(axes: Axes, path: Path) -> None:
    """Write the figure, or raise StorageError: effective labels across, alignment upwards."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    check_figure(path)
    found = mixture_map(axes.points)
    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.add_subplot()
    for i, (name, point) in enumerate(found.points.items()):
        across, upwards = ([[length] for length in bars] for bars in (point.x_bars, point.y_bars))
        marker, colour = _MARKERS[i % len(_MARKERS)], OKABE_ITO[i % len(OKABE_ITO)]
        plot.errorbar(point.x, point.y, upwards, across, fmt=marker, color=colour, capsize=3)
        plot.annotate(name, (point.x, point.y), xytext=(7, 7), textcoords="offset points")
    plot.set_xscale("log")
    plot.set_xticks(found.ticks, [f"{tick:g}" for tick in found.ticks])
    plot.xaxis.set_minor_formatter(NullFormatter())
    plot.set(xlim=found.x_range, ylim=found.y_range)
    plot.set(xlabel=AXES["diversity"], ylabel=AXES["alignment"])
    plot.set_title(axes.verdict.split("; ")[-1], fontsize="small")
    plot.grid(alpha=0.3)
    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": "jetscale"}):
        stamp = {".png": None, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[path.suffix]
        figure.savefig(temporary, dpi=150, metadata=stamp)
