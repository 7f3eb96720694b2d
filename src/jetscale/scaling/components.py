"""What residuals are made of: noise of runs, effects of cells and trunks, and a smooth misfit.

    log loss = law + delta(log N, log D) + trunk (level and slope along log D) + cell + run

delta is the process of `misfit`; variances of cell and run are exp of a linear function of log N
and log D. The law is linear around its optimum and its unknowns have a flat prior, so that the
likelihood of the amplitudes is REML (Patterson & Thompson, doi 10.1093/biomet/58.3.545). They are
averaged over a grid, not maximised: a misfit too small to be seen still counts.

A draw gives every kind of effect the estimated size and takes its values, at random and with random
signs, from the effects found in the residuals (Carpenter et al., doi 10.1111/1467-9876.00415): what
the residuals of two mixtures have in common, their draws have in common.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import qr

from jetscale.scaling.engine.laws import Array
from jetscale.scaling.kinds import Kind, part_of
from jetscale.scaling.misfit import Basis
from jetscale.scaling.noise import variance_slopes

_CELLS = np.concatenate([[0.0], np.geomspace(0.1, 1e3, 9)])  # variance of cells over that of runs
_TRUNKS = np.array([0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])  # over that of a run with its cell
_SMOOTH = np.concatenate([[0.0], np.geomspace(0.1, 3e3, 13)])  # over that of a run with its cell
_NO_MISFIT = 0.15  # probability given to no misfit at all
_FLOOR = 0.03  # variance by which effects are told apart where none is seen
_SEEN = 0.5  # share of the misfit found that parameters are taken to be moved by: see `seen`
_UNLIKELY = 1e-4
_DEPENDENT = 1e-9
_EXACT = 1e-24  # squared log residuals below this are rounding
_SIMULATED = 999
_OUTLIER, _MAD = 3.5, 1.4826  # spreads from which a run is an outlier; spread over deviation
_CLEAR, _BENDS = 0.01, 3
_CLEANINGS = 3  # outliers hide behind larger ones


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Effects of R simulated data sets."""

    smooth: Array  # (R, K) coefficients of the misfit
    rest: Array  # (R, n) sum of all other effects of each run
    point: NDArray[np.intp]  # (R,) grid point
    variance: Array  # (R,) of a run at the middle of the window, without that of its cell


@dataclass(frozen=True, slots=True, eq=False)
class _Metric:
    """What the law leaves in the metric of runs and cells, for one variance of cells.

    P weights by the inverse covariance and takes out the law; Z are the columns, r the residuals.
    """

    projected: Array  # (n, q) P Z
    gram: Array  # (q, q) Z'P Z
    logs: float  # log determinants of the covariance and of the law's information
    total: float  # r'P r


