"""The sections that need no law: the map of mixtures, paired differences, and the losses."""

from collections.abc import Iterable
from typing import Any

from jetscale.measures import Value
from jetscale.measures.figure import AXES, mixture_map
from jetscale.report.figures import measured as figures
from jetscale.report.figures.drawing import alike
from jetscale.report.values import Cell, Context, Reasons, Table, table
from jetscale.scaling import PairedMixtures
from jetscale.scaling.comparison.paired import FACTOR_INTERVAL, INTERVAL
from jetscale.words import interval, number, with_interval


def mixtures(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The map of diversity and alignment, its numbers, and whether the two can be told apart."""
    assert context.measures is not None
    axes = context.measures["axes"]
    points = {
        name: {axis: Value(**value) for axis, value in point.items()}
        for name, point in axes["points"].items()
    }
    rows = [
        {"mixture": name}
        | {AXES[axis]: Cell(number(point[axis].value), interval(point[axis])) for axis in AXES}
        for name, point in points.items()
    ]
    figure = figures.mixture_map(mixture_map(points), context.styles)
    drawn = {"Diversity and alignment with 95% intervals": figure}
    correlation = axes["correlation"]
    return {
        "jets": context.measures["jets"],
        "count": len(points),
        "panels": context.panels(drawn),
        "table": table("Diversity and alignment", rows),
        "correlation": correlation and with_interval(Value(**correlation), 2),
        "verdict": axes["verdict"].rstrip("."),
    }


def differences(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Paired loss differences and effective-data factors: figures, then the numbers."""
    study = context.results.paired
    assert study is not None
    first = [pair for pair in study.pairs if pair.baseline == study.baseline]
    others = [pair for pair in study.pairs if pair.baseline != study.baseline]
    below = f"Loss minus the loss of {study.baseline}: below 0 is better"
    limits = "Effective-data factor: open triangles are limits"
    drawn = {
        below: figures.differences(study, context.styles),
        limits: figures.data_factors(study, context.styles),
    }
    return {
        "panels": context.panels(drawn if first else {}),
        "first": _differences(f"Differences from {study.baseline}", first, reasons),
        "others": _differences("Differences of other pairs", others, reasons),
        "left_out": [f"{pair}: {why}" for pair, why in study.not_paired.items()],
        "difference_interval": INTERVAL,
        "factor_interval": FACTOR_INTERVAL,
    }


def _differences(title: str, pairs: Iterable[PairedMixtures], reasons: Reasons) -> Table:
    """One row per pair and data size, the mean over all sizes first."""
    rows = []
    for pair in pairs:
        for row in (pair.overall, *pair.listed):
            found = row.data_factor
            if found and found.bound:  # known, but one-sided: the reason is the cell's own
                below = f"{interval(found)}; {found.reason}"
                factor = Cell(found.limit + number(found.value), below)
            else:
                factor = reasons.estimate(found)
            rows.append(
                {
                    "mixture": pair.mixture,
                    "against": pair.baseline,
                    "D": "all" if row.examples is None else f"{row.examples:.0f}",
                    "loss difference": reasons.estimate(row.difference),
                    **({} if row.recipe is None else {"of it rates": f"± {row.recipe:.3f}"}),
                    "lower in": f"{row.n_lower} of {row.n_pairs} pairs",
                    "sizes N": row.n_sizes,
                    "cells": row.n_cells,
                    "effective-data factor": factor,
                }
            )
    return table(title, rows, text=2)


def losses(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Test loss against D for every model size, every seed a point."""
    runs = context.results.runs
    panels = context.panels(alike(figures.losses(runs, context.styles)))
    return {"panels": panels, "seeds": runs["seed"].nunique()}
