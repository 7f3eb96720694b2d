import re

import pytest

from jetscale.errors import DataError
from jetscale.jets.processes import PROCESSES, process_named, settings_of, sources_of
from jetscale.jets.schema import JETCLASS, PARTS


def test_every_class_and_part_has_a_process():
    assert set(PROCESSES) == {*JETCLASS, *PARTS}
    assert sources_of("jetclass", None) == JETCLASS
    assert sources_of("jetclass2", "qcd") == ("qcd",)


@pytest.mark.parametrize("name", ["res2p", "res34p"])
def test_branching_ratios_sum_to_one(name):
    totals: dict[str, float] = {}
    for line in settings_of(PROCESSES[name]):
        found = re.match(r"(\d+):(?:one|add)Channel = 1 (\S+) 101", line)
        if found:
            totals[found[1]] = totals.get(found[1], 0.0) + float(found[2])
    assert len(totals) >= 2
    assert all(total == pytest.approx(1.0, abs=1e-5) for total in totals.values())


def test_lepton_charge_is_balanced_in_hqql():
    variants = [settings_of(PROCESSES["Hqql"], i) for i in range(2)]
    assert any("onPosIfAny = 11 13" in line for line in variants[0] + variants[1])
    assert any("onNegIfAny = 11 13" in line for line in variants[0] + variants[1])
    assert len(set(variants)) == 2


def test_multiparton_interactions_are_off_everywhere():
    for process in PROCESSES.values():
        assert "PartonLevel:MPI = off" in settings_of(process)


def test_unknown_process():
    with pytest.raises(DataError, match="did you mean 'Hbb'"):
        process_named("Hbbb")
