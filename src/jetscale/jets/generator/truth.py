"""What a simulated event contains: decay leaves of the resonances, and partons of the shower.

Leaves are the entries that Pythia marks as outgoing from a resonance decay (|status| 23): quarks,
gluons and leptons. A tau counts as tauh, taue or taum by what it decayed to, and lies where its
visible decay products do. Partons are those ready for hadronisation (|status| 71) above 10 GeV,
which also label QCD jets of the public JetClass-II.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.generator.pythia import EventRecord
from jetscale.jets.generator.tokens import NEUTRINOS, TAU, TOKEN_OF_CODE, TOKENS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

QCD_FLAVOURS = ("b", "c", "s")
MIN_PARTON_PT = 10.0  # GeV; the published labels use the same threshold

_RESONANCES = (5, 6)  # entries of X and X' in every event of the gun
_OUTGOING, _READY = 23, 71


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
        visible: Bools = self.token != TOKENS.index("v")
        return visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Partons:
    """Heavy and strange quarks before hadronisation; ``flavour`` indexes QCD_FLAVOURS."""

    event: Ints
    eta: Floats
    phi: Floats
    flavour: Ints


def decay_leaves(record: EventRecord) -> Leaves:
    """The leaves of both resonances of every event; a tau points where its visible part goes."""
    rows = np.flatnonzero(np.abs(record.status) == _OUTGOING)
    event = record.event[rows]
    side = _ancestor(record, rows, event) - _RESONANCES[0]
    keep = (side >= 0) & (side <= 1)
    rows, event, side = rows[keep], event[keep], side[keep]
    momentum = np.stack([axis[rows] for axis in record.momentum[:3]])
    token = _tokens(record, rows)
    for i in np.flatnonzero(np.abs(record.code[rows]) == TAU):
        products = _tau_products(record, int(rows[i]), int(record.start[event[i]]))
        token[i] = TOKENS.index(_tau_token(record.code[products]))
        seen = products[~np.isin(np.abs(record.code[products]), NEUTRINOS)]
        momentum[:, i] = [axis[seen].sum() for axis in record.momentum[:3]]
    eta, phi = _direction(momentum)
    return Leaves(event=event, side=side, eta=eta, phi=phi, token=token)


def shower_partons(record: EventRecord) -> Partons:
    """b, c and s quarks above 10 GeV that go into hadronisation."""
    code = np.abs(record.code)
    hard = np.hypot(record.momentum[0], record.momentum[1]) > MIN_PARTON_PT
    ready = np.abs(record.status) == _READY
    rows = np.flatnonzero(ready & hard & (code >= 3) & (code <= 5))
    eta, phi = _direction(np.stack([axis[rows] for axis in record.momentum[:3]]))
    return Partons(event=record.event[rows], eta=eta, phi=phi, flavour=5 - code[rows])


def _direction(momentum: Floats) -> tuple[Floats, Floats]:
    px, py, pz = momentum
    return np.arcsinh(pz / np.maximum(np.hypot(px, py), 1e-9)), np.arctan2(py, px)


def _ancestor(record: EventRecord, rows: Ints, event: Ints) -> Ints:
    """Entry, within its event, that the mother pointers lead to: one up to X and X'."""
    first = record.start[event]
    entry = rows - first
    above = entry > max(_RESONANCES)
    while above.any():
        entry[above] = record.mother[first[above] + entry[above]]
        above = entry > max(_RESONANCES)
    return entry


def _tokens(record: EventRecord, rows: Ints) -> Ints:
    code = np.abs(record.code[rows])
    table = np.zeros(int(code.max(initial=0)) + 1, dtype=np.int64)
    for known, name in TOKEN_OF_CODE.items():
        if known < len(table):
            table[known] = TOKENS.index(name)
    return table[code]


def _tau_products(record: EventRecord, row: int, first: int) -> Ints:
    """Rows of what a tau decays to: follow its copies down to the one that decays."""
    while True:
        low, high = first + record.daughter1[row], first + record.daughter2[row] + 1
        products: Ints = np.arange(low, high)
        copies = products[record.code[products] == record.code[row]]
        if not len(copies):
            return products
        row = int(copies[0])


def _tau_token(codes: Ints) -> str:
    kinds = np.abs(codes)
    return "taue" if 11 in kinds else "taum" if 13 in kinds else "tauh"
