"""Figures of a search over learning rates: loss against rate, and the laws of the best rate.

    python analysis/tuning.py [TABLE] [--out FOLDER]

TABLE is the search.csv that `jetscale tune` leaves in the results folder of a study; by default
that of the first quickstart, kept beside this file. Writes search-rates.png and search-laws.png and
prints the laws and the regrets as Markdown.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, StrMethodFormatter

from jetscale.errors import FitError
from jetscale.scaling.tuning import CellOptimum, RateLaws, fit_rate_laws, regrets
from jetscale.store.local import make_folder

TABLE = Path(__file__).with_name("quickstart-search.csv")
COLOURS = ("#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito, safe for all
MARKERS = ("o", "s", "D", "^", "v")


def read_table(path: Path) -> pd.DataFrame:
    """The runs of a search at the settings of the study."""
    table = pd.read_csv(path, keep_default_na=False, na_values=["nan"])
    return table[table["setting"] == ""]


def draw_rates(table: pd.DataFrame, laws: RateLaws, path: Path, kind: str) -> None:
    """Validation loss against peak rate: a panel per width and D, a colour per mixture."""
    part = table[(table["start"] == "pretraining") == (kind == "pretraining")]
    widths, sizes = (sorted(part[name].unique()) for name in ("width", "examples"))
    colours = dict(zip(table["mixture"].unique(), COLOURS, strict=False))
    figure, grid = plt.subplots(
        len(widths),
        len(sizes),
        figsize=(3.1 * len(sizes), 2.5 * len(widths)),
        squeeze=False,
        sharex="row",
        layout="constrained",
    )
    for row, width in zip(grid, widths, strict=True):
        for axes, examples in zip(row, sizes, strict=True):
            cell = part[(part["width"] == width) & (part["examples"] == examples)]
            draw_cell(axes, cell, laws, colours)
            axes.set_title(f"width {width}, D = {examples:,}", loc="left", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel(f"peak rate of {kind}")
    for row in grid:
        row[0].set_ylabel("validation loss")
    grid[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_cell(axes: Axes, cell: pd.DataFrame, laws: RateLaws, colours: dict[str, str]) -> None:
    """Every run as a mark, the mean over seeds as a line, the law's rate as a dashed line."""
    finite = cell[np.isfinite(cell["loss"])]
    for (mixture, start), runs in finite.groupby(["mixture", "start"], sort=False):
        colour = colours[str(mixture)]
        mean = runs.groupby("rate")["loss"].mean()
        axes.plot(mean.index, mean.to_numpy(), color=colour, linewidth=1.3, label=mixture)
        axes.plot(runs["rate"], runs["loss"], color=colour, marker="_", linestyle="none")
        if start in laws.laws:
            rate = laws.rate(str(start), runs["width"].iloc[0], runs["steps"].iloc[0])
            axes.axvline(rate, color=colour, linestyle="--", linewidth=0.9, alpha=0.7)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.minorticks_off()


def draw_laws(optima: tuple[CellOptimum, ...], laws: RateLaws, path: Path) -> None:
    """Best rate of every cell against steps, with the law of its width: a panel per start."""
    starts = [start for start in laws.laws if any(o.start == start for o in optima)]
    figure, row = plt.subplots(
        1,
        len(starts),
        figsize=(4.2 * len(starts), 3.6),
        squeeze=False,
        layout="constrained",
        sharey=True,
    )
    widths = sorted({o.width for o in optima})
    for axes, start in zip(row[0], starts, strict=True):
        found = [o for o in optima if o.start == start]
        low, high = (end(o.steps for o in found) for end in (min, max))
        steps = np.geomspace(low / 1.5, 1.5 * high, 30)
        for width, colour in zip(widths, COLOURS[1:], strict=False):
            rates = [laws.rate(start, width, s) for s in steps]
            axes.plot(steps, rates, color=colour, linewidth=1.2, label=f"width {width}")
            for o in (o for o in found if o.width == width and o.identified):
                marker = MARKERS[sorted({x.mixture for x in found}).index(o.mixture)]
                ends = [
                    [o.rate - np.exp(o.log_rate - o.error)],
                    [np.exp(o.log_rate + o.error) - o.rate],
                ]
                axes.errorbar(o.steps, o.rate, ends, color=colour, marker=marker, markersize=5)
        axes.set(xscale="log", yscale="log", xlabel="optimiser steps")
        axes.set_title(start, loc="left")
    row[0][0].set_ylabel("best peak rate")
    row[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def markdown(table: pd.DataFrame, laws: RateLaws) -> str:
    """The laws and the regret of every cell as Markdown tables."""
    lines = ["| start | rate at width 16, 1000 steps | width exponent | steps exponent | cells |"]
    lines.append("|---|---|---|---|---|")
    for start, law in laws.laws.items():
        rate = law.estimate(16, 1000)
        cells = [f"{rate.value:.4f} [{rate.low:.4f}, {rate.high:.4f}]"]
        for axis, value in (("width", law.width), ("steps", law.steps)):
            ends = "not searched" if axis in law.fixed else f"{value.low:.2f}, {value.high:.2f}"
            cells.append(f"{value.value:+.2f} [{ends}]")
        lines.append(f"| {start} | {' | '.join(cells)} | {law.n_cells} |")
    lines += [
        "",
        "| start | mixture | width | D | best rate | law | regret |",
        "|---|---|---|---|---|---|---|",
    ]
    best = {(o.start, o.mixture, o.width, o.examples): o for o in laws.optima}
    for r in regrets(table[table["start"].isin(laws.laws)], laws):
        o = best[r.start, r.mixture, r.width, r.examples]
        known = f"{o.rate:.4f}" if o.identified else f"not determined {o.edge}".strip()
        cost = f"{r.regret:+.4f} ± {r.error:.4f}" if r.within else "outside of the search"
        size = f"{r.width} | {r.examples:.0f}"
        lines.append(f"| {r.start} | {r.mixture} | {size} | {known} | {r.rate:.4f} | {cost} |")
    return "\n".join(lines)


def main() -> None:
    """Draw the figures and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", type=Path, default=TABLE)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    asked = parser.parse_args()
    mpl.use("Agg")
    table = read_table(asked.table)
    try:
        laws = fit_rate_laws(table)
    except FitError:  # pretraining may determine no law
        table = table[table["start"] != "pretraining"]
        laws = fit_rate_laws(table)
    make_folder(asked.out)
    draw_rates(table, laws, asked.out / "search-rates.png", "training")
    if (table["start"] == "pretraining").any():
        draw_rates(table, laws, asked.out / "search-pretraining.png", "pretraining")
    draw_laws(laws.optima, laws, asked.out / "search-laws.png")
    print(markdown(table, laws))


if __name__ == "__main__":
    main()
