"""The JetClass-II label of a jet, from the decay leaves or QCD partons inside it.

A resonance label is the multiset of leaves: ``X_YY_bbtauhtaue`` is {b, b, tauh, taue}, where q
stands for u and d. A jet must hold every visible leaf of one X; of four visible leaves of
X -> Y Y' three make a three-prong label. Neutrinos count where the table has a ``v`` and need not
lie in the jet; a tau lies where its visible products do (the published rule takes the tau itself,
or for a leptonic one its first decay product; the angles between them are small). A QCD label
counts b, c and s quarks: none, one, or two and more of each.
Table and rules are those of arXiv 2405.12972; combinations the table lacks have no label.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.generator.tokens import BASE, key_of, tokens_of
from jetscale.jets.generator.truth import QCD_FLAVOURS, Leaves, Partons
from jetscale.jets.schema import JETCLASS2, PARTS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNMATCHED, NO_LABEL = -1, -2
_NO_KEY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class JetAxes:
    """Directions of n jets and the events they belong to."""

    event: Ints
    eta: Floats
    phi: Floats
    radius: float


def _resonance_table() -> tuple[Ints, Ints]:
    names = [*PARTS["res2p"].labels, *PARTS["res34p"].labels]
    keys = np.array([key_of(tokens_of(name).elements()) for name in names])
    order = np.argsort(keys)
    return keys[order], order


def _qcd_table() -> Ints:
    """Label index by number of b, c and s quarks, each 0 to 2."""
    table = np.zeros((3, 3, 3), dtype=np.int64)
    for name in PARTS["qcd"].labels:
        counts = tokens_of(name)
        table[tuple(counts[flavour] for flavour in QCD_FLAVOURS)] = JETCLASS2.index(name)
    return table


_KEYS, _LABELS = _resonance_table()
_QCD = _qcd_table()


def resonance_labels(keys: Ints) -> Ints:
    """Label index of each multiset; UNMATCHED for key -1, NO_LABEL where the table has none."""
    place = np.minimum(np.searchsorted(_KEYS, keys), len(_KEYS) - 1)
    labels = np.where(_KEYS[place] == keys, _LABELS[place], NO_LABEL)
    return np.where(keys == _NO_KEY, UNMATCHED, labels)


def matched(leaves: Leaves, jets: JetAxes) -> Bools:
    """(n,) whether a jet holds every visible leaf of one resonance."""
    whole = np.zeros(len(jets.event), dtype=np.bool_)
    for side in (0, 1):
        visible, inside, _, _ = _count(leaves, side, jets)
        whole |= (visible > 0) & (inside == visible)
    return whole


def label_resonances(leaves: Leaves, jets: JetAxes) -> Ints:
    """(n,) JetClass-II labels of jets from X -> two leaves or X -> Y Y' -> four leaves."""
    chosen = np.full(len(jets.event), _NO_KEY, dtype=np.int64)
    for side in (1, 0):  # X goes before X'
        visible, inside, key_all, key_inside = _count(leaves, side, jets)
        whole = (visible > 0) & (inside == visible)
        three = (visible == 4) & (inside == 3)
        chosen = np.where(whole, key_all, np.where(three, key_inside, chosen))
    return resonance_labels(chosen)


def label_qcd(partons: Partons, jets: JetAxes) -> Ints:
    """(n,) JetClass-II labels of QCD jets."""
    jet, parton, inside = _pairs(partons.event, partons.eta, partons.phi, jets)
    cell = jet[inside] * len(QCD_FLAVOURS) + partons.flavour[parton[inside]]
    counts = np.bincount(cell, minlength=len(jets.event) * len(QCD_FLAVOURS))
    b, c, s = np.minimum(counts.reshape(-1, len(QCD_FLAVOURS)), 2).T
    labels: Ints = _QCD[b, c, s]
    return labels


def _count(leaves: Leaves, side: int, jets: JetAxes) -> tuple[Ints, Ints, Ints, Ints]:
    """Per jet: visible leaves, those inside, key of all leaves, key of the visible ones inside."""
    rows = np.flatnonzero(leaves.side == side)
    jet, leaf, near = _pairs(leaves.event[rows], leaves.eta[rows], leaves.phi[rows], jets)
    visible = leaves.visible[rows][leaf]
    inside = visible & near
    digit = np.power(BASE, leaves.token[rows][leaf])

    def total(values: NDArray[np.int64]) -> Ints:
        return np.bincount(jet, values, minlength=len(jets.event)).astype(np.int64)

    return (
        total(visible.astype(np.int64)),
        total(inside.astype(np.int64)),
        total(digit),
        total(np.where(inside, digit, 0)),
    )


def _pairs(event: Ints, eta: Floats, phi: Floats, jets: JetAxes) -> tuple[Ints, Ints, Bools]:
    """All (jet, object) pairs of equal event, objects sorted by event; True where within radius."""
    first, last = (np.searchsorted(event, jets.event, side) for side in ("left", "right"))
    counts = last - first
    jet = np.repeat(np.arange(len(jets.event)), counts)
    item = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
    dphi = (phi[item] - jets.phi[jet] + np.pi) % (2 * np.pi) - np.pi
    return jet, item, (eta[item] - jets.eta[jet]) ** 2 + dphi**2 < jets.radius**2
