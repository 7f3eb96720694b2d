import numpy as np
import pytest

from jetscale.jets.ingest.formats import particles

CHARGES = {
    22: 0, 11: -1, -11: 1, 13: -1, -13: 1, 15: -1, 12: 0, 14: 0,
    211: 1, -211: -1, 111: 0, 130: 0, 310: 0, 321: 1, -321: -1, 411: 1, 421: 0, 431: 1,
    511: 0, 521: 1, 531: 0, 541: 1, 221: 0, 443: 0, 2212: 1, -2212: -1, 2112: 0, -2112: 0,
    3112: -1, 3122: 0, 3222: 1, 3312: -1, 3322: 0, 3334: -1, 4122: 1, 5122: 0, 0: 0, 1: 0, 2: 0,
}  # fmt: skip  # Review of Particle Physics


def test_charges_of_the_particle_table():
    codes = np.array(list(CHARGES))
    assert dict(zip(CHARGES, particles.charge_of(codes).tolist(), strict=True)) == CHARGES


def test_masses_know_antiparticles_and_leave_the_rest_massless():
    assert particles.mass_of(np.array([211.0, -211.0, 22.0, 2112.0, 0.0])).tolist() == [
        *(0.139570, 0.139570, 0.0, 0.939565, 0.0)
    ]
    assert particles.mass_of(np.empty(0)).tolist() == []


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        (211, "part_isChargedHadron"),
        (-2212, "part_isChargedHadron"),
        (3112, "part_isChargedHadron"),
        (130, "part_isNeutralHadron"),
        (-2112, "part_isNeutralHadron"),
        (0, "part_isNeutralHadron"),
        (1, "part_isNeutralHadron"),
        (22, "part_isPhoton"),
        (-11, "part_isElectron"),
        (13, "part_isMuon"),
    ],
)
def test_every_particle_has_one_flag(code, flag):
    columns = particles.columns_of(np.array([code], float))
    flags = {name for name, values in columns.items() if name != "part_charge" and values[0]}
    assert flags == {flag}
    assert columns["part_charge"][0] == CHARGES[code]


def test_a_code_that_is_not_finite_gives_no_charge():
    columns = particles.columns_of(np.array([211.0, np.nan, np.inf]))
    assert np.isfinite(columns["part_charge"]).tolist() == [True, False, False]
    assert particles.mass_of(np.array([np.nan])).tolist() == [0.0]
