import numpy as np
import pytest

from jetscale.jets.generator import labels
from jetscale.jets.generator.decays import TOKENS
from jetscale.jets.generator.pythia import EventRecord


def record(*events):
    """Events as lists of (code, status, mother, daughter1, daughter2, px, py, pz)."""
    rows = np.array([row for event in events for row in event], dtype=float).reshape(-1, 8)
    columns = [rows[:, i].astype(np.int64) for i in range(5)]
    px, py, pz = rows[:, 5], rows[:, 6], rows[:, 7]
    zero = np.zeros(len(rows))
    return EventRecord(
        start=np.concatenate([[0], np.cumsum([len(event) for event in events])]),
        code=columns[0],
        status=columns[1],
        mother=columns[2],
        daughter1=columns[3],
        daughter2=columns[4],
        momentum=(px, py, pz, np.sqrt(px**2 + py**2 + pz**2)),
        vertex=(zero, zero, zero),
    )


BEAMS = [(2212, -12, 0, 3, 0, 0, 0, 1)] * 5
TAU_EVENT = [
    *BEAMS,
    (25, -22, 3, 7, 8, 9, 0, 0),  # 5: X
    (25, -22, 3, 9, 10, -9, 0, 0),  # 6: X'
    (15, -23, 5, 11, 12, 4, 3, 0),  # 7: tau that radiates
    (-15, -23, 5, 13, 13, 3, -4, 1),  # 8: tau with one copy
    (24, -22, 6, 14, 15, -5, 0, 0),  # 9: W from X'
    (21, -23, 6, 0, 0, -4, 1, 0),  # 10
    (15, -51, 7, 16, 18, 4, 3, 0),  # 11: copy of 7 that decays
    (22, 51, 7, 0, 0, 0.1, 0, 0),  # 12: its photon
    (-15, -52, 8, 19, 20, 3, -4, 1),  # 13: copy of 8 that decays
    (3, -23, 9, 0, 0, -3, 2, 0),  # 14: s from the W
    (-14, 23, 9, 0, 0, -2, 2, 0),  # 15: neutrino from the W
    (16, 91, 11, 0, 0, 1, 1, 0),  # 16
    (11, 91, 11, 0, 0, 2, 1, 0),  # 17
    (-12, 91, 11, 0, 0, 1, 1, 0),  # 18
    (-16, 91, 13, 0, 0, 1, -2, 0),  # 19
    (211, 91, 13, 0, 0, 2, -2, 1),  # 20
]


def names(leaves):
    return [TOKENS[token] for token in leaves.token]


def test_leaves_know_their_resonance_and_their_kind():
    leaves = labels.decay_leaves(record(TAU_EVENT, TAU_EVENT))
    assert names(leaves) == ["taue", "tauh", "g", "s", "v"] * 2
    assert leaves.side.tolist() == [0, 0, 1, 1, 1] * 2
    assert leaves.event.tolist() == [0] * 5 + [1] * 5
    assert leaves.visible.tolist() == [True, True, True, True, False] * 2
    # taus point along their visible products: an electron, and a pion
    assert leaves.phi[:2] == pytest.approx([np.arctan2(1, 2), np.arctan2(-2, 2)])
    assert leaves.eta[:2] == pytest.approx([0, np.arcsinh(1 / np.sqrt(8))])
    assert leaves.phi[2] == pytest.approx(np.arctan2(1, -4))


def test_a_muonic_tau():
    event = [*TAU_EVENT]
    event[17] = (13, 91, 11, 0, 0, 2, 1, 0)
    assert names(labels.decay_leaves(record(event)))[0] == "taum"


@pytest.mark.parametrize(
    ("code", "name"),
    [(1, "q"), (-2, "q"), (3, "s"), (-4, "c"), (5, "b"), (21, "g"), (-11, "e"), (13, "m")],
)
def test_codes_become_tokens(code, name):
    event = [*BEAMS, *[(25, -22, 3, 7, 7, 1, 0, 0)] * 2, (code, 23, 5, 0, 0, 1, 0, 0)]
    assert names(labels.decay_leaves(record(event))) == [name]


def test_entries_that_come_from_no_resonance_are_no_leaves():
    event = [*BEAMS, *[(25, -22, 3, 7, 7, 1, 0, 0)] * 2, (1, 23, 3, 0, 0, 1, 0, 0)]
    assert len(labels.decay_leaves(record(event)).event) == 0


def test_partons_are_heavy_or_strange_hard_and_ready():
    event = [
        (5, -71, 0, 0, 0, 11, 0, 0),
        (-4, -71, 0, 0, 0, 0, 12, 0),
        (3, -71, 0, 0, 0, 9, 0, 50),  # too soft
        (2, -71, 0, 0, 0, 90, 0, 0),  # light
        (21, -71, 0, 0, 0, 90, 0, 0),
        (3, -51, 0, 0, 0, 90, 0, 0),  # still in the shower
        (-3, -71, 0, 0, 0, -20, 0, 20),
    ]
    partons = labels.shower_partons(record([], event))
    assert [labels.QCD_FLAVOURS[f] for f in partons.flavour] == ["b", "c", "s"]
    assert partons.event.tolist() == [1, 1, 1]
    assert partons.phi.tolist() == pytest.approx([0, np.pi / 2, np.pi])
    assert partons.eta[2] == pytest.approx(np.arcsinh(1))
