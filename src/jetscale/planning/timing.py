"""How long a run takes: measured constants, replaced by what finished runs took on a device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from jetscale.planning.run import Run

_PRIOR = 0.1  # weight of each constant below against one finished run


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a finished run took on one worker."""

    steps: int
    layers: int
    flops: float
    seconds: float
    """Wall seconds of batches, steps and evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """A device in seconds; those of one CPU core are measured, good to 30%.

    A step of a tiny model is bound by the number of operations, not by their size, hence a cost
    per step and layer beside the cost per FLOP.
    """

    step: float = 1.1e-3
    """Of each optimiser step."""
    layer: float = 0.9e-3
    """Of each step and layer."""
    flop: float = 1 / 12e9
    """Of each FLOP."""
    run: float = 0.4
    """Of each run, its evaluation included."""

    def seconds(self, run: Run) -> float:
        """Expected seconds of a run on one worker, evaluation included."""
        by_step = run.steps * (self.step + self.layer * run.size.layers)
        return by_step + run.flops * self.flop + self.run


CORE = Speed()
"""One CPU core."""


def learn_speed(took: Sequence[Took]) -> Speed:
    """The speed of a device from runs that finished on it, one CPU core where there are none.

    Least squares of relative errors, no constant below zero. Each constant is drawn to that of a
    CPU core with the weight of a fraction of a run, which decides only what the runs leave open.

    >>> learn_speed([Took(steps=s, layers=2, flops=1e9 * s, seconds=2e-3 * s + 1)
    ...              for s in (50, 100, 400, 800)]).run < 1.1
    True
    """
    if not took:
        return CORE
    constants = np.array([CORE.step, CORE.layer, CORE.flop, CORE.run])
    work = np.array([[t.steps, t.steps * t.layers, t.flops, 1.0] for t in took])
    seconds = np.array([max(t.seconds, 1e-3) for t in took])
    rows = np.vstack([work * constants / seconds[:, None], _PRIOR * np.eye(4)])
    wanted = np.concatenate([np.ones(len(took)), np.full(4, _PRIOR)])
    factors, _ = nnls(rows, wanted)
    step, layer, flop, run = (float(value) for value in factors * constants)
    return Speed(step=step, layer=layer, flop=flop, run=run)