class Components:
    """Posterior of the amplitudes behind residuals (n,) about a law with derivatives J (n, P)."""

    def __init__(
        self,
        J: Array,
        residuals: Array,
        sizes: tuple[Array, Array],
        cells: Kind,
        trunks: Kind | None = None,
        bends: int = 0,
        p_value: float | None = None,
    ) -> None:
        """Take N and D (n,) of the runs, their cells and, where those count, their trunks.

        The first ``bends`` columns of the misfit are no noise when noise is measured. The
        test of misfit is made anew where its ``p_value`` is not given.
        """
        self.basis, self.cells, self.trunks = Basis.over(*sizes), cells, trunks
        self.smooth = self.basis.at(*sizes)
        place = self.basis.place(*sizes)
        bent = np.column_stack([J, self.smooth[:, :bends]])
        self.slopes = variance_slopes(bent, residuals, place)
        self.root = np.exp(0.5 * place @ self.slopes)  # (n,) relative noise of each run
        self.residuals = residuals / self.root
        self.law = _orthonormal(J / self.root[:, None])
        made = [self.smooth]
        if trunks is not None:
            member = trunks.labels[:, None] == np.arange(len(trunks.sizes))
            made += [member, member * place[:, 1:]]
        # columns of the misfit, then of the levels and the slopes of trunks
        self.columns = np.column_stack(made) / self.root[:, None]
        self.freedom = max(1, len(residuals) - self.law.shape[1])
        self.grid = self._variances()
        self.likelihood, self.squares = self._likelihood(J, residuals, sizes)
        some = self.grid[:, 3] > 0
        prior = np.where(some, (1 - _NO_MISFIT) / len(np.unique(self.grid[some, 3])), _NO_MISFIT)
        weight = np.exp(self.likelihood - self.likelihood.max()) * prior
        self.probability = weight / weight.sum()  # of each grid point
        self.p_value = self._test() if p_value is None else p_value

    def _variances(self) -> Array:
        """Grid (G, 4) of variances of cells, levels, slopes and misfit, that of a run being 1."""
        step = 1 if self.trunks is None else 2  # fewer values where there are more kinds
        cells = _CELLS[::step] if (self.cells.sizes > 1).any() else np.zeros(1)
        trunks = np.zeros(1) if self.trunks is None else _TRUNKS
        grid = np.stack(np.meshgrid(cells, trunks, trunks, _SMOOTH[::step], indexing="ij"), axis=-1)
        grid = grid.reshape(-1, 4)
        grid[:, 1:3] *= 1 + grid[:, :1]
        grid[:, 3] *= 1 + grid[:, 0]
        return grid

    def _scales(self, points: int | NDArray[np.intp], floor: float = 0.0) -> Array:
        """Standard deviations (..., q) of the coefficients of all columns at grid points (...)."""
        root = np.sqrt(np.maximum(self.grid[points], floor))
        count = 0 if self.trunks is None else len(self.trunks.sizes)
        return np.repeat(root[..., [3, 1, 2]], [self.smooth.shape[1], count, count], axis=-1)

    @cached_property
    def _metrics(self) -> dict[float, _Metric]:
        """The metrics by variance of cells."""
        found = {}
        for cell in np.unique(self.grid[:, 0]).tolist():
            inner = cell / (1 + cell * self.cells.sizes)

            def weigh(values: Array, inner: Array = inner) -> Array:
                return np.asarray(values - (inner * self.cells.sums(values.T)).T[self.cells.labels])

            law = weigh(self.law)
            gram = self.law.T @ law
            projected, left = (
                weigh(values) - law @ np.linalg.solve(gram, law.T @ values)
                for values in (self.columns, self.residuals)
            )
            found[cell] = _Metric(
                projected=projected,
                gram=self.columns.T @ projected,
                logs=float(np.log1p(cell * self.cells.sizes).sum() + np.linalg.slogdet(gram)[1]),
                total=float(self.residuals @ left),
            )
        return found

    def _metric(self, point: int) -> _Metric:
        return self._metrics[float(self.grid[point, 0])]

    def _likelihood(
        self, J: Array, residuals: Array, sizes: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """Log REML (G,), a run's variance at its best, and weighted squares (G,)."""
        trunks, cells = self.trunks, self.cells
        if trunks is not None and not (own := part_of(trunks)).all():
            units, groups = (
                Kind.of(np.unique(kind.labels[own], return_inverse=True)[1])
                for kind in (cells, trunks)
            )
            some = sizes[0][own], sizes[1][own]
            few = Components(J[own], residuals[own], some, units, groups, p_value=1.0)
            return few.likelihood, few.squares * self.freedom / few.freedom
        found, squares = np.empty(len(self.grid)), np.empty(len(self.grid))
        for cell, metric in self._metrics.items():
            at = np.flatnonzero(self.grid[:, 0] == cell)
            pull = self.residuals @ metric.projected
            determinant, taken = _shrunk(metric.gram, self._scales(at), pull[None])
            squares[at] = np.maximum(metric.total - taken[:, 0], _EXACT)
            found[at] = metric.logs + determinant + self.freedom * np.log(squares[at])
        return -0.5 * found, squares

    def coefficients(self, points: NDArray[np.intp], residuals: Array) -> Array:
        """Posterior means (R, q) for residuals (R, n), over noise, each at its grid point (R,)."""
        found = np.empty((len(points), self.columns.shape[1]))
        for point in np.unique(points):
            rows = points == point
            metric, scale = self._metric(int(point)), self._scales(int(point))
            inner = np.eye(len(scale)) + scale[:, None] * metric.gram * scale
            pulls = (residuals[rows] @ metric.projected) * scale
            found[rows] = np.linalg.solve(inner, pulls.T).T * scale
        return found

    @cached_property
    def pools(self) -> list[Array]:
        """Effects of mean square 1 found in the residuals: of runs, cells and columns by kind."""
        best = int(self.probability.argmax())
        metric, scale = self._metric(best), self._scales(best, _FLOOR)
        inner = np.eye(len(scale)) + scale[:, None] * metric.gram * scale
        effects = np.linalg.solve(inner, (self.residuals @ metric.projected) * scale)
        left = self.residuals - self.columns @ (scale * effects)
        left -= self.law @ (self.law.T @ left)
        means = self.cells.sums(left) / self.cells.sizes
        several = (self.cells.sizes > 1)[self.cells.labels]
        runs = (left - means[self.cells.labels])[several] if several.any() else left
        width = self.smooth.shape[1]
        trunks = np.split(effects[width:], 2) if self.trunks is not None else []
        made = [runs, means, effects[:width], *trunks]
        sizes = [float(np.sqrt((part**2).mean())) for part in made]
        return [part / size if size > 0 else part for part, size in zip(made, sizes, strict=True)]

    def draw(self, replicates: int, seed: list[int]) -> Drawn:
        """Effects of simulated data sets, with amplitudes drawn from their posterior."""
        chance = np.random.default_rng(seed).random((2, replicates))
        total = np.cumsum(self.probability)
        points = np.minimum(np.searchsorted(total, chance[0] * total[-1]), len(total) - 1)
        variance = self.squares[points] / stats.chi2.ppf(chance[1], self.freedom)
        counts = [len(self.residuals), len(self.cells.sizes), self.smooth.shape[1]]
        counts += [len(self.trunks.sizes)] * 2 if self.trunks is not None else []
        drawn = []
        for number, (pool, count) in enumerate(zip(self.pools, counts, strict=True)):
            rng = np.random.default_rng([*seed, number])
            values = pool[rng.integers(len(pool), size=(replicates, count))]
            drawn.append(values * rng.choice([-1.0, 1.0], size=values.shape))
        run, cell, *columns = drawn
        effects = np.concatenate(columns, axis=1) * self._scales(points)
        run += np.sqrt(self.grid[points, :1]) * cell[:, self.cells.labels]
        width = self.smooth.shape[1]
        run += effects[:, width:] @ self.columns[:, width:].T
        size = np.sqrt(variance)[:, None]
        return Drawn(size * effects[:, :width], size * run * self.root, points, variance)

    def seen(self, drawn: Drawn) -> Array:
        """Coefficients (R, K) of the misfit, no larger than what is seen of it, or than noise.

        Deviations that the law can follow leave no residual: how large these are, a prior must say.
        Where the misfit is plain, the one for the loss beyond the data is too wide for parameters.
        With half of what is seen, exponents of two halves of a real table differ by as much as
        their intervals say; without a misfit by up to 2.9 times as much (benchmarks/misfit.md).
        """
        cell = self.grid[drawn.point, 0] + (1 / self.cells.sizes).mean()
        limit = np.maximum(_SEEN**2 * (self.mean**2).mean(), drawn.variance * cell)
        size = np.maximum(drawn.variance * self.grid[drawn.point, 3], _EXACT)
        return np.asarray(drawn.smooth * np.sqrt(np.minimum(1.0, limit / size))[:, None])

    def posterior(self, drawn: Drawn) -> Array:
        """Coefficients (R, K) of the misfit given the residuals, one for each simulated data set.

        What is found in the residuals, plus the error of finding it in a simulated data set
        (Matheron's rule, Hoffman & Ribak, doi 10.1086/186160).
        """
        made = (drawn.smooth @ self.smooth.T + drawn.rest) / self.root
        width = self.smooth.shape[1]
        return drawn.smooth + self.coefficients(drawn.point, self.residuals - made)[:, :width]

    @property
    def along(self) -> Array:
        """Part (n,) of the residuals the law can follow: none where it was fitted by squares."""
        return np.asarray(self.law @ (self.law.T @ self.residuals) * self.root)

    @cached_property
    def mean(self) -> Array:
        """Mean coefficients (K,) of the misfit."""
        likely = np.flatnonzero(self.probability > _UNLIKELY)
        found = self.coefficients(likely, np.repeat(self.residuals[None], len(likely), axis=0))
        weight = self.probability[likely] / self.probability[likely].sum()
        return np.asarray(weight @ found[:, : self.smooth.shape[1]])

    @property
    def spread(self) -> float:
        """Variance of one run about law and misfit at the middle of the window, cells included."""
        each = self.squares / self.freedom * (1 + self.grid[:, 0])
        return float(self.probability @ each)

    def _test(self) -> float:
        """Chance of a likelihood ratio of a misfit against none as large as found, if none is.

        Other amplitudes stay at their best without misfit; the distribution is simulated.
        """
        none = np.flatnonzero(self.grid[:, 3] == 0)
        best = int(none[self.likelihood[none].argmax()])
        alike = np.flatnonzero((self.grid[:, :3] == self.grid[best, :3]).all(axis=1))
        metric, scale = self._metric(best), self._scales(best)
        # the ratio depends on Z'P r and r'P r alone, whose distribution is known
        rng = np.random.default_rng(0)
        values, vectors = np.linalg.eigh(metric.gram)
        kept = values > _DEPENDENT * values.max()
        half = vectors[:, kept] * np.sqrt(values[kept])
        pure = rng.standard_normal((_SIMULATED, int(kept.sum())))
        squares = (pure**2).sum(axis=1)
        if (rest := self.freedom - int(kept.sum())) > 0:
            squares += rng.chisquare(rest, _SIMULATED)
        moved = (rng.standard_normal((_SIMULATED, len(scale))) * scale) @ half
        squares += (moved * (2 * pure + moved)).sum(axis=1)
        pulls = np.vstack([self.residuals @ metric.projected, (pure + moved) @ half.T])
        determinant, taken = _shrunk(metric.gram, self._scales(alike), pulls)
        left = np.maximum(np.append(metric.total, squares) - taken, _EXACT)
        twice = -determinant[:, None] - self.freedom * np.log(left)
        ratio = (twice - twice[alike == best]).max(axis=0)
        return float((1 + (ratio[1:] >= ratio[0]).sum()) / (1 + _SIMULATED))


def components(
    J: Array, residuals: Array, sizes: tuple[Array, Array], cells: Kind, trunks: Kind | None = None
) -> Components:
    """Components of residuals; a misfit that is clearly there is not taken for uneven noise."""
    found = Components(J, residuals, sizes, cells, trunks)
    p_value, bends = found.p_value, _BENDS if found.p_value < _CLEAR else 0
    for number in range(_CLEANINGS):
        cleaned = _without_outliers(found, residuals)
        if cleaned is residuals and (number or not bends):
            break
        residuals = cleaned
        found = Components(J, residuals, sizes, cells, trunks, bends, p_value)
    return found


def _without_outliers(found: Components, residuals: Array) -> Array:
    """Residuals (n,) with those far from law and misfit brought near: they are no usual noise."""
    off = found.residuals - found.smooth @ found.mean / found.root
    off -= found.law @ (found.law.T @ off)
    spread = _MAD * float(np.median(np.abs(off)))
    beyond = np.abs(off) > _OUTLIER * spread
    if not beyond.any():
        return residuals
    near = np.clip(off, -_OUTLIER * spread, _OUTLIER * spread)
    return np.asarray(residuals + found.root * (near - off))


def _shrunk(gram: Array, scales: Array, pulls: Array) -> tuple[Array, Array]:
    """Log |1 + S G S| (g,), and squares (g, s) that effects of scales S (g, q) take from pulls."""
    inner = np.eye(len(gram)) + scales[:, :, None] * gram * scales[:, None, :]
    root = np.linalg.cholesky(inner)
    scaled = scales[:, :, None] * pulls.T
    taken = (scaled * np.linalg.solve(inner, scaled)).sum(axis=1)
    return 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1), taken


def _orthonormal(columns: Array) -> Array:
    """Basis of the span of columns (n, k) of any size."""
    size = np.linalg.norm(columns, axis=0)
    basis, triangle, _ = qr(columns[:, size > 0] / size[size > 0], mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    return np.asarray(basis[:, : len(diagonal)][:, diagonal > _DEPENDENT * diagonal[0]])
