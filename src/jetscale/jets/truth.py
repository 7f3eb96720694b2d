"""What a simulated event contains: decay leaves of the resonances, and partons of the shower.

Leaves are the entries that Pythia marks as outgoing from a resonance decay (|status| 23): quarks,
gluons and leptons. A tau counts as tauh, taue or taum by what it decayed to. Partons are those
ready for hadronisation (|status| 71), which also label QCD jets of the public JetClass-II.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.simulate import NEUTRINOS, EventRecord

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TOKENS = ("b", "c", "s", "q", "g", "e", "m", "v", "tauh", "taue", "taum")
QCD_FLAVOURS = ("b", "c", "s")
MIN_PARTON_PT = 10.0  # GeV; the published labels use the same threshold

_TOKEN_OF_CODE = {
    **dict.fromkeys((1, 2), "q"),
    **dict.fromkeys(NEUTRINOS, "v"),
    3: "s",
    4: "c",
    5: "b",
    11: "e",
    13: "m",
    15: "tauh",
    21: "g",
}
_TAU = 15
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
    """The leaves of both resonances of every event."""
    rows = np.flatnonzero(np.abs(record.status) == _OUTGOING)
    event = record.event[rows]
    side = _ancestor(record, rows, event) - _RESONANCES[0]
    keep = (side >= 0) & (side <= 1)
    rows, event, side = rows[keep], event[keep], side[keep]
    eta, phi = _direction(record, rows)
    return Leaves(event=event, side=side, eta=eta, phi=phi, token=_tokens(record, rows, event))


def shower_partons(record: EventRecord) -> Partons:
    """b, c and s quarks above 10 GeV that go into hadronisation."""
    code = np.abs(record.code)
    hard = np.hypot(record.momentum[0], record.momentum[1]) > MIN_PARTON_PT
    ready = np.abs(record.status) == _READY
    rows = np.flatnonzero(ready & hard & (code >= 3) & (code <= 5))
    eta, phi = _direction(record, rows)
    return Partons(event=record.event[rows], eta=eta, phi=phi, flavour=5 - code[rows])


def _direction(record: EventRecord, rows: Ints) -> tuple[Floats, Floats]:
    px, py, pz = (axis[rows] for axis in record.momentum[:3])
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


def _tokens(record: EventRecord, rows: Ints, event: Ints) -> Ints:
    code = np.abs(record.code[rows])
    table = np.zeros(int(code.max(initial=0)) + 1, dtype=np.int64)
    for known, name in _TOKEN_OF_CODE.items():
        if known < len(table):
            table[known] = TOKENS.index(name)
    token = table[code]
    taus = np.flatnonzero(code == _TAU)
    token[taus] = [_tau_token(record, int(rows[i]), int(record.start[event[i]])) for i in taus]
    return token


def _tau_token(record: EventRecord, row: int, first: int) -> int:
    """Decay mode of a tau: follow its copies down to the one that decays."""
    while True:
        daughters = range(first + record.daughter1[row], first + record.daughter2[row] + 1)
        copies = [d for d in daughters if record.code[d] == record.code[row]]
        if not copies:
            break
        row = copies[0]
    codes = {abs(int(record.code[d])) for d in daughters}
    name = "taue" if 11 in codes else "taum" if 13 in codes else "tauh"
    return TOKENS.index(name)
