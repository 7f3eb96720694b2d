"""Decays as Pythia makes them from the gun's events: polarisation and taus."""

import numpy as np
import pytest

from jetscale.jets.generator import labels
from jetscale.jets.generator.conditions import WINDOWS
from jetscale.jets.generator.decays import TAU_DECAYS, TOKENS
from jetscale.jets.generator.processes import CLASSES, process_named
from jetscale.jets.generator.pythia import Generator, make_generators

pytestmark = pytest.mark.integration
NO_SHOWER = ("PartonLevel:ISR = off", "PartonLevel:FSR = off")
DECAYS_ONLY = (
    *NO_SHOWER,
    "PartonLevel:Remnants = off",
    "HadronLevel:all = off",
    "Check:event = off",
)
LEPTONIC = ("24:onMode = off", "24:onIfAny = 11 13")
EVENTS = 3000


def boosted(p, frame):
    """Momenta p (n, 4: px, py, pz, e) in the rest frames of ``frame``."""
    mass = np.sqrt(frame[:, 3] ** 2 - (frame[:, :3] ** 2).sum(axis=1))
    along = (p[:, :3] * frame[:, :3]).sum(axis=1)
    energy = (p[:, 3] * frame[:, 3] - along) / mass
    factor = (energy + p[:, 3]) / (frame[:, 3] + mass)
    return np.column_stack([p[:, :3] - factor[:, None] * frame[:, :3], energy])


def cosine(a, b):
    a, b = a[:, :3], b[:, :3]
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def fire(name, *extra):
    pytest.importorskip("pythia8mc")
    process = CLASSES[name]
    generator = Generator((*process.variants[0], *DECAYS_ONLY, *extra), 3, process)
    return generator.events(EVENTS)


def momenta(record):
    return np.stack(record.momentum, axis=1)


def mother_rows(record, rows):
    return record.start[record.event[rows]] + record.mother[rows]


def helicity_angles(record, leaves):
    """cos of the angle between a leaf in its mother's frame and the mother in the grandmother's."""
    p, mother = momenta(record), mother_rows(record, leaves)
    frame = p[mother_rows(record, mother)]
    leaf, parent = boosted(p[leaves], frame), boosted(p[mother], frame)
    return cosine(boosted(leaf, parent), parent)


def test_top_decays_have_the_w_helicities_of_the_standard_model():
    record = fire("Tbl")
    lepton = np.flatnonzero(np.isin(np.abs(record.code), (11, 13)))
    assert len(lepton) == 2 * EVENTS
    cos = helicity_angles(record, lepton)
    # F_0 = .69, F_L = .31, F_R = 0: moments of 3/4 F_0 (1 - c^2) + 3/8 F_L (1 - c)^2
    assert cos.mean() == pytest.approx(-0.31 / 2, abs=4 * 0.49 / np.sqrt(2 * EVENTS))
    assert (cos**2).mean() == pytest.approx(
        0.69 * 0.2 + 0.31 * 0.4, abs=4 * 0.24 / np.sqrt(2 * EVENTS)
    )


@pytest.mark.parametrize(("name", "resonance"), [("Wqq", 24), ("Zqq", 23)])
def test_pairs_of_w_and_z_are_unpolarised(name, resonance):
    record = fire(name)
    rows = np.flatnonzero(record.code > 0)
    rows = rows[(record.code[rows] <= 5) & (record.mother[rows] >= 5)]
    mother = mother_rows(record, rows)
    assert set(np.abs(record.code[mother])) == {resonance}
    p = momenta(record)
    cos = cosine(boosted(p[rows], p[mother]), p[mother])
    error = 1 / np.sqrt(len(cos))
    assert cos.mean() == pytest.approx(0, abs=4 * 0.58 * error)
    assert (cos**2).mean() == pytest.approx(1 / 3, abs=4 * 0.3 * error)


def test_leptons_of_h_to_ww_keep_close_as_spin_0_wants():
    record = fire("H4q", *LEPTONIC)
    charged = np.isin(np.abs(record.code), (11, 13))
    first, second = (np.flatnonzero(charged & (np.sign(record.code) == s)) for s in (1, -1))
    grand = [mother_rows(record, mother_rows(record, rows)) for rows in (first, second)]
    order = [np.argsort(g, kind="stable") for g in grand]
    higgs = grand[0][order[0]]
    np.testing.assert_array_equal(higgs, grand[1][order[1]])
    p = momenta(record)
    pair = [boosted(p[rows[o]], p[higgs]) for rows, o in zip((first, second), order, strict=True)]
    # V - A makes them fly the same way; independent W decays would give back to back on average
    assert cosine(*pair).mean() > 0.1


def test_taus_decay_as_the_particle_data_group_says_and_lie_where_they_are_seen():
    pytest.importorskip("pythia8mc")
    process = process_named("X_tauhtaue,X_tauhtaum,X_tauhtauh", "jetclass2")
    generator = Generator((*process.variants[0], *NO_SHOWER), 4, process, WINDOWS["jetclass2"])
    record = generator.events(400)
    leaves = labels.decay_leaves(record)
    n = len(leaves.token)
    assert n == 4 * 400
    for name, ratio in TAU_DECAYS.items():
        share = (leaves.token == TOKENS.index(name)).mean()
        assert share == pytest.approx(ratio, abs=4 * np.sqrt(ratio * (1 - ratio) / n))
    taus = np.flatnonzero((np.abs(record.code) == 15) & (np.abs(record.status) == 23))
    px, py, pz, _ = (axis[taus] for axis in record.momentum)
    near = np.hypot(
        leaves.eta - np.arcsinh(pz / np.hypot(px, py)),
        np.angle(np.exp(1j * (leaves.phi - np.arctan2(py, px)))),
    )
    assert 0 < np.median(near) < 0.02
    assert (near < 0.3).mean() > 0.97


def test_cascades_reach_most_labels_in_few_events():
    pytest.importorskip("pythia8mc")
    process = process_named("res34p", "jetclass2")
    record = make_generators(process, 5, WINDOWS["jetclass2"])[0].events(300)
    leaves = labels.decay_leaves(record)
    assert np.bincount(leaves.event).tolist() == [8] * 300
    # Y and Y' have unequal masses
    y = np.flatnonzero((np.abs(record.code) >= 9000103) & (np.abs(record.status) == 22))
    px, py, pz, e = (axis[y] for axis in record.momentum)
    mass = np.sqrt(e**2 - px**2 - py**2 - pz**2).reshape(-1, 2)
    assert mass.min() > 11.9
    assert np.median(np.abs(mass[:, 0] - mass[:, 1])) > 10
