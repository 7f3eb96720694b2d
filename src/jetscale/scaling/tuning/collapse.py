"""A check of the recipe that needs no extra run: do the training curves of a ladder collapse?

With loss and steps in units of their last values, the curves of models tuned alike lie on one
another to within the noise of seeds, and leave the common curve where a size is tuned worse
("Scaling collapse", arXiv 2507.02119). That is a statement about ladders of equal tokens per
parameter. A study has grids: sizes are compared here along each number of examples, where the
shape may drift with size, so four sizes or more may follow a straight line in log size at every
step. What changes a whole curve by one factor cannot be seen: normalising takes it out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from jetscale.errors import FitError
from jetscale.scaling.cost import Array
from jetscale.words import counted, number, short

LEVEL = 0.05
_PLACES = 12  # shares of the training at which curves are compared
_FIRST, _LAST = 0.1, 0.9  # before lies the warm-up; at 1 all curves are one by construction
_DRIFT = 4  # sizes from which a drift with size can be told from a size that stands out


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCurve:
    """The losses of one run while it trained."""

    mixture: str
    params: float
    examples: float
    seed: int
    points: Sequence[tuple[float, float]]  # (step, loss), steps ascending
    final: float  # loss after the last step, of the kind that the points have


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One size of a ladder against the curve that the other sizes have in common."""

    mixture: str
    examples: float
    params: float
    n_seeds: int
    deviation: float  # root mean square over the training, in units of its noise: about 1 if tuned
    p_value: float  # that seeds alone make it so large; nan where there is no test
    breaks: bool  # beyond what one in twenty studies without fault would show anywhere
    reason: str = ""  # why it was not tested

    def __str__(self) -> str:
        """Return the verdict as a sentence."""
        where = f"{self.mixture}, N = {short(self.params)}, D = {short(self.examples)}"
        if self.reason:
            return f"{where}: not tested: {self.reason}."
        verdict = "leaves" if self.breaks else "lies on"
        return (
            f"{where}: {verdict} the common curve, deviation {number(self.deviation, 2)} of its "
            f"noise (p = {number(self.p_value, 2)})."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapse:
    """Which rungs lie on the common curve of their ladder."""

    rungs: tuple[Rung, ...]
    threshold: float  # rungs with a p-value below it break: 5% over the number of rungs tested

    @property
    def worst(self) -> Rung | None:
        """Return the tested rung of the lowest p-value."""
        tested = [rung for rung in self.rungs if not rung.reason]
        # far out all p-values are zero: the deviation then tells
        return min(tested, key=lambda rung: (rung.p_value, -rung.deviation), default=None)

    @property
    def collapsed(self) -> bool:
        """Return True where rungs were tested and none breaks."""
        return self.worst is not None and not any(rung.breaks for rung in self.rungs)

    def __str__(self) -> str:
        """Return the verdict as a sentence."""
        if self.worst is None:
            why = self.rungs[0].reason if self.rungs else "there are no curves"
            return f"Whether the training curves collapse was not tested: {why}."
        broken = sum(rung.breaks for rung in self.rungs)
        tested = sum(not rung.reason for rung in self.rungs)
        return (
            f"{broken} of {counted(tested, 'rung')} leave the common curve of the sizes trained on "
            f"equal data; the worst: {self.worst}"
        )


def collapse(
    curves: Iterable[TrainingCurve], floors: Mapping[str, float] | None = None
) -> Collapse:
    """Return how well the training curves of each (mixture, examples) agree over sizes.

    Args:
        curves: one for each run; runs of one rung differ by seed.
        floors: the irreducible loss of a mixture, subtracted where it is known.

    Raises FitError for a curve that cannot be normalised.
    """
    runs = sorted(curves, key=lambda c: (c.mixture, c.examples, c.params, c.seed))
    normal = [normalise(run, (floors or {}).get(run.mixture, 0.0)) for run in runs]
    places = _places(normal)
    values = np.array([np.interp(places, x, y) for x, y in normal])
    keys = [(run.mixture, run.examples) for run in runs]
    ladders = []
    for mixture, examples in dict.fromkeys(keys):
        rows = [i for i, key in enumerate(keys) if key == (mixture, examples)]
        sizes = np.array([runs[i].params for i in rows])
        ladders.append(_Ladder(mixture, examples, sizes, values[rows]))
    tested = sum(len(np.unique(ladder.sizes)) for ladder in ladders if ladder.testable)
    threshold = LEVEL / max(1, tested)
    noises = {d: _noise([x for x in ladders if x.examples == d]) for _, d in dict.fromkeys(keys)}
    rungs = [r for ladder in ladders for r in _rungs(ladder, *noises[ladder.examples], threshold)]
    return Collapse(rungs=tuple(rungs), threshold=threshold)


def normalise(run: TrainingCurve, floor: float = 0.0) -> tuple[Array, Array]:
    """Return the share of the training (n,) and log of the loss relative to its last (n,)."""
    points = np.asarray(run.points, dtype=float).reshape(-1, 2)
    where = f"{run.mixture}, N = {run.params:g}, D = {run.examples:g}, seed {run.seed}"
    if len(points) < 3 or (np.diff(points[:, 0]) <= 0).any() or points[-1, 0] <= 0:
        raise FitError(f"{where}: a training curve needs 3 points or more with ascending steps")
    lowest = float(min(points[:, 1].min(), run.final))
    if not (np.isfinite(points).all() and math.isfinite(run.final) and lowest > floor):
        raise FitError(
            f"{where}: the curve reaches {lowest:g}, needs finite losses above the floor "
            f"{floor:g}; leave out runs that diverged or give a lower floor"
        )
    return points[:, 0] / points[-1, 0], np.log((points[:, 1] - floor) / (run.final - floor))


def _places(normal: Sequence[tuple[Array, Array]]) -> Array:
    """Return the shares of the training (G,) at which all curves were measured."""
    first = max([_FIRST, *(float(x[0]) for x, _ in normal)])
    return np.linspace(min(first, _LAST), _LAST, _PLACES)


@dataclass(frozen=True, slots=True)
class _Ladder:
    """The runs of one mixture and number of examples."""

    mixture: str
    examples: float
    sizes: Array  # (n,)
    values: Array  # (n, G)

    @property
    def testable(self) -> bool:
        """Return True for three sizes, one of them with two seeds."""
        count = len(np.unique(self.sizes))
        return count >= 3 and len(self.sizes) > count


def _noise(ladders: Sequence[_Ladder]) -> tuple[Array, int]:
    """Return the covariance (G, G) of a single run's curve over seeds, and its freedom."""
    total, freedom = np.zeros((_PLACES, _PLACES)), 0
    for ladder in ladders:
        for size in np.unique(ladder.sizes):
            part = ladder.values[ladder.sizes == size]
            off = part - part.mean(axis=0)
            total, freedom = total + off.T @ off, freedom + len(part) - 1
    return total / max(1, freedom), freedom


def _rungs(ladder: _Ladder, noise: Array, freedom: int, threshold: float) -> list[Rung]:
    """Return the rungs of a ladder; one that breaks is left out of the others' common curve."""
    sizes, counts = np.unique(ladder.sizes, return_counts=True)
    means = np.array([ladder.values[ladder.sizes == s].mean(axis=0) for s in sizes])
    reason = "" if ladder.testable else "needs three sizes, and two seeds of one of them"
    kept, broken = list(range(len(sizes))), list[int]()
    outcome = dict.fromkeys(kept, (math.nan, math.nan))
    while not reason:
        for i in (*kept, *broken):
            rest = [j for j in kept if j != i]
            outcome[i] = _deviation(np.log(sizes), means, counts, i, rest, noise, freedom)
        worst = min(kept, key=lambda i: (outcome[i][1], -outcome[i][0]))
        if outcome[worst][1] >= threshold or len(kept) == 2:
            break
        kept.remove(worst)
        broken.append(worst)
    return [
        Rung(
            mixture=ladder.mixture,
            examples=ladder.examples,
            params=float(sizes[i]),
            n_seeds=int(counts[i]),
            deviation=outcome[i][0],
            p_value=outcome[i][1],
            breaks=bool(outcome[i][1] < threshold),
            reason=reason,
        )
        for i in range(len(sizes))
    ]


def _deviation(
    x: Array,
    means: Array,
    counts: np.ndarray,
    at: int,
    rest: Sequence[int],
    noise: Array,
    freedom: int,
) -> tuple[float, float]:
    """Return a rung's deviation from the curve of others, in its noise, and the p-value."""
    power = 1 if len(x) >= _DRIFT and len(rest) > 1 else 0
    design = np.vander(x[rest] - x[at], power + 1)
    root = np.sqrt(counts[rest])
    # at the rung itself the line is its constant: the last row of the weighted pseudo-inverse
    weights = np.linalg.pinv(root[:, None] * design)[-1] * root
    difference = means[at] - weights @ means[rest]
    share = 1 / counts[at] + float((weights**2 / counts[rest]).sum())
    variance = share * np.diag(noise)
    mean = float((difference**2 / np.where(variance > 0, variance, np.inf)).mean())
    # neighbouring places vary together: the mean square of G values is that of k independent ones,
    # k = G^2 / tr(R^2) by its variance, divided by a noise that is itself estimated
    sd = np.sqrt(np.diag(noise))
    alike = noise / np.where(np.outer(sd, sd) > 0, np.outer(sd, sd), np.inf)
    k = len(sd) ** 2 / max(float((alike**2).sum()), 1e-12)
    return math.sqrt(mean), float(stats.f.sf(mean, k, freedom))
