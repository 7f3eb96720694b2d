import json
from dataclasses import replace

import pytest

from jetscale.jsonable import as_json
from jetscale.measures import Axes, MeasureTable, Row, Value, load_measures, save_measures
from jetscale.store.home import Home
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study


def test_a_normal_interval():
    found = Value.around(1.0, 0.5)
    assert (found.low, found.high) == pytest.approx((1 - 0.979982, 1 + 0.979982))


def test_an_interval_is_clipped_but_keeps_its_value():
    found = Value.around(0.95, 0.1, p_value=0.2).within(0.0, 1.0)
    assert (found.value, found.high, found.p_value) == (0.95, 1.0, 0.2)
    outside = Value.around(1.2, 0.1).within(0.0, 1.0)
    assert outside.high == 1.2


def test_plain_values_have_no_p_value_where_there_is_none():
    plain = as_json(Value(value=1.0, low=0.0, high=2.0))
    assert plain == {"value": 1.0, "low": 0.0, "high": 2.0, "p_value": None}
    assert as_json(Value(value=1.0, low=0.0, high=2.0, p_value=0.5))["p_value"] == 0.5


def test_a_row_without_trunks_says_null():
    value = Value(value=1.0, low=0.0, high=2.0)
    row = Row(diversity={"labels_q0": value}, alignment={"auc_observables": value}, transfer=None)
    text = json.dumps(as_json(row), allow_nan=False)
    assert json.loads(text)["transfer"] is None
    with_trunk = Row(diversity={}, alignment={}, transfer={"d8-l1-h1": {"logme": value}})
    assert as_json(with_trunk)["transfer"]["d8-l1-h1"]["logme"]["value"] == 1.0


STUDY = Study(
    name="s",
    source=Simulated(train_jets=100, seed=1),
    mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1.0})),
    ladder=(ModelSize(width=8, layers=1, heads=1),),
    data_sizes=(20,),
    seeds=(1,),
    controls=Controls(pretraining_jets=50, validation_jets=10, test_jets=10, constituents=16),
)
ROW = Row(diversity={}, alignment={}, transfer=None)
POINT = {"diversity": Value(value=4.0, low=3.0, high=5.0)}
FOUND = MeasureTable(
    study="s",
    jets=10,
    downstream=ROW,
    mixtures={"qcd": ROW},
    axes=Axes(points={"qcd": POINT}, correlation=None, verdict="v", others={}, corners=None),
    notes=(),
    sentences={},
)


def test_saved_measures_come_back(tmp_path):
    save_measures(FOUND, STUDY, Home(tmp_path))
    found = load_measures(STUDY, Home(tmp_path))
    assert found is not None
    assert found["axes"]["points"]["qcd"]["diversity"]["value"] == 4.0


def test_other_mixtures_were_not_measured(tmp_path):
    save_measures(FOUND, STUDY, Home(tmp_path))
    changed = replace(STUDY, mixtures=(*STUDY.mixtures, Mixture(name="b", parts={"res2p": 1.0})))
    assert load_measures(changed, Home(tmp_path)) is None
    assert load_measures(replace(STUDY, seeds=(1, 2)), Home(tmp_path)) is not None


def test_nothing_or_damage_is_nothing(tmp_path):
    assert load_measures(STUDY, Home(tmp_path)) is None
    damaged = Home(tmp_path).study(STUDY).measures
    damaged.parent.mkdir()
    damaged.write_text("{half")
    assert load_measures(STUDY, Home(tmp_path)) is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"[" * 100_000, b'{"parts": {"qcd": {}}}']
)
def test_a_damaged_file_is_no_measurement(tmp_path, content):
    path = save_measures(FOUND, STUDY, Home(tmp_path))
    whole = json.loads(path.read_text())
    path.write_bytes(content)
    assert load_measures(STUDY, Home(tmp_path)) is None
    path.write_text(json.dumps({"parts": whole["parts"]}))
    assert load_measures(STUDY, Home(tmp_path)) is None
