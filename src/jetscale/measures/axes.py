"""The two axes of a study of mixtures, and whether it can tell them apart.

Diversity is the effective number of labels exp(H), alignment is 2 (1 - AUC) of the domain
classifier: 1 where nothing tells the mixture from the downstream jets, 0 where everything does. If
both rise together over the mixtures of a study, no fit can say which of them changed a loss. The
correlation is over the mixtures chosen, not an estimate for mixtures at large.
"""

from collections.abc import Mapping

import numpy as np

from jetscale.jets.arrays import Floats
from jetscale.measures.result import Z95, Axes, Row, Value, Values

AXES = ("diversity", "alignment")
DIVERSITY, ALIGNMENT = "labels_q1", "auc_constituents"
# The interval of the correlation must lie inside the one or outside the other to decide.
APART, COLLINEAR = 0.5, 0.8
_DRAWS = 4000
_CORNERS = {
    (False, False): "low diversity, low alignment",
    (False, True): "low diversity, high alignment",
    (True, False): "high diversity, low alignment",
    (True, True): "high diversity, high alignment",
}


def place(row: Row) -> dict[str, Value]:
    """Where a mixture lies on the two axes."""
    auc = row.alignment[ALIGNMENT]
    alignment = Value(value=2 * (1 - auc.value), low=2 * (1 - auc.high), high=2 * (1 - auc.low))
    return {"diversity": row.diversity[DIVERSITY], "alignment": alignment}


def axes_of(rows: Mapping[str, Row]) -> Axes:
    """The mixtures on the two axes, with the correlation of the axes over them."""
    points = {name: place(row) for name, row in rows.items()}
    if len(points) < 3:
        verdict = f"{len(points)} mixture{'s' if len(points) > 1 else ''}: "
        verdict += "whether diversity and alignment are collinear takes three"
        return Axes(points=points, correlation=None, verdict=verdict, others={}, corners=None)
    alignment = _positions(points, "alignment")[:, 0]
    others = {}
    for measure in next(iter(rows.values())).diversity:
        values = np.log([row.diversity[measure].value for row in rows.values()])
        if measure != DIVERSITY:
            others[measure] = float(_pearson(values, alignment))
    found, held = correlation(points), corners(points)
    verdict = _verdict(found, len(points))
    return Axes(points=points, correlation=found, verdict=verdict, others=others, corners=held)


def correlation(points: Mapping[str, Values]) -> Value:
    """Pearson correlation of log diversity and alignment; its interval moves points in theirs."""
    x, y = (_positions(points, axis) for axis in AXES)
    rng = np.random.default_rng(0)
    moved = [a[:, 0] + a[:, 1] * rng.normal(size=(_DRAWS, len(a))) for a in (x, y)]
    low, high = np.quantile(_pearson(*moved), [0.025, 0.975])
    value = float(_pearson(x[:, 0], y[:, 0]))
    return Value(value=value, low=float(low), high=float(high))


def corners(points: Mapping[str, Values]) -> dict[str, str] | None:
    """Which mixture holds which corner of a two-by-two design, None if it is not one.

    Each axis is cut at its widest gap. All four corners must be held, and every interval must lie
    on its own side: no low one reaches a high one.
    """
    if len(points) < len(_CORNERS):
        return None
    names, high = list(points), {}
    for axis in AXES:
        values = _positions(points, axis)[:, 0]
        order = np.argsort(values, kind="stable")
        cut = int(np.argmax(np.diff(values[order]))) + 1
        below, above = ([names[i] for i in side] for side in (order[:cut], order[cut:]))
        reach = max(points[name][axis].high for name in below)
        if not reach < min(points[name][axis].low for name in above):
            return None
        high[axis] = set(above)
    held: dict[tuple[bool, bool], list[str]] = {corner: [] for corner in _CORNERS}
    for name in names:
        held[name in high["diversity"], name in high["alignment"]].append(name)
    if not all(held.values()):
        return None
    return {text: ", ".join(held[corner]) for corner, text in _CORNERS.items()}


def _positions(points: Mapping[str, Values], axis: str) -> Floats:
    """(n, 2) values and standard errors on an axis; the logarithm of diversity, as it is drawn."""
    ends = np.array([[p[axis].value, p[axis].low, p[axis].high] for p in points.values()])
    ends = np.log(ends) if axis == "diversity" else ends
    return np.stack([ends[:, 0], (ends[:, 2] - ends[:, 1]) / (2 * Z95)], axis=1)


def _pearson(x: Floats, y: Floats) -> Floats:
    """Correlation along the last axis; 0 where one of the two does not vary."""
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.sum(x * x, axis=-1) * np.sum(y * y, axis=-1))
    return np.asarray(np.sum(x * y, axis=-1) / np.where(scale > 0, scale, 1.0))


def _verdict(found: Value, mixtures: int) -> str:
    ends = abs(found.low), abs(found.high)
    least = 0.0 if found.low < 0 < found.high else min(ends)
    text = f"correlation of log diversity and alignment over {mixtures} mixtures: "
    text += f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]; "
    if least >= COLLINEAR:
        return text + "collinear: the study cannot tell an effect of one from that of the other"
    if max(ends) <= APART:
        return text + "not collinear: effects of the two can be told apart"
    if least <= APART and max(ends) >= COLLINEAR:
        return text + "undecided: measure more jets"
    return text + "partly collinear: effects of the two are hard to tell apart"
