from dataclasses import replace

import pytest

from jetscale.digests import digest
from jetscale.errors import StudyError
from jetscale.plan.identity import check_same_controls, held_fixed
from jetscale.store.records import run_table


def test_the_table_holds_downstream_streams_but_not_what_varies(study):
    fixed = held_fixed(study, {"train-0": "a", "test": "b", "pretrain-qcd": "c"})
    assert fixed["stream.test"] == "b"
    assert not any("pretrain-qcd" in name or "train-0" in name for name in fixed)
    assert {"optimiser", "schedule", "evaluation", "compute"} <= fixed.keys()
    assert fixed["learning_rate"] == study.recipe.optimiser.learning_rate
    assert fixed["source.seed"] == 1


def test_equal_controls_may_be_compared(records):
    frame = run_table(records)
    check_same_controls(frame)
    check_same_controls(frame.iloc[:0])
    assert frame["controls_digest"].nunique() == 1


def test_different_controls_are_refused_side_by_side(records):
    other = {"epochs": 4, "architecture": "a"}
    mixed = [
        replace(record, controls=other, controls_digest=digest(other))
        if record.mixture == "qcd"
        else record
        for record in records
    ]
    with pytest.raises(StudyError, match=r"'qcd'.*'scratch'.*\(epochs: 4 against 2\)"):
        check_same_controls(run_table(mixed))
