import ast
import inspect
import json
from dataclasses import asdict, fields, replace
from itertools import pairwise

import pandas as pd
import pytest

from jetscale.digests import digest
from jetscale.errors import StorageError
from jetscale.planning.run import Run
from jetscale.scaling import validate
from jetscale.store.record import SCALARS, TYPES, Record, make_table, parse_record
from jetscale.training.spec import RunResult


def test_a_record_comes_back_from_json(records):
    for record in records:
        assert parse_record(json.loads(record.to_json()), "x") == record


@pytest.mark.parametrize("kind", [Run, RunResult, Record])
def test_every_field_is_described_in_one_line(kind):
    body = ast.parse(inspect.getsource(kind)).body[0].body
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign):
            described = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            assert described, f"{kind.__name__}.{field.target.id}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 3}, r"r.json: schema 3, this version of jetscale reads 1 and 2"),
        ({"schema": None}, r"schema None"),
        ({"steps": "5"}, r"steps is '5', needs"),
        ({"steps": True}, r"steps is True, needs"),
        ({"loss": "low"}, r"loss is 'low'"),
        ({"scores": []}, r"scores is \[\]"),
        ({"extra": 1}, r"field 'extra' is missing or unknown"),
    ],
)
def test_what_is_no_record_is_refused_in_a_line(records, change, message):
    with pytest.raises(StorageError, match=message):
        parse_record(asdict(records[0]) | change, "r.json")


def test_a_record_says_how_much_was_padding_and_waiting(records):
    record = records[0]
    assert record.padding_efficiency == pytest.approx(37 / 40)
    assert replace(record, ranks=2).padding_efficiency == pytest.approx(37 / 80)
    assert replace(record, tokens=None).padding_efficiency is None
    assert record.data_wait == pytest.approx(0.1 / 1.1)
    table = make_table(records)
    assert set(table.padding_efficiency) == {37 / 40}
    assert table[["mfu", "peak_memory"]].isna().all(axis=None)


def test_what_was_measured_later_changes_no_record_of_before(records):
    values = {k: v for k, v in asdict(records[0]).items() if k not in ("mfu", "peak_memory")}
    assert parse_record(values, "r.json").content == records[0].content
    measured = replace(records[0], mfu=0.3, peak_memory=2**30)
    assert measured.content != records[0].content
    assert parse_record(json.loads(measured.to_json()), "r.json") == measured


def test_a_missing_field_is_named(records):
    values = asdict(records[0])
    del values["peak_rate"]
    with pytest.raises(StorageError, match="field 'peak_rate' is missing"):
        parse_record(values, "r.json")


def test_plan_result_and_record_share_their_names():
    record = set(TYPES)
    ours = {f.name for f in fields(Run)} - {"size"}
    assert ours <= record
    kept = {"validation", "test"}  # as losses and scores
    assert {f.name for f in fields(RunResult)} - kept <= record


def test_the_run_table_has_one_row_per_finetuning_run(records):
    frame = make_table(records)
    assert len(frame) == sum(record.kind == "finetune" for record in records)
    by_key = {record.key: record for record in records}
    for row in frame.to_dict("records"):
        record = by_key[row["key"]]
        for name in SCALARS:
            value = getattr(record, name)
            assert row[name] == value or (value is None and pd.isna(row[name])), name
        assert row["seconds"] == record.timings["total"]
        assert row["unique_examples"] == record.examples
        assert row["trunk"] == (record.trunk or record.key)
        assert row["recipe"] == record.recipe


def test_scores_are_columns_that_an_analysis_can_name(records):
    scores = {"jets": 400, "loss": 0.5, "accuracy": 0.9, "auc": None}
    scores |= {"rejections": {"Hbb": 50.0, "Hcc": None, "Hqql": 9.0}}
    frame = make_table([replace(r, scores=scores) for r in records if r.kind == "finetune"])
    row = frame.iloc[0]
    assert (row["accuracy"], row["rejection_Hbb"], row["rejection_Hqql"]) == (0.9, 50.0, 9.0)
    assert (row["test_examples"], row["test_background"]) == (400, 100)
    assert frame["rejection_Hcc"].isna().all()
    assert "auc" not in frame
    clean = validate(frame, metric="rejection_Hcc")
    assert clean["loss"].tolist() == pytest.approx([0.5 / 100.5] * len(clean))


def test_scratch_has_no_pretraining_examples_and_pretrained_has(records):
    frame = make_table(records)
    found = frame.groupby("mixture")["pretraining_examples"].unique()
    assert found["scratch"].tolist() == [0]
    assert found["qcd"].tolist() == [50]


def test_tokens_may_be_unknown(records):
    frame = make_table([replace(record, tokens=None) for record in records])
    assert frame["tokens"].isna().all()
    assert frame["tokens"].dtype == pd.Int64Dtype()


def test_a_table_without_runs_has_its_columns_and_types(records):
    pretraining = [record for record in records if record.kind == "pretrain"]
    empty, full = make_table(pretraining), make_table(records)
    assert empty.empty
    assert list(empty.columns) == list(full.columns)[: len(empty.columns)], "but for scores"


def test_the_content_of_a_record_is_the_digest_of_all_its_fields(records):
    record = replace(records[-1], stack=3, mfu=0.3, peak_memory=2**30, model_sha256="ab" * 32)
    assert record.content == digest(asdict(record)) == replace(record).content
    later = ("stack", "mfu", "peak_memory", "model_sha256")
    before = {name: value for name, value in asdict(records[-1]).items() if name not in later}
    assert records[-1].content == digest(before), "one of before has the digest it had"
    assert replace(record, curve=record.curve | {"validation_loss": [[4, 1.2]]}).content != (
        record.content
    )
