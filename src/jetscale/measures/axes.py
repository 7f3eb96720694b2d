"""The two axes of a study of mixtures, and whether it can tell them apart.

Diversity is the effective number of labels exp(H), alignment is 2 (1 - AUC) of the domain
classifier: 1 where nothing tells the mixture from the downstream jets, 0 where everything does. If
both rise together over the mixtures of a study, no fit can say which of them changed a loss. The
correlation is one of the design, over the mixtures chosen, not an estimate for mixtures at large.
Other measures of diversity get theirs too: labels may be apart where jets are not.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jetscale.measures.result import Z95, Axes, Row, Value

Floats = NDArray[np.float64]

AXES = ("diversity", "alignment")
DIVERSITY, ALIGNMENT = "labels_q1", "auc_constituents"
APART, COLLINEAR = 0.5, 0.8
"""The interval of the correlation must lie inside the one or outside the other to decide."""
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
    found = correlation(points) if len(points) > 2 else None
    return Axes(
        points=points,
        correlation=found,
        verdict=_verdict(found, len(points)),
        others=others(rows) if found else {},
        corners=corners(points),
    )


def correlation(points: Mapping[str, Mapping[str, Value]]) -> Value:
    """Pearson correlation of log diversity and alignment over three or more mixtures.

    The interval moves every point within its own intervals.
    """
    x, y = (np.array([_position(point, axis) for point in points.values()]) for axis in AXES)
    rng = np.random.default_rng(0)
    moved = [a[:, 0] + a[:, 1] * rng.normal(size=(_DRAWS, len(a))) for a in (x, y)]
    low, high = np.quantile(_pearson(*moved), [0.025, 0.975])
    value = float(_pearson(x[:, 0], y[:, 0]))
    return Value(value=value, low=float(low), high=float(high))


def others(rows: Mapping[str, Row]) -> dict[str, float]:
    """Correlation of alignment with the logarithm of every other measure of diversity.

    Mixtures can be apart in labels and still collinear in how different their jets are.
    """
    alignment = np.array([place(row)["alignment"].value for row in rows.values()])
    measures = next(iter(rows.values())).diversity
    found = {}
    for measure in measures:
        values = np.log([row.diversity[measure].value for row in rows.values()])
        if measure != DIVERSITY:
            found[measure] = float(_pearson(values, alignment))
    return found


def _position(point: Mapping[str, Value], axis: str) -> tuple[float, float]:
    """Value and standard error on an axis; the logarithm of diversity, as it is drawn."""
    value = point[axis]
    ends = np.array([value.value, value.low, value.high])
    ends = np.log(ends) if axis == "diversity" else ends
    return float(ends[0]), float((ends[2] - ends[1]) / (2 * Z95))


def _pearson(x: Floats, y: Floats) -> Floats:
    """Correlation along the last axis; 0 where one of the two does not vary."""
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.sum(x * x, axis=-1) * np.sum(y * y, axis=-1))
    return np.asarray(np.sum(x * y, axis=-1) / np.where(scale > 0, scale, 1.0))


def _verdict(found: Value | None, mixtures: int) -> str:
    if found is None:
        return (
            f"{mixtures} mixture{'s' if mixtures > 1 else ''}: whether diversity and alignment are "
            "collinear takes three"
        )
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


def corners(points: Mapping[str, Mapping[str, Value]]) -> dict[str, str] | None:
    """Which mixture holds which corner of a two-by-two design, None if it is not one.

    Each axis is cut at its widest gap. All four corners must be held, and every interval must lie
    on its own side: no low one reaches a high one.
    """
    if len(points) < len(_CORNERS):
        return None
    sides = {axis: _high(points, axis) for axis in AXES}
    if not all(sides.values()):
        return None
    held: dict[str, list[str]] = {}
    for name in points:
        corner = _CORNERS[tuple(name in (sides[axis] or ()) for axis in AXES)]  # type: ignore[index]
        held.setdefault(corner, []).append(name)
    return {c: ", ".join(held[c]) for c in _CORNERS.values()} if len(held) == 4 else None


def _high(points: Mapping[str, Mapping[str, Value]], axis: str) -> set[str] | None:
    """The mixtures above the widest gap of an axis; None if an interval bridges it."""
    order = sorted(points, key=lambda name: _position(points[name], axis)[0])
    values = np.array([_position(points[name], axis)[0] for name in order])
    cut = int(np.argmax(np.diff(values))) + 1
    below, above = order[:cut], order[cut:]
    clear = max(points[n][axis].high for n in below) < min(points[n][axis].low for n in above)
    return set(above) if clear else None
