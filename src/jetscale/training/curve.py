"""The curve of training losses, kept without waiting for the device at every step."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

POINTS = 32  # points of a training curve, or as many as there are steps; up to twice as many


class LossCurve:
    """Losses of all ``steps`` of the runs of a stack, on the device until the end of a window."""

    def __init__(self, steps: int, runs: int = 1) -> None:
        self.window = max(1, steps // POINTS)  # steps between two points of the curve
        self.losses: list[list[float]] = [[] for _ in range(runs)]
        """Losses of each run up to the last call of `collect`."""
        self._pending: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Remember the loss of a step, one for each run; the tensor may be overwritten afterwards.

        One of a single run may be a number.
        """
        self._pending.append(loss.clone())

    def collect(self) -> dict[int, int]:
        """Move losses to the host, which waits for the device; what is not finite.

        That is the first step, counted from 0, of each run that has a loss of that kind.
        """
        before, bad = len(self.losses[0]), {}
        if self._pending:
            new = torch.stack(self._pending).view(len(self._pending), -1).T.tolist()
            self._pending.clear()
            for run, (known, losses) in enumerate(zip(self.losses, new, strict=True)):
                known += losses
                found = (i for i, loss in enumerate(losses, before) if not math.isfinite(loss))
                if (first := next(found, None)) is not None:
                    bad[run] = first
        return bad

    def keep(self, runs: Sequence[int]) -> None:
        """Forget the other runs; call `collect` before."""
        self.losses = [self.losses[run] for run in runs]

    def points(self, run: int = 0) -> list[list[float]]:
        """Points [steps done, mean loss since the point before]; the last window may be shorter.

        >>> curve = LossCurve(100)
        >>> curve.losses = [[1.0, 3.0, 2.0, 4.0]]
        >>> curve.points()
        [[3, 2.0], [4, 4.0]]
        """
        losses = self.losses[run]
        edges = [0, *range(self.window, len(losses), self.window), len(losses)]
        return [[end, float(np.mean(losses[begin:end]))] for begin, end in pairwise(edges)]
