"""Scores in the place of the loss: their direction, the error of a test set, and a floor."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import TableError
from jetscale.scaling import fit, read_runs, validate
from jetscale.scaling.metric import metric_of, put_in_place
from jetscale.scaling.table import quantity_of

BASE = {"mixture": ["a"] * 3, "params": [1e5, 2e5, 4e5], "examples": [1e6] * 3}


def table(**columns):
    return pd.DataFrame(BASE | {"loss": [0.3, 0.2, 0.1]} | columns)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("rejection_Hbb", [50.0, 100.0, 400.0], [0.02, 0.01, 0.0025]),
        ("accuracy", [0.5, 0.75, 0.9], [0.5, 0.25, 0.1]),
        ("accuracy", [50, 75, 90], [0.5, 0.25, 0.1]),
        ("auc", [0.9, 0.95, 0.99], [0.1, 0.05, 0.01]),
        ("error_rate", [0.5, 0.25, 0.1], [0.5, 0.25, 0.1]),
        ("anything:up", [0.5, 0.75, 0.9], [0.5, 0.25, 0.1]),
        ("anything:up", [50.0, 100.0, 400.0], [0.02, 0.01, 0.0025]),
    ],
)
def test_what_is_analysed_falls_and_turns_back(name, values, expected):
    clean = validate(table(**{name.partition(":")[0]: values}), metric=name)
    assert clean["loss"].tolist() == pytest.approx(expected)
    assert clean["measured_loss"].tolist() == [0.3, 0.2, 0.1]
    shares = np.array(values) / (100 if values == [50, 75, 90] else 1)
    assert metric_of(quantity_of(clean)).score(clean["loss"]) == pytest.approx(shares)
    pd.testing.assert_frame_equal(validate(clean), clean, check_like=True)


def test_a_table_needs_no_loss_beside_a_score():
    frame = table(accuracy=[0.5, 0.75, 0.9]).drop(columns="loss")
    assert validate(frame, metric="accuracy")["loss"].tolist() == [0.5, 0.25, pytest.approx(0.1)]


@pytest.mark.parametrize(
    ("frame", "metric", "message"),
    [
        (table(), "acc", "unknown metric 'acc'"),
        (table(seconds=[1.0, 2.0, 3.0]), "acc", "known: loss"),
        (table(speed=[1.0, 2.0, 3.0]), "speed", "say speed:up or speed:down"),
        (table(accuracy=[0.5, np.nan, 1.0]), "accuracy", "row 2: accuracy is nan, needs a score"),
        (table(rejection=[5.0, np.nan, 9.0]), "rejection", "with a column test_background it gets"),
        (table(rejection=[5.0, -1.0, 9.0]), "rejection", "row 2: rejection is -1, needs a score"),
    ],
)
def test_scores_that_cannot_be_used(frame, metric, message):
    with pytest.raises(TableError, match=message):
        validate(frame, metric=metric)


def test_no_background_jet_is_half_a_jet():
    frame = table(rejection_Hbb=[50.0, np.nan, np.inf], test_background=1000.0)
    clean = validate(frame, metric="rejection_Hbb")
    assert clean["loss"].tolist() == pytest.approx([20.5 / 1000.5, 0.5 / 1000.5, 0.5 / 1000.5])
    assert "in 2 runs no background passes: half an example of 1000" in " ".join(
        clean.attrs["notes"]
    )


def test_a_perfect_auc_has_the_floor_that_its_note_tells():
    clean = validate(table(auc=[0.9, 0.95, 1.0], test_examples=1000.0), metric="auc")
    assert clean["loss"].tolist() == pytest.approx([0.1, 0.05, 0.5 / 1000])
    assert "half an example of 1000 stands for none" in " ".join(clean.attrs["notes"])


@pytest.mark.parametrize("share", [0.002, 0.02, 0.2])
def test_the_error_of_a_test_set_against_simulation(share):
    """Log of (k + 1/2) / (n + 1/2) is right on average and scatters by what column error says."""
    background, rng = 5000, np.random.default_rng(0)
    passing = rng.binomial(background, share, size=20_000)
    frame = pd.DataFrame({"rejection": background / np.maximum(passing, 0.25)})
    frame = frame.assign(test_background=float(background))
    out, _ = put_in_place(frame, "rejection")
    logs = np.log(out["loss"])
    assert logs.mean() == pytest.approx(np.log(share), abs=4 * logs.std() / np.sqrt(len(logs)))
    assert np.sqrt((out["error"] ** 2).mean()) == pytest.approx(logs.std(), rel=0.05)


def test_the_error_of_an_accuracy_is_that_of_its_errors():
    out, notes = put_in_place(table(accuracy=[0.5, 0.9, 0.99], test_examples=10_000), "accuracy")
    assert out["error"].iloc[2] == pytest.approx(0.1, rel=0.01)  # 100 errors of 10,000
    assert "the test set alone makes an error of 1-accuracy of" in notes[-1]


@pytest.mark.slow
def test_a_public_table_of_accuracies(real_data):
    path = real_data / "tables" / "accuracy.csv"  # its column loss holds accuracies
    frame = read_runs(path, {"accuracy": "loss"}, metric="accuracy")
    found = fit(frame, replicates=50)
    assert found["a"]["a"].identified, "as a loss it was refused or at every bound"
    assert (frame["loss"] < 1).all()
