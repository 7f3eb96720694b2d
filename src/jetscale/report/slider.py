"""A budget slider: N*, D*, loss and cost of every mixture as the reader drags.

The answers are computed here, at ten budgets per decade, and travel in the page as JSON; the script
of the page only looks them up. Prices are the reader's own and change the shown cost, not the
optimum; `jetscale allocate --money` finds the optimum when jets have a price.
"""

import math
from typing import Any

import numpy as np

from jetscale.report.decisions import extrapolation
from jetscale.report.values import Context, Reasons
from jetscale.scaling import CostModel, MixtureFit, StudyFit
from jetscale.scaling.bootstrap import not_identified
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import percentile_interval
from jetscale.words import number, short

_PER_DECADE = 10
_BEYOND = 1.0  # decades on either side of the measured compute
_NO_OPTIMUM = [["–", ""], ["–", ""], ["no usable optimum", ""]]


def slider(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The answers, and the prices the reader starts from."""
    fits = context.results.fits
    assert fits is not None
    rate, source = context.results.rate
    prices = (
        ("rate", "training FLOP/s", number(rate)),
        ("hour", "price of a GPU-hour", "2"),
        ("jet", "price of a distinct jet", "0"),
    )
    return {"data": answers(fits), "prices": prices, "rate_source": source}


def answers(fits: StudyFit) -> dict[str, Any]:
    """Every answer as text, by budget and mixture.

    Returns:
        dict: ``budgets`` (as text), ``flops``, ``notes`` and ``rows``: per budget and mixture the
            texts of N*, D* and loss, and the numbers of D* (null without a usable optimum).
    """
    low, high = (math.log10(end) for end in fits.flops)
    first = math.floor((low - _BEYOND) * _PER_DECADE)
    last = math.ceil((high + _BEYOND) * _PER_DECADE)
    flops = 10.0 ** (np.arange(first, last + 1) / _PER_DECADE)
    columns = [_column(fitted, flops, fits.cost) for fitted in fits.mixtures.values()]
    return {
        "start": round((last - first) * 0.5),
        "budgets": [f"{number(float(c), 2)} FLOPs" for c in flops],
        "flops": [float(c) for c in flops],
        "notes": [extrapolation(float(c), 10**low, 10**high) for c in flops],
        "mixtures": list(fits.mixtures),
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }


def _column(fitted: MixtureFit, flops: Array, cost: CostModel) -> list[dict[str, Any]]:
    """The answers of one mixture at all budgets, as `jetscale.scaling.allocate` gives them."""
    is_open = bool(not_identified(fitted.parameters))
    best = laws.optimum(fitted.theta, flops, cost)
    draws = laws.optimum(fitted.replicates.theta[:, None], flops, cost)
    rows: list[dict[str, Any]] = []
    for i in range(len(flops)):
        params, examples, loss = (float(values[i]) for values in best)
        n, d, low_high = (percentile_interval(values[:, i], fitted.n_cells) for values in draws)
        # Without a whole parameter and a whole jet there is nothing to train.
        usable = params >= 1 and examples >= 1 and math.isfinite(examples)
        cells = [
            [short(params), _ends(*n)],
            [short(examples), _ends(*d)],
            [number(loss, 4), f"[{number(low_high[0], 4)}, {number(low_high[1], 4)}]"],
        ]
        rows.append(
            {
                "open": is_open,
                "cells": cells if usable else _NO_OPTIMUM,
                "examples": examples if usable else None,
            }
        )
    return rows


def _ends(*ends: float) -> str:
    """An interval of a size; ends that no study could have are limits."""
    texts = ["<1" if x < 1 else short(x) if x <= 1e18 else ">1e18" for x in ends]
    return f"[{', '.join(texts)}]"
