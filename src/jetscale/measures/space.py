"""Where jets are compared: two feature spaces, fixed before any mixture is seen.

``constituents`` are random Fourier features (Rahimi and Recht 2007) of what models see, averaged
with two weights, pT share and one over n, as in an energy flow network (arXiv 1810.05165). Both
spaces are scaled with the downstream reference: scaling each mixture by itself would hide what is
to be measured. pT and direction of the jet stay out: a simulation fixes them by construction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from scipy.spatial.distance import pdist

from jetscale.jets.arrays import Floats
from jetscale.jets.observables import jet_observables
from jetscale.jets.schema import FEATURES
from jetscale.mixtures.ragged import Ragged

SPACES = ("observables", "constituents")
WAVES = 32  # random features per weighting
REACH = 5.0  # scaled features are cut there: one far jet must not decide a distance
_SEED = 20_260
_FREQUENCY = 0.7  # standard deviation of the frequencies, per one of a constituent feature
_PAIRS_OF = 1000
_NORMAL_QUARTILES = 1.349


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Shift and factor per column, from one sample and used on all."""

    shift: Floats
    factor: Floats

    @classmethod
    def of(cls, points: Floats) -> Self:
        """Median and quartile distance; the standard deviation where most values are equal."""
        low, middle, high = np.quantile(points, [0.25, 0.5, 0.75], axis=0)
        spread = (high - low) / _NORMAL_QUARTILES
        spread = np.where(spread > 0, spread, points.std(axis=0))
        return cls(shift=middle, factor=1 / np.where(spread > 0, spread, 1.0))

    def apply(self, points: Floats) -> Floats:
        """Scaled and cut points."""
        return np.clip((points - self.shift) * self.factor, -REACH, REACH)


def observables(tables: Sequence[pa.Table]) -> list[Floats]:
    """(n, k) observables of each table: those that all can give, as a gap would tell one apart."""
    found = [jet_observables(table) for table in tables]
    shared = [name for name in found[0][0] if all(name in names for names, _ in found)]
    return [values[:, [names.index(name) for name in shared]] for names, values in found]


class ConstituentWaves:
    """Means over a jet's constituents of cosines of random combinations, fixed by one sample."""

    def __init__(self, reference: Ragged, features: Sequence[str]) -> None:
        rng = np.random.default_rng(_SEED)
        values = reference.values.astype(np.float64)
        spread = values.std(axis=0)
        self._shift, self._spread = values.mean(axis=0), np.where(spread > 0.05, spread, 0.05)
        shape = (values.shape[1], WAVES)
        self._waves = rng.normal(scale=_FREQUENCY / np.sqrt(shape[0]), size=shape)
        self._phases = rng.uniform(0, 2 * np.pi, WAVES)
        self._share = list(features).index("part_logptrel")

    def embed(self, jets: Ragged) -> Floats:
        """(n, 2 WAVES + 1) means of all waves with both weights, and the logarithm of n."""
        starts, lengths = jets.offsets[:-1], jets.lengths
        scaled = (jets.values - self._shift) / self._spread
        waves = np.cos(scaled @ self._waves + self._phases)
        # undo the standardisation of ln(pT / jet pT), but for its clipping
        rule = FEATURES["part_logptrel"]
        share = np.exp(jets.values[:, self._share] / rule.factor + (rule.mean or 0.0))
        share = share / np.repeat(np.add.reduceat(share, starts), lengths)
        by_share = np.add.reduceat(waves * share[:, None], starts)
        evenly = np.add.reduceat(waves, starts) / lengths[:, None]
        return np.column_stack([by_share, evenly, np.log(lengths)])


def median_distance(points: Floats) -> float:
    """Median distance of pairs of the first jets, the usual length scale of a Gaussian kernel."""
    return float(np.median(pdist(points[:_PAIRS_OF])))
