"""How much the mean loss of a cell scatters, with seeds or without.

Seeds of a cell differ by run noise alone. Where no cell was run twice, the cells themselves tell:
what a smooth surface does not follow is noise. The surface is the law's own tangent with all cubic
terms in log N and log D, so that a law that is off is not taken for noise.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fitted import MixtureFit
from jetscale.scaling.table import seed_spread

SEEDS, CELLS = "the spread between seeds", "what cells scatter about a smooth surface"
_FEWEST = 4  # degrees of freedom of a spread worth having
_TRUSTED = 8  # from which a spread of cells may say that seeds are not all of it


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard errors (k,) of the mean log losses of cells; nan where nothing tells them."""

    errors: Array
    freedom: float  # degrees of freedom they are known with
    source: str  # what they were estimated from

    @property
    def known(self) -> bool:
        """True where there is a spread to redraw losses with."""
        return self.freedom > 0


def cell_noise(runs: pd.DataFrame, fitted: MixtureFit | None) -> Noise:
    """Return the noise of the cells of one mixture, in the order of params and examples."""
    logs, cells = runs.assign(log_loss=np.log(runs["loss"])), ["params", "examples"]
    table = logs.groupby(cells)["log_loss"].agg(["mean", "size"]).reset_index()
    count = table["size"].to_numpy(dtype=float)
    sizes = [np.log(table[name].to_numpy()) for name in cells]
    spread, rough, freedom = seed_spread(runs, cells), math.nan, 0
    surface = _surface(sizes[0], sizes[1], fitted)
    if surface is not None:
        freedom = len(table) - surface.shape[1]
        y = table["mean"].to_numpy()
        left = y - surface @ (surface.T @ y)
        rough = math.sqrt(float(left @ left) / freedom)
    # of a mean of one run, and what it is for each cell
    level = 1 / np.sqrt(count)
    seeds, typical = float(len(runs) - len(table)), math.sqrt(float((level**2).mean()))
    if math.isnan(spread):
        return Noise(np.full(len(table), rough), freedom if rough > 0 else 0.0, CELLS)
    # cells may differ by more than their seeds: each was tuned, scheduled and sampled once
    if freedom >= min(_TRUSTED, seeds) and rough > spread * typical:
        return Noise(rough * level / typical, freedom, CELLS)
    return Noise(spread * level, seeds if spread else 0.0, SEEDS)


def _surface(x: Array, y: Array, fitted: MixtureFit | None) -> Array | None:
    """Orthonormal columns (k, r) of a smooth log loss; None where too few cells are left."""
    tangent = [np.ones_like(x)]
    if fitted is not None and not fitted.law.extras:
        _, _, _, alpha, beta = fitted.theta[:5]
        loss = fitted.curve(np.exp(x), np.exp(y))
        for power, z in ((alpha, x), (beta, y)):
            term = np.exp(-power * (z - z.mean())) / loss
            tangent += [term, term * (z - z.mean())]
        tangent += [1 / loss, np.log(loss)]
    u, v = ((z - z.mean()) / max(np.ptp(z), 1e-9) for z in (x, y))
    for degree in (3, 2):
        terms = [u**i * v**j for i in range(degree + 1) for j in range(degree + 1 - i)]
        columns = np.stack([*tangent, *terms], axis=1)
        length = np.linalg.norm(columns, axis=0)
        basis, sizes, _ = np.linalg.svd(columns[:, length > 0] / length[length > 0], False)
        basis = basis[:, sizes > 1e-6 * sizes[0]]
        if len(x) - basis.shape[1] >= _FEWEST:
            return np.asarray(basis)
    return None
