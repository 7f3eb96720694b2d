"""Label permutation: do the losses look the same when the mixtures swap names.

If two mixtures follow one law, floor included, then swapping the losses of whole cells changes only
the draw. The test is exact where cells are independent and their sides exchangeable, with no law
assumed; where runs share trunks, all that a trunk links is swapped, exact if what the seeds of a
cell share, both mixtures share. Mixtures of different height or floor fail it too.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.comparison.joint import Pair, sequential
from jetscale.scaling.engine.laws import PARAMETERS, Array

METHOD = (
    "labels of the mixtures swapped, clusters as a whole; exact if both follow one law, floor "
    "included; Holm-corrected over pairs"
)
_ROUNDING = 1e-4  # relative differences of the objective below this are ties


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTest:
    """Outcome of the permutation test of one law for both mixtures."""

    n_clusters: int  # clusters swapped; n of them give at most 2^(n - 1) different values
    n_runs: int  # runs of either mixture that take part: as many seeds per cell as both have
    p_value_uncorrected: float
    p_value: float  # Holm-corrected over the pairs of the study
    method: str = METHOD


def label_test(pair: Pair, replicates: int, seed: int) -> LabelTest:
    """Test one law for both mixtures; the p-value is not corrected for several pairs."""
    some, clusters = _matched(pair)
    half = len(some.runs) // 2
    swapped = np.roll(some.logs.z, half)
    null = some.sharing(PARAMETERS)
    pooled = null.fit(np.ones((1, 2 * half)), some.objective).q[:, null.slots[0]]
    rng = np.random.default_rng(seed)
    count = int(clusters.max()) + 1
    swaps = np.zeros((1 + replicates, count), dtype=bool)  # the first row is as observed
    swaps[1:] = rng.random((replicates, count)) < 0.5
    targets = np.where(swaps[:, clusters], swapped, some.logs.z)

    def left(rows: slice) -> Array:
        start = np.repeat(pooled, len(targets[rows]), axis=0)
        return some.separate(targets[rows], (start, start))

    limit = float(left(slice(0, 1))[0]) * (1 + _ROUNDING)

    def draw(rows: slice) -> Array:
        return np.asarray(-left(slice(rows.start + 1, rows.stop + 1)))

    p_value = sequential(draw, -limit, replicates)
    return LabelTest(n_clusters=count, n_runs=half, p_value_uncorrected=p_value, p_value=p_value)


def _matched(pair: Pair) -> tuple[Pair, NDArray[np.intp]]:
    """Runs with a partner, the k-th seed of the other mixture's cell, in order; clusters (n,)."""
    runs = pair.runs.assign(second=pair.second).sort_values(["second", "cell", "seed"])
    runs["rank"] = runs.groupby(["second", "cell"]).cumcount()
    runs = runs[runs.groupby(["cell", "rank"])["second"].transform("size") == 2]
    first, second = (runs[runs["second"] == side] for side in (False, True))
    some = Pair(first, second, pair.law, pair.objective, pair.by_trunk)
    partners = some.runs.groupby(["cell", "rank"]).ngroup()
    units = link_by_trunk(some.runs.assign(cell=partners)) if pair.by_trunk else some.runs["cell"]
    return some, np.unique(units, return_inverse=True)[1]


def link_by_trunk(runs: pd.DataFrame) -> NDArray[np.intp]:
    """Cluster of each run (n,): linked by a trunk (else model size and seed) or by a cell."""
    trunk = runs["trunk"] if "trunk" in runs else runs["seed"]
    first = runs.groupby([runs["params"], trunk], sort=False).ngroup().to_numpy()
    second = runs["cell"].to_numpy()
    cluster = np.arange(len(runs))
    while True:
        joined = cluster
        for labels in (first, second):
            joined = pd.Series(joined).groupby(labels).transform("min").to_numpy()
        if (joined == cluster).all():
            return np.unique(cluster, return_inverse=True)[1]
        cluster = joined
