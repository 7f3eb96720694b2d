"""A record must come back from MLflow as it went there, field by field and type by type."""

import sys
from dataclasses import fields, replace

import pytest
from fixtures.mirrored import encode_as_before
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import StorageError
from jetscale.store.record import TYPES, Record
from jetscale.tracking.codec import _MAPPINGS, curve_of, decode, encode

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | COUNT | FLOAT | TEXT,
    lambda inner: st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
BY_TYPE = {
    str: TEXT,
    str | None: st.none() | TEXT,
    int: COUNT,
    int | None: st.none() | COUNT,
    float: FLOAT,
    float | None: st.none() | FLOAT,
    dict[str, float]: st.dictionaries(TEXT, FLOAT, max_size=4),
    dict[str, str]: st.dictionaries(TEXT, TEXT, max_size=4),
    dict[str, object]: st.dictionaries(TEXT, JSON, max_size=4),
}


def kind_of(name):
    kind = TYPES[name]
    return dict[str, object] if name in ("scores", "validation_scores", "recipe") else kind


def recorded():
    values = {name: BY_TYPE[kind_of(name)] for name in TYPES if name not in ("curve", "schema")}
    points = st.lists(
        st.tuples(st.integers(0, 10**6), FLOAT).map(list), max_size=4, unique_by=lambda p: p[0]
    )
    curve = st.fixed_dictionaries({"training_loss": points, "validation_loss": points})
    return st.builds(Record, curve=curve, **values)


def through(record):
    """The record as read back from what MLflow was given."""
    encoded = encode(record)
    curve = {name: [] for name in record.curve}
    for metric, value, step in encoded.points:
        if name := curve_of(metric):
            curve[name].append([step, value])
    return decode(encoded.params, latest(encoded), encoded.tags, curve, "x")


def latest(encoded):
    """The metrics of a run as MLflow lists them: of several points the last one."""
    points = sorted(encoded.points, key=lambda point: (point[2], point[1]))
    return {name: value for name, value, _ in points} | dict(encoded.metrics)


@pytest.mark.slow
@settings(max_examples=200)
@given(recorded())
def test_any_record_comes_back(record):
    back = through(record)
    for field in fields(Record):
        mine, its = getattr(record, field.name), getattr(back, field.name)
        assert its == mine, field.name
        assert type(its) is type(mine), field.name


@pytest.mark.parametrize("name", [f.name for f in fields(Record) if f.name != "curve"])
def test_no_field_is_left_out(records, name):
    measured = {"mfu": 0.3, "peak_memory": 2**31 + 1}
    record = replace(records[-1], trunk_sha256="ab" * 32, model_sha256="cd" * 32, **measured)
    encoded = encode(record)
    assert decode(encoded.params, latest(encoded), encoded.tags, record.curve, "x") == record
    assert getattr(record, name) is not None
    there = {*encoded.params, *(t.split(".")[1] for t in encoded.tags)}
    numbers = {metric.removeprefix("work/").removeprefix("curve/") for metric in latest(encoded)}
    assert name in there | numbers


def test_runs_mirrored_with_the_earlier_names_are_read_the_same(records):
    for record in records:
        before = encode_as_before(record)
        assert {"training_loss", "flops"} <= before.metrics.keys()
        assert decode(before.params, latest(before), before.tags, record.curve, "x") == record


def test_curves_come_first_and_no_number_has_two_names(records):
    record = records[-1]
    curve = {
        name: [*points, [record.steps, 0.1 * i]]
        for i, (name, points) in enumerate(record.curve.items(), 1)
    }
    ends = {name: points[-1][1] for name, points in curve.items()}
    whole = replace(record, curve=curve, **ends, scores=record.scores | {"loss": record.loss})
    shown = latest(encode(whole))
    assert min(shown).split("/")[0] == "curve"  # the UI shows the groups by the alphabet
    losses = [value for name, value in shown.items() if "loss" in name]
    assert sorted(losses) == sorted([*ends.values(), record.loss])
    assert through(whole) == whole


def test_losses_of_pretraining_have_names_of_their_own(records):
    by_kind = {kind: set[str]() for kind in ("pretrain", "finetune")}
    for record in records:
        by_kind[record.kind] |= {name for name in latest(encode(record)) if "loss" in name}
    assert "curve/pretraining_loss" in by_kind["pretrain"]
    assert by_kind["pretrain"].isdisjoint(by_kind["finetune"])


def test_extreme_floats_keep_every_bit(records):
    for value in (sys.float_info.min, sys.float_info.max, 0.1 + 0.2, 5e-324):
        record = replace(records[-1], loss=value, flops=value)
        assert through(record).loss == value


def test_long_mappings_are_cut_and_joined(records):
    parts = {f"label number {i} of many": i / 7 for i in range(900)}
    encoded = encode(replace(records[0], parts=parts))
    pieces = [name for name in encoded.tags if name.startswith("jetscale.parts")]
    assert len(pieces) > 3
    assert max(map(len, encoded.tags.values())) <= 5000
    assert through(replace(records[0], parts=parts)).parts == parts


def test_scores_are_charts_too(records):
    shown = {name: value for name, value, _ in encode(records[-1]).points}
    assert shown["scores/rejections/Hbb"] == 10.0
    assert "scores/rejections/Tbl" not in shown
    assert shown["timings/total"] == 2.0


@pytest.mark.parametrize("field", ["loss", "recipe", "key"])
def test_a_run_edited_by_hand_is_refused_in_a_line(records, field):
    encoded = encode(records[-1])
    params = {k: v for k, v in encoded.params.items() if k != field}
    metrics = {k: v for k, v in encoded.metrics.items() if k != field}
    tags = {k: v for k, v in encoded.tags.items() if k != f"jetscale.{field}"}
    if field == "loss":  # a missing loss is a pretraining run; a missing count is not
        metrics.pop("work/steps")
    with pytest.raises(StorageError, match="MLflow run 7: "):
        decode(params, metrics, tags, {}, "MLflow run 7")


def test_mappings_are_the_fields_that_hold_mappings():
    held = {name for name, kind in TYPES.items() if getattr(kind, "__origin__", None) is dict}
    assert held == {*_MAPPINGS, "curve"}
