"""The JetClass-II label of a jet, from the decay leaves or QCD partons inside it.

Table and rules are those of arXiv 2405.12972. A jet must hold every visible leaf of one X; of four
visible leaves three make a three-prong label. Neutrinos count where the table has a ``v`` and need
not lie in the jet. A tau lies where its visible decay products do (the published rule takes the tau
or its first product; the angles are small). A QCD label counts b, c and s quarks, up to two each.
"""

from dataclasses import dataclass

import numpy as np

from jetscale.jets.arrays import Bools, Floats, Ints, rows_of
from jetscale.jets.generator import decays
from jetscale.jets.generator.decays import TOKENS
from jetscale.jets.generator.pythia import EventRecord
from jetscale.jets.schema import JETCLASS2, PARTS

UNMATCHED, NO_LABEL = -1, -2
QCD_FLAVOURS = ("b", "c", "s")
MIN_PARTON_PT = 10.0  # GeV; the published labels use the same threshold
_X_ENTRY, _LAST_X = 5, 6  # entries of X and X' in every event of the gun
# |status| in Pythia's event record (manual page "Particle Properties"): outgoing particles of a
# resonance decay, and partons that are ready for hadronisation
_OUTGOING, _READY = 23, 71
_NO_KEY = -1

_KEYS = np.array(sorted(decays.LABEL_OF_KEY))
_LABELS = np.array([JETCLASS2.index(decays.LABEL_OF_KEY[key]) for key in _KEYS.tolist()])
_QCD = np.zeros((3, 3, 3), dtype=np.int64)  # label by number of b, c and s quarks, each 0 to 2
for _name in PARTS["qcd"].labels:
    _counts = tuple(decays.tokens_of(_name)[flavour] for flavour in QCD_FLAVOURS)
    _QCD[_counts] = JETCLASS2.index(_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaves:
    """Decay products of X (side 0) and X' (side 1); ``token`` indexes TOKENS."""

    event: Ints
    side: Ints
    eta: Floats
    phi: Floats
    token: Ints

    @property
    def visible(self) -> Bools:
        """False for neutrinos."""
        return np.asarray(self.token != TOKENS.index("v"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Partons:
    """Heavy and strange quarks before hadronisation; ``flavour`` indexes QCD_FLAVOURS."""

    event: Ints
    eta: Floats
    phi: Floats
    flavour: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class JetAxes:
    """Directions of n jets and the events they belong to; events of the jets need no order."""

    event: Ints
    eta: Floats
    phi: Floats
    radius: float


def decay_leaves(record: EventRecord) -> Leaves:
    """The leaves of both resonances of every event; a tau points where its visible part goes."""
    rows = np.flatnonzero(np.abs(record.status) == _OUTGOING)
    event = record.event[rows]
    # Mothers lead from every leaf to X or X'. Pointers count within the event, as Pythia's do.
    first = record.start[event]
    entry = rows - first
    while (above := entry > _LAST_X).any():
        entry[above] = record.mother[first[above] + entry[above]]
    side = entry - _X_ENTRY
    keep = (side >= 0) & (side <= 1)
    rows, event, side = rows[keep], event[keep], side[keep]
    momentum = np.stack([axis[rows] for axis in record.momentum[:3]])
    codes, which = np.unique(np.abs(record.code[rows]), return_inverse=True)
    tokens = [TOKENS.index(decays.TOKEN_OF_CODE[code]) for code in codes.tolist()]
    token = np.array(tokens, np.int64)[which]
    for i in np.flatnonzero(codes[which] == decays.TAU):
        products = _tau_products(record, int(rows[i]), int(record.start[event[i]]))
        kinds = np.abs(record.code[products])
        token[i] = TOKENS.index("taue" if 11 in kinds else "taum" if 13 in kinds else "tauh")
        seen = products[~np.isin(kinds, decays.NEUTRINOS)]
        momentum[:, i] = [axis[seen].sum() for axis in record.momentum[:3]]
    eta, phi = _direction(momentum)
    return Leaves(event=event, side=side, eta=eta, phi=phi, token=token)


def shower_partons(record: EventRecord) -> Partons:
    """b, c and s quarks above 10 GeV that go into hadronisation."""
    code = np.abs(record.code)
    hard = np.hypot(record.momentum[0], record.momentum[1]) > MIN_PARTON_PT
    hard &= np.abs(record.status) == _READY
    rows = np.flatnonzero(hard & (code >= 3) & (code <= 5))
    eta, phi = _direction(np.stack([axis[rows] for axis in record.momentum[:3]]))
    return Partons(event=record.event[rows], eta=eta, phi=phi, flavour=5 - code[rows])


def match_resonances(leaves: Leaves, jets: JetAxes) -> Bools:
    """(n,) whether a jet holds every visible leaf of one resonance."""
    counts = [_count(leaves, side, jets)[:2] for side in (0, 1)]
    first, second = ((visible > 0) & (inside == visible) for visible, inside in counts)
    return np.asarray(first | second)


def label_resonances(leaves: Leaves, jets: JetAxes) -> Ints:
    """(n,) JetClass-II labels of jets from X -> two leaves or X -> Y Y' -> four leaves.

    UNMATCHED where no resonance lies in the jet, NO_LABEL where the table lacks its leaves.
    """
    keys = np.full(len(jets.event), _NO_KEY, dtype=np.int64)
    for side in (1, 0):  # X goes before X'
        visible, inside, key_all, key_inside = _count(leaves, side, jets)
        keys = np.where((visible == 4) & (inside == 3), key_inside, keys)
        keys = np.where((visible > 0) & (inside == visible), key_all, keys)
    place = np.minimum(np.searchsorted(_KEYS, keys), len(_KEYS) - 1)
    labels = np.where(_KEYS[place] == keys, _LABELS[place], NO_LABEL)
    return np.where(keys == _NO_KEY, UNMATCHED, labels)


def label_qcd(partons: Partons, jets: JetAxes) -> Ints:
    """(n,) JetClass-II labels of QCD jets."""
    jet, parton, inside = _pairs(partons.event, partons.eta, partons.phi, jets)
    cell = jet[inside] * len(QCD_FLAVOURS) + partons.flavour[parton[inside]]
    counts = np.bincount(cell, minlength=len(jets.event) * len(QCD_FLAVOURS))
    b, c, s = np.minimum(counts.reshape(-1, len(QCD_FLAVOURS)), 2).T
    return np.asarray(_QCD[b, c, s])


def _direction(momentum: Floats) -> tuple[Floats, Floats]:
    """Pseudorapidity and azimuth of (3, n) momenta; along the beam pT counts as 1e-9 GeV."""
    px, py, pz = momentum
    return np.arcsinh(pz / np.maximum(np.hypot(px, py), 1e-9)), np.arctan2(py, px)


def _tau_products(record: EventRecord, row: int, first: int) -> Ints:
    """Rows of what a tau decays to: follow its copies down to the one that decays."""
    while True:
        products: Ints = first + np.arange(record.daughter1[row], record.daughter2[row] + 1)
        copies = products[record.code[products] == record.code[row]]
        if not len(copies):
            return products
        row = int(copies[0])


def _count(leaves: Leaves, side: int, jets: JetAxes) -> list[Ints]:
    """Per jet: visible leaves, those inside, key of all leaves, key of the visible ones inside."""
    rows = np.flatnonzero(leaves.side == side)
    jet, leaf, near = _pairs(leaves.event[rows], leaves.eta[rows], leaves.phi[rows], jets)
    visible = leaves.visible[rows][leaf]
    inside = visible & near
    digit = np.power(decays.BASE, leaves.token[rows][leaf])
    # sums of float64 weights are exact: keys stay far below 2**53
    return [
        np.bincount(jet, values, minlength=len(jets.event)).astype(np.int64)
        for values in (visible, inside, digit, np.where(inside, digit, 0))
    ]


def _pairs(event: Ints, eta: Floats, phi: Floats, jets: JetAxes) -> tuple[Ints, Ints, Bools]:
    """All (jet, object) pairs of equal event, objects sorted by event; True where within radius."""
    first, last = (np.searchsorted(event, jets.event, side) for side in ("left", "right"))
    jet = np.repeat(np.arange(len(jets.event)), last - first)
    item = rows_of(first, last - first)
    dphi = (phi[item] - jets.phi[jet] + np.pi) % (2 * np.pi) - np.pi
    return jet, item, (eta[item] - jets.eta[jet]) ** 2 + dphi**2 < jets.radius**2
