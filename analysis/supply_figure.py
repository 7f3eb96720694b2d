"""The figure of the supply study: differences by D, break-even by N and by P.

    python analysis/supply_figure.py [--out FOLDER] [--epochs 8]

Reads the run tables that supply.py reads, with its arms and break-evens, and writes supply.png or
supply8.png.
"""

import argparse
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from jetscale.store.local import make_folder
from jetscale.words import short

SUPPLY = runpy.run_path(str(Path(__file__).with_name("supply.py")), run_name="analysis")
break_even, same_size = SUPPLY["break_even"], SUPPLY["same_size"]
COMPOSITION_JETS, FINE = SUPPLY["COMPOSITION_JETS"], SUPPLY["FINE"]
COLOURS = {"scratch": "#555555", "qcd": "#0072b2", "qcd+bsm": "#d55e00"}  # as in quickstart.py
LIMITS = 450.0, 38_000.0  # where what lies beyond the measured D is drawn


def draw(arms: Sequence[Any], noise: Any, path: Path) -> None:
    """Differences by D, break-even by N and by P, as one PNG."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    data = arms[0].data
    full = [arm for arm in arms if arm.supply == COMPOSITION_JETS]
    several = same_size(arms)
    for i, mixture in enumerate(dict.fromkeys(arm.mixture for arm in full)):
        colour, own = COLOURS[mixture], [arm for arm in full if arm.mixture == mixture]
        found = break_even(own, noise)
        fine = np.geomspace(data[0], data[-1], FINE)
        for arm in own:
            left.plot(data, arm.change.mean(axis=0), color=colour, marker=".", lw=0, alpha=0.35)
        left.plot(data, found.mean, color=colour, marker="o", linestyle="none")
        left.plot(fine, found.curve, color=colour, label=mixture)
        _bars(middle, [(arm.params * 1.05**i, break_even([arm], noise)) for arm in own], mixture)
        some = [arm for arm in several if arm.mixture == mixture]
        _bars(right, [(arm.supply * 1.05**i, break_even([arm], noise)) for arm in some], mixture)
    left.axhline(0, color=COLOURS["scratch"], linewidth=1)
    left.set(xscale="log", xlabel="downstream jets D", ylabel="difference of log loss to scratch")
    left.set_title(f"All model sizes, P = {COMPOSITION_JETS:,}", loc="left")
    left.set_xticks(data, [short(d) for d in data])
    left.legend(frameon=False)
    middle.set(xscale="log", xlabel="parameters N", ylabel="break-even D")
    middle.set_title(f"Break-even, P = {COMPOSITION_JETS:,}", loc="left")
    right.set(xscale="log", xlabel="pretraining jets P", ylabel="break-even D")
    if several:
        right.set_title(f"Break-even, N = {several[0].params:,}", loc="left")
        supplies = sorted({arm.supply for arm in several})
        right.set_xticks(supplies, [short(s) for s in supplies])
    for axes in (middle, right):
        axes.set(yscale="log", ylim=(LIMITS[0] * 0.9, LIMITS[1] * 1.1))
        axes.axhline(data[-1], color=COLOURS["scratch"], linewidth=1, linestyle=":")
        axes.set_yticks(data, [short(d) for d in data])
    for axes in (left, middle, right):
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _bars(axes: Axes, found: Sequence[tuple[float, Any]], mixture: str) -> None:
    """Values with their intervals; a triangle is a limit, at the end of the measured D."""
    for place, one in found:
        axes.plot([place, place], np.clip(one.ends, *LIMITS), color=COLOURS[mixture])
        marker = "^" if np.isinf(one.value) else "v" if one.value <= 0 else "o"
        value = np.clip(one.value, *LIMITS)
        axes.plot(place, value, color=COLOURS[mixture], marker=marker, linestyle="none")


def main() -> None:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/supply/analysis"))
    parser.add_argument("--epochs", type=int, choices=(2, 8), default=2)
    asked = parser.parse_args()
    _, table = SUPPLY["tables_at"](asked.epochs)
    path = make_folder(asked.out) / table.name.replace("-runs.csv", ".png")
    _, arms, noise = SUPPLY["study"](asked.epochs)
    draw(arms, noise, path)
    print(f"figure: {path}")


if __name__ == "__main__":
    mpl.use("Agg")
    main()
