"""Intervals from variance components: how much runs, cells and trunks scatter about the law.

The log loss of a run is the law plus effects of its cell (no law is exact), of its pretrained trunk
where several cells share it, and its own. The variance of each kind is estimated from the
residuals: the squares left when the law and all coarser kinds are taken out are equated with their
expectation (Henderson's third method, doi 10.2307/3001853). A replicate adds redrawn effects to the
law and refits it: the residual mean of a random unit of the kind, with a random sign, scaled to the
estimated variance (Carpenter et al., doi 10.1111/1467-9876.00415).

Effects of a kind are taken to be equally large everywhere. Draws are linear in the residuals: what
those of two mixtures have in common, their replicates have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.linalg import qr
from scipy.optimize import nnls
from scipy.special import ndtr

from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.engine.solver import Solution
from jetscale.scaling.estimate import CONFIDENCE, widening

BETWEEN_SIZES = 3  # E, A and alpha: what differences between model sizes determine
_DEPENDENT = 1e-9
_WIDTHS = 40
_SIMULATED = 400  # data sets simulated to learn how well the variances are known


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of effect: which runs share a unit."""

    labels: NDArray[np.intp]  # (n,) unit of each run, numbered from 0
    sizes: Array  # runs of each unit

    def indicators(self) -> Array:
        """(n, units) 1 where a run belongs to a unit."""
        return np.asarray(self.labels[:, None] == np.arange(len(self.sizes)), dtype=float)

    def sums(self, values: Array) -> Array:
        """Sums (R, units) over the runs of each unit of values (R, n)."""
        order = np.argsort(self.labels, kind="stable")
        first = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)
        return np.asarray(np.add.reduceat(values[:, order], first, axis=1))


def share_trunks(runs: pd.DataFrame) -> bool:
    """True where several cells of a mixture start from one pretrained trunk."""
    if "trunk" not in runs:
        return False
    return bool((runs.groupby(["mixture", "trunk"], sort=False)["cell"].nunique() > 1).any())


def too_few(runs: pd.DataFrame) -> str:
    """Why the trunks of a mixture cannot be told from its law, or an empty string."""
    count = len(np.unique(_codes([runs["params"], _trunk(runs)])))
    if count > BETWEEN_SIZES:
        return ""
    return f"{count} trunks cannot be told from the law: intervals leave out how trunks differ"


def kinds(runs: pd.DataFrame, by_trunk: bool) -> list[Kind]:
    """Effects of the runs, cells and, if asked for, trunks of a mixture.

    Units are numbered in the order of cell and seed, so that they match between mixtures.
    """
    order = np.lexsort((runs["seed"], runs["cell"]))
    keys: list[list[ArrayLike]] = [[np.arange(len(runs))], [runs["cell"]]]
    if by_trunk and not too_few(runs):
        keys.append([runs["params"], _trunk(runs)])
    found: list[Kind] = []
    for key in keys:
        labels = np.empty(len(runs), dtype=np.intp)
        labels[order] = pd.factorize(_codes(key)[order])[0]
        # two partitions that split the runs alike cannot be told apart
        count = labels.max() + 1
        both = [len(np.unique(_codes([labels, kind.labels]))) for kind in found]
        if not any(len(k.sizes) == count == n for k, n in zip(found, both, strict=True)):
            found.append(Kind(labels, np.bincount(labels).astype(float)))
    return found


def _codes(columns: Sequence[ArrayLike]) -> NDArray[np.intp]:
    codes = np.zeros(len(np.asarray(columns[0])), dtype=np.intp)
    for column in columns:
        values = pd.factorize(np.asarray(column))[0]
        codes = codes * (values.max() + 1) + values
    return codes


def _trunk(runs: pd.DataFrame) -> pd.Series:
    """The trunk of each run; without such a column, runs of one size and seed share one."""
    return runs["trunk"] if "trunk" in runs else runs["seed"]


