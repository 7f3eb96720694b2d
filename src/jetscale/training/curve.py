"""The curve of training losses, kept without waiting for the device at every step."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

POINTS = 32  # points of a training curve, or as many as there are steps; up to twice as many


class LossCurve:
    """Losses of all ``steps`` of a training, on the device until the end of a window."""

    def __init__(self, steps: int) -> None:
        self.window = max(1, steps // POINTS)  # steps between two points of the curve
        self.losses: list[float] = []  # losses of the steps up to the last call of `collect`
        self._pending: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Remember the loss of a step; the tensor may be overwritten afterwards."""
        self._pending.append(loss.clone())

    def collect(self) -> int | None:
        """Move losses to the host, which waits for the device; the first step that is not finite.

        Steps count from 0. None says that all losses are finite.
        """
        before = len(self.losses)
        if self._pending:
            self.losses += torch.stack(self._pending).tolist()
            self._pending.clear()
        new = enumerate(self.losses[before:], before)
        return next((step for step, loss in new if not math.isfinite(loss)), None)

    def points(self) -> list[list[float]]:
        """Points [steps done, mean loss since the point before]; the last window may be shorter.

        >>> curve = LossCurve(100)
        >>> curve.losses = [1.0, 3.0, 2.0, 4.0]
        >>> curve.points()
        [[3, 2.0], [4, 4.0]]
        """
        steps = len(self.losses)
        edges = [0, *range(self.window, steps, self.window), steps]
        return [[end, float(np.mean(self.losses[begin:end]))] for begin, end in pairwise(edges)]
