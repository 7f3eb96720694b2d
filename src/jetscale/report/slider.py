"""The section of the budget slider: what each budget buys, and what was measured close by.

The answers are those of `jetscale.scaling.allocate`, computed here at ten budgets per decade; the
script of the page looks them up. Where the reader gives examples a price, it finds N* and D* from
the parameters of the law, as `jetscale.scaling.budget` does.
"""

import math
from typing import Any

import numpy as np

from jetscale.analysis import largest_decade
from jetscale.report import decisions
from jetscale.report.figures.law import best_runs, expected_losses
from jetscale.report.values import Context, Reasons
from jetscale.scaling import MixtureFit, StudyFit
from jetscale.scaling.allocation import sense
from jetscale.scaling.allocation.sense import beyond
from jetscale.scaling.bootstrap import not_identified
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.table import noun_of
from jetscale.words import interval, number, short

COLUMNS = ("N*", "D*", "expected loss", "time", "nearest run")
_PER_DECADE = 10
_BEYOND = 1.0  # decades on either side of the measured compute
_NONE = {"cells": [["–", ""], ["–", ""], ["no usable optimum", ""]], "best": None}


def slider(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The answers, and the speed and prices the reader starts from."""
    (rate, source), data = context.results.rate, answers(context.fits)
    runs, noun = context.results.runs, noun_of(context.results.runs)
    if source.startswith("measured"):
        timed = runs[runs["seconds"] > 0]
        seen = timed["examples_seen" if "examples_seen" in timed else "examples"].sum()
        source += f", {short(seen / timed['seconds'].sum())} {noun}s a second"
    priced = (
        f"A price of {noun}s moves N* and D*, as in `jetscale allocate --money`: the money of the "
        f"budget then pays for training and {noun}s."
    )
    return {
        "data": data,
        "columns": COLUMNS,
        "prices": (
            ("rate", "training FLOP/s", number(rate)),
            ("hour", "price of an hour", "2"),
            ("example", f"price of a distinct {noun}", "0"),
        ),
        "rate_source": source,
        "priced": priced if any(data["laws"]) else f"This law has no formula for priced {noun}s.",
    }


def answers(fits: StudyFit) -> dict[str, Any]:
    """The answers by budget and mixture, with the laws, cost and cells that a price needs."""
    low, high = (math.log10(end) for end in fits.flops)
    first = math.floor((low - _BEYOND) * _PER_DECADE)
    last = math.ceil((high + _BEYOND) * _PER_DECADE)
    flops = 10.0 ** (np.arange(first, last + 1) / _PER_DECADE)
    columns = [_column(fits, fitted, flops) for fitted in fits.mixtures.values()]
    cells = fits.runs.groupby(["mixture", "params", "examples"], sort=False)["loss"].mean()
    return {
        # the budget of the third answer
        "start": round(math.log10(largest_decade(fits)[0]) * _PER_DECADE) - first,
        "budgets": [f"{number(float(c), 2)} FLOPs" for c in flops],
        "flops": flops.tolist(),
        "notes": [decisions.extrapolation(float(c), 10**low, 10**high) for c in flops],
        "mixtures": list(fits.mixtures),
        "laws": [_plain(fits, fitted) for fitted in fits.mixtures.values()],
        "cost": {"k": fits.cost.k, "p": fits.cost.p},
        "cells": [cells[n].reset_index().to_numpy().tolist() for n in fits.mixtures],
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }


def _plain(fits: StudyFit, fitted: MixtureFit) -> list[float] | None:
    """E, A, B, alpha and beta, or None of a law that has more to it."""
    held = fitted.law.held(fits.runs[fits.runs["mixture"] == fitted.mixture])
    found = fitted.law.plain(fitted.theta, **held)
    return None if found is None else found.tolist()


def _column(fits: StudyFit, fitted: MixtureFit, flops: Array) -> list[dict[str, Any]]:
    """The answers of one mixture at all budgets, as `jetscale.scaling.allocate` gives them."""
    is_open = bool(not_identified(fitted.parameters, fitted.law))
    best = best_runs(fits, fitted, fitted.theta, flops)
    draws = best_runs(fits, fitted, fitted.replicates.theta[:, None], flops)
    losses = expected_losses(fits, fitted, best)
    rows: list[dict[str, Any]] = []
    for i, budget in enumerate(flops):
        sizes = {"params": float(best.params[i]), "examples": float(best.examples[i])}
        if sense.no_optimum(sizes, fitted.window) or min(sizes.values()) < 1:
            rows.append(_NONE | {"open": is_open})  # nothing whole to train
            continue
        away, cells = beyond(float(budget), fitted.window["flops"]), []
        for name, drawn in (("params", draws.params), ("examples", draws.examples)):
            found = Estimate.of(sizes[name], drawn[:, i], fitted.n_cells)
            found = sense.bounded(found, fitted.window[name], away)
            ends = ", ".join(
                short(end) if math.isfinite(end) else "–" for end in (found.low, found.high)
            )
            cells.append([short(found.value), f"[{ends}]"])
        loss = sense.bounded_loss(Estimate.of(losses[i, 0], losses[i, 1:], fitted.n_cells))
        cells.append([number(loss.value, 4), interval(loss, 4)])
        rows.append({"open": is_open, "cells": cells, "best": list(sizes.values())})
    return rows
