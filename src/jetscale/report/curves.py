"""The section of the training curves: do those of all model sizes lie on one another?"""

import math
from collections.abc import Sequence
from typing import Any

from jetscale.report.decisions import Finding
from jetscale.report.figures import tuning as figures
from jetscale.report.figures.drawing import alike
from jetscale.report.values import Context, Reasons, table
from jetscale.scaling.tuning import Rung, collapse
from jetscale.words import number, short

_SHOWN = 3  # data sizes that get figures, beside ladders in which a rung breaks


def collapsed(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The verdict, the curves at some data sizes, and the worst rungs."""
    assert context.curves is not None
    found, order = collapse(context.curves), list(context.styles)
    sizes = sorted({curve.examples for curve in context.curves})
    # the smallest, the largest, and one between
    shown = {sizes[round(i * (len(sizes) - 1) / (_SHOWN - 1))] for i in range(_SHOWN) if sizes}
    rows = []
    for examples in sizes:
        drawn = {}
        for name, style in context.styles.items():
            place = (name, examples)
            ladder = [c for c in context.curves if (c.mixture, c.examples) == place]
            rungs = [rung for rung in found.rungs if (rung.mixture, rung.examples) == place]
            out = {rung.params for rung in rungs if rung.breaks}
            if out or (ladder and examples in shown):
                drawn[f"{name}: D = {examples:,.0f}"] = figures.curves(ladder, out, style)
        rows.append(context.panels(alike(drawn)))
    ladders: dict[tuple[str, float], list[Rung]] = {}
    for rung in sorted(found.rungs, key=lambda rung: (order.index(rung.mixture), rung.examples)):
        ladders.setdefault((rung.mixture, rung.examples), []).append(rung)
    told = [r for ladder in ladders.values() for r in ladder if r.breaks or r is _worst(ladder)]
    return {
        "verdict": Finding("collapse", str(found), any(rung.breaks for rung in found.rungs)),
        "rows": rows,
        "rungs": table("The worst rung of every ladder", map(_row, told), text=2),
        "threshold": number(found.threshold, 2),
    }


def _worst(ladder: Sequence[Rung]) -> Rung:
    """The size that lies furthest from the curve of the others, for its noise."""
    return min(ladder, key=lambda rung: math.inf if math.isnan(rung.p_value) else rung.p_value)


def _row(rung: Rung) -> dict[str, object]:
    """What one size did at one D."""
    verdict = "leaves the common curve" if rung.breaks else "lies on the common curve"
    return {
        "mixture": rung.mixture,
        "verdict": Finding("rung", rung.reason or verdict, rung.breaks),
        "D": f"{rung.examples:.0f}",
        "N": short(rung.params),
        "seeds": rung.n_seeds,
        "deviation": number(rung.deviation, 2),
        "p": number(rung.p_value, 2),
    }
