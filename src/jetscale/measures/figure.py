"""The mixtures of a study as points of diversity and alignment, with error bars and names."""

from pathlib import Path

from jetscale.errors import StorageError
from jetscale.measures.result import Axes
from jetscale.store.local import atomic_path

KINDS = (".png", ".svg", ".pdf")
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
_MARKERS = "osD^vP"


def check_figure(path: Path) -> None:
    """Raise StorageError for a file name that no picture can have."""
    if path.suffix not in KINDS:
        raise StorageError(f"figure {path}: its ending is {path.suffix!r}, use {', '.join(KINDS)}")


def draw_axes(axes: Axes, path: Path) -> None:
    """Write the figure: effective labels across, alignment upwards.

    Raises
    ------
    StorageError
        The kind of file is unknown or it cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    check_figure(path)
    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.add_subplot()
    for i, (name, point) in enumerate(axes.points.items()):
        x, y = point["diversity"], point["alignment"]
        plot.errorbar(
            x.value,
            y.value,
            xerr=[[x.value - x.low], [x.high - x.value]],
            yerr=[[y.value - y.low], [y.high - y.value]],
            fmt=_MARKERS[i % len(_MARKERS)],
            color=_COLOURS[i % len(_COLOURS)],
            capsize=3,
        )
        plot.annotate(name, (x.value, y.value), xytext=(7, 7), textcoords="offset points")
    plot.set_xscale("log")
    plot.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    plot.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    plot.xaxis.set_minor_formatter(NullFormatter())
    plot.set_ylim(min(0.0, *plot.get_ylim()), max(1.05, *plot.get_ylim()))
    plot.margins(x=0.2)
    plot.set_xlabel("diversity: effective number of labels, exp(entropy)")
    plot.set_ylabel("alignment: 2 (1 - AUC) against downstream jets")
    plot.set_title(axes.verdict.split("; ")[-1], fontsize="small")
    plot.grid(alpha=0.3)
    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": "jetscale"}):
        stamp = {".png": None, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[path.suffix]
        figure.savefig(temporary, dpi=150, metadata=stamp)
