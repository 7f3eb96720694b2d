from itertools import pairwise

from jetscale.jets.generator.conditions import WINDOWS
from jetscale.jets.generator.processes import CLASSES, FAMILIES
from jetscale.jets.schema import JETCLASS, PARTS

EVERYTHING = [*CLASSES.values(), *(p for whole in FAMILIES.values() for p in whole.values())]


def test_every_class_and_part_has_a_process():
    assert tuple(CLASSES) == JETCLASS
    assert set(FAMILIES) == set(WINDOWS)
    assert all(set(whole) == set(PARTS) for whole in FAMILIES.values())


def test_lepton_charge_is_balanced_in_hqql():
    variants = CLASSES["Hqql"].variants
    assert any("onPosIfAny = 11 13" in line for line in variants[0] + variants[1])
    assert any("onNegIfAny = 11 13" in line for line in variants[0] + variants[1])
    assert len(set(variants)) == 2


def test_multiparton_interactions_are_off_everywhere():
    for process in EVERYTHING:
        assert all("PartonLevel:MPI = off" in lines for lines in process.variants)


def test_qcd_slices_meet():
    for whole in FAMILIES.values():
        edges = [
            [float(line.split("=")[1]) for line in lines if "pTHat" in line]
            for lines in whole["qcd"].variants
        ]
        assert all(a[1] == b[0] for a, b in pairwise(edges))
        assert (edges[0][0], edges[-1][1]) == (whole["qcd"].pt.low, whole["qcd"].pt.high)


def test_qcd_of_jetclass_takes_turns_between_dijets_and_a_jet_beside_a_z():
    dijets, beside_z = CLASSES["QCD"].variants
    assert "HardQCD:all = on" in dijets
    assert "WeakBosonAndParton:qg2gmZq = on" in beside_z
    assert [line for line in dijets if "Hat" in line] == [x for x in beside_z if "Hat" in x]
    assert len(FAMILIES["jetclass"]["qcd"].variants) == 1
