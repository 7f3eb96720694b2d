import json

import pytest

from jetscale.jsonable import as_json
from jetscale.measures import measure_study
from jetscale.measures.sentences import SENTENCES
from jetscale.measures.space import SPACES


@pytest.fixture
def measured(study, shards, results, quick):
    told = []
    found = measure_study(study, results, shards, lambda *step: told.append(step))
    return found, told


@pytest.mark.long
def test_the_whole_table(measured, study, shards, results, progress):
    table, told = measured
    found = as_json(table)
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert found["study"] == "small"
    assert list(found["mixtures"]) == ["near", "both"]
    assert found["axes"]["correlation"] is None
    for row in (found["downstream"], *found["mixtures"].values()):
        measures = {*row["diversity"], *row["alignment"]}
        assert measures == {m for m in SENTENCES if m.endswith(SPACES) or m.startswith("labels")}
        assert all(v["low"] <= v["value"] <= v["high"] for v in row["alignment"].values())
        assert row["transfer"] is None
    assert set(found["sentences"]) > set(found["downstream"]["alignment"])
    assert any("no pretrained trunk" in note for note in found["notes"])
    assert any(
        note.startswith("mean constituents per jet, cut at 16: near") for note in found["notes"]
    )
    assert [told[0], told[-1]] == [("measuring mixtures", 0, 6), ("measuring mixtures", 6, 6)]

    again = measure_study(study, results, shards, progress)
    assert as_json(again) == found


@pytest.mark.long
def test_the_mixture_of_unlike_jets_is_less_aligned_and_has_more_labels(measured):
    found, _ = measured
    near, both = found.mixtures["near"], found.mixtures["both"]
    for measure in ("auc_constituents", "mmd2_constituents", "sliced_w1_constituents"):
        assert near.alignment[measure].high < both.alignment[measure].low
        assert found.downstream.alignment[measure].value < both.alignment[measure].value
    assert both.alignment["mmd2_constituents"].p_value == pytest.approx(1 / 20)
    assert near.diversity["labels_q0"].value == 27
    assert both.diversity["labels_q0"].value > 27
    assert found.downstream.diversity["labels_q0"].value <= 10
    assert found.jets == 240