class Effects:
    """Effects of several kinds around a fitted law, to first order in the effects."""

    def __init__(self, J: Array, parts: list[Kind]) -> None:
        """Take the derivatives J (n, K) of the law and the kinds, runs first, the coarsest last."""
        # columns of one size: the law's unknowns differ by orders of magnitude
        scale = np.linalg.norm(J, axis=0)
        J = J[:, scale > 0] / scale[scale > 0]
        self.kinds, self.spans = _nested(J, parts)
        # an unknown moves by pull @ effects: effects of one unit act through its summed pull
        pull = np.asarray(np.linalg.pinv(J), dtype=float)
        influence = [(kind.sums(pull) ** 2).sum(axis=1) for kind in self.kinds]
        self.influence = np.stack(influence, axis=1)
        """(K, kinds) variance of each free unknown per unit variance of a kind."""
        # E ||(1 - P) Z u||^2 = trace(Z'(1 - P) Z) per unit variance, P onto the row's span
        left = [
            [kind.sizes.sum() - (kind.sums(span.T) ** 2).sum() for kind in self.kinds]
            for span in self.spans
        ]
        self.expected = np.array(left)
        """(kinds, kinds) sum of squares outside the row's span per unit variance of the column."""

    def variances(self, residuals: Array) -> Array:
        """Variances (R, kinds), not negative, of residuals (R, n) of fits."""
        # squares left outside each span, equated with their expectation
        total = (residuals**2).sum(axis=1)
        taken = [((residuals @ span) ** 2).sum(axis=1) for span in self.spans]
        squares = np.stack([total - part for part in taken], axis=1)
        found = np.linalg.solve(self.expected, squares.T).T
        scale = np.diag(self.expected)
        # a negative variance is noise: such rows are solved again with all of them >= 0
        for row in np.flatnonzero((found < 0).any(axis=1)):
            found[row] = nnls(self.expected / scale[:, None], squares[row] / scale)[0]
        return np.asarray(found)

    def half_width(self, variances: Array) -> float:
        """Standard errors either side that hold 95%, for the unknown that needs most of them.

        The variances are estimates: in data simulated with them, an error is compared with the
        standard error found there. One kind of independent effects gives Student's quantile.
        """
        largest = float(stats.t.ppf((1 + CONFIDENCE) / 2, 1))
        if not variances.any():
            return largest
        # simulate residuals with these variances, and what the fit then takes out of them
        rng = np.random.default_rng(0)
        drawn = np.zeros((_SIMULATED, len(self.spans[-1])))
        for kind, variance in zip(self.kinds, variances, strict=True):
            effects = np.sqrt(variance) * rng.normal(size=(_SIMULATED, len(kind.sizes)))
            drawn += effects[:, kind.labels]
        drawn -= (drawn @ self.spans[-1]) @ self.spans[-1].T
        # estimated over true standard error of each unknown, in every simulated data set
        found = np.sqrt(self.variances(drawn) @ self.influence.T)
        ratios = (found / np.sqrt(self.influence @ variances)).T
        # a normal error lies within w estimated standard errors with probability 2 Phi(w ratio) - 1
        widths = np.geomspace(1, largest, _WIDTHS)
        held = 2 * ndtr(widths[:, None, None] * ratios).mean(axis=2) - 1
        return float(max(np.interp(CONFIDENCE, row, widths) for row in held.T))

    def redrawn(self, residuals: Array, variances: Array, replicates: int, seed: int) -> Array:
        """Sums (R, n) of redrawn effects, made from residuals (n,)."""
        total = np.zeros((replicates, len(residuals)))
        for number, (kind, variance) in enumerate(zip(self.kinds, variances, strict=True)):
            # means of random units, scaled to the estimated variance, with random signs
            means = kind.sums(residuals[None])[0] / kind.sizes
            size = np.sqrt((means**2).mean())
            effects = means * (np.sqrt(variance) / size if size > 0 else 0.0)
            rng = np.random.default_rng([seed, number])
            drawn = effects[rng.integers(len(means), size=(replicates, len(means)))]
            drawn *= rng.choice([-1.0, 1.0], size=drawn.shape)
            total += drawn[:, kind.labels]
        return total


def _nested(J: Array, parts: list[Kind]) -> tuple[list[Kind], list[Array]]:
    """Kinds that can be told apart; for each a basis of the law (J) and all coarser kinds."""
    # from the coarsest kind to the finest; one that adds no direction, or leaves none for the
    # runs, cannot be told from the law or from coarser kinds
    kept: list[Kind] = []
    taken, spans = J, [_orthonormal(J)]
    for kind in reversed(parts[1:]):
        wider = np.column_stack([taken, kind.indicators()])
        span = _orthonormal(wider)
        if spans[-1].shape[1] < span.shape[1] < len(J):
            taken = wider
            kept.append(kind)
            spans.append(span)
    return [parts[0], *reversed(kept)], spans[::-1]


def _orthonormal(columns: Array) -> Array:
    """Basis of the span of columns (n, k); an SVD of dependent columns need not converge."""
    basis, triangle, _ = qr(columns, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    return np.asarray(basis[:, : len(sizes)][:, sizes > _DEPENDENT * sizes[0]])


def deviations(
    family: Family, q: Array, runs: pd.DataFrame, by_trunk: bool, replicates: int, seed: int
) -> tuple[Array, Array]:
    """Redrawn deviations (R, n) from the laws with optimum q (1, K), and half widths (n,).

    Every mixture has variances of its own: one from scratch has no trunks to scatter.
    """
    design, residuals = family.design, family.runs.z - family.design.log_loss(q)[0]
    J = design.jacobian(q)[0][(q[0] > design.lower) & (q[0] < design.upper)].T
    drawn, widths = np.empty((replicates, len(residuals))), np.empty(len(residuals))
    for mixture in range(family.count):
        rows = family.group == mixture
        effects = Effects(J[rows], kinds(runs[rows], by_trunk))
        variances = effects.variances(residuals[rows][None])[0]
        drawn[:, rows] = effects.redrawn(residuals[rows], variances, replicates, seed)
        widths[rows] = widening(effects.half_width(variances), runs["cell"][rows].nunique())
    return drawn, widths


def draw(
    family: Family,
    q: Array,
    runs: pd.DataFrame,
    by_trunk: bool,
    objective: Objective,
    replicates: int,
    seed: int,
) -> Solution:
    """Refits (replicates, K) of the laws with optimum q (1, K) to redrawn losses."""
    drawn, widths = deviations(family, q, runs, by_trunk, replicates, seed)
    targets = family.design.log_loss(q)[0] + widths * drawn
    return family.fit(np.ones_like(targets), objective, targets)
