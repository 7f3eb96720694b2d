"""The runs as the engine sees them: logs with their means taken out, and the covariates of a law.

Everything is in centred logs: x = log N, y = log D, z = log L minus their means, which makes the
fits well conditioned and the numbers of order one. Covariates are further columns some laws need,
in logs too: the distinct examples behind repeated ones, the examples of the pretraining.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.engine.laws import Array


@dataclass(frozen=True, slots=True)
class Centred:
    """Runs in centred logs, each (n,), and the centres."""

    x: Array
    y: Array
    z: Array
    x0: float
    y0: float
    z0: float
    extra: Mapping[str, Array] = field(default_factory=dict)
    """Logs of further columns, (n,), not centred; -inf where the column is 0."""

    @classmethod
    def of(
        cls, params: Array, examples: Array, loss: Array, extra: Mapping[str, Array] | None = None
    ) -> "Centred":
        """Centre the logs of N, D and L."""
        logs = [np.log(values) for values in (params, examples, loss)]
        x0, y0, z0 = (float(values.mean()) for values in logs)
        with np.errstate(divide="ignore"):
            others = {name: np.log(values) for name, values in (extra or {}).items()}
        return cls(logs[0] - x0, logs[1] - y0, logs[2] - z0, x0, y0, z0, others)

    @classmethod
    def from_runs(cls, runs: pd.DataFrame, columns: Iterable[str] = ()) -> "Centred":
        """Rows of a clean run table, with some further columns of it."""
        params, examples, loss = (runs[c].to_numpy() for c in ("params", "examples", "loss"))
        return cls.of(params, examples, loss, {name: runs[name].to_numpy() for name in columns})

    def select(self, rows: NDArray[np.bool_]) -> "Centred":
        """Some of the runs, with the centres of all."""
        extra = {name: values[rows] for name, values in self.extra.items()}
        centres = self.x0, self.y0, self.z0
        return Centred(self.x[rows], self.y[rows], self.z[rows], *centres, extra)
