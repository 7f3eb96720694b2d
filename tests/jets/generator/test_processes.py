from itertools import pairwise

import pytest

from jetscale.errors import DataError, StudyError
from jetscale.jets.generator.conditions import WINDOWS
from jetscale.jets.generator.processes import (
    CLASSES,
    FAMILIES,
    QCD_SHARES,
    family_of,
    process_named,
    sources_of,
)
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


def test_a_corpus_is_all_classes_or_one_part():
    assert sources_of("jetclass", None) == JETCLASS
    assert sources_of("jetclass2", "X_bb,X_cc") == ("X_bb,X_cc",)


def test_shares_of_qcd_labels_are_known_for_all():
    assert set(QCD_SHARES) == set(PARTS["qcd"].labels)
    assert sum(QCD_SHARES.values()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("part", "family"),
    [("qcd", "qcd"), ("X_bb", "res2p"), ("X_YY_b*", "res34p"), ("QCD_b,QCD_c", "qcd")],
)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_selection_has_the_process_of_its_family(part, family, window):
    process, whole = process_named(part, window), FAMILIES[window][family]
    assert family_of(part) == process.family == family
    assert process.variants == whole.variants
    assert set(process.modes) <= set(whole.modes)
    assert 0 < process.jets_per_event <= whole.jets_per_event


def test_selections_that_always_lose_neutrinos_start_harder():
    for part in ("X_tauhtauh", "X_YY_*v", "X_YY_qqtauhv"):
        assert process_named(part).pt.low > process_named("res34p").pt.low
        assert process_named(part, "jetclass2").pt == process_named("res34p", "jetclass2").pt
    for part in ("X_bb", "X_bb,X_tauhtauh", "X_YY_bbbb"):
        assert process_named(part).pt == process_named(family_of(part)).pt


def test_whole_parts_expect_what_was_measured():
    for window, whole in FAMILIES.items():
        for name, process in whole.items():
            found = process_named(name, window)
            assert found.jets_per_event == pytest.approx(process.jets_per_event, rel=0.01)
            assert found.modes == process.modes


def test_labels_of_two_families_are_refused():
    with pytest.raises(DataError, match=r"labels of res2p and qcd.*a part of its own") as error:
        process_named("X_bb,QCD_bb")
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="res2p and res34p"):
        family_of("X_*")


def test_unknown_process():
    with pytest.raises(StudyError, match="unknown part or label 'Xbb'"):
        process_named("Xbb")
