"""Columns under other names: taken over and told, mapped, or refused where two could be meant."""

import pandas as pd
import pytest

from jetscale.errors import TableError
from jetscale.scaling import validate
from jetscale.scaling.columns import parse_columns
from jetscale.scaling.table import noun_of

BASE = {"mixture": ["a", "b"], "params": [1e6, 2e6], "examples": [1e8, 2e8], "loss": [3.0, 2.5]}


def table(**renamed):
    names = {old: new.replace("_", " ") if old == "params" else new for old, new in renamed.items()}
    return pd.DataFrame(BASE).rename(columns=names)


@pytest.mark.parametrize(
    ("names", "noun"),
    [
        ({"mixture": "dataset", "params": "N", "examples": "tokens", "loss": "L"}, "token"),
        ({"params": "Model Size", "examples": "D", "loss": "val_loss"}, "example"),
        ({"params": "num_params", "examples": "train_images", "loss": "Test Loss"}, "image"),
        ({"examples": "Examples", "loss": "LOSS"}, "example"),
    ],
)
def test_known_spellings_are_taken_over_and_told(names, noun):
    clean = validate(pd.DataFrame(BASE).rename(columns=names))
    pd.testing.assert_frame_equal(
        clean[list(BASE)], validate(pd.DataFrame(BASE))[list(BASE)], check_like=True
    )
    told = {f"read {new} as {old}" for old, new in names.items()}
    assert set(clean.attrs["notes"]) == told
    assert noun_of(clean) == noun


def test_optional_columns_are_not_lost_by_their_spelling():
    frame = pd.DataFrame(BASE).assign(FLOPs=[1e15, 2e15], **{"Pretraining Examples": [0.0, 1e5]})
    clean = validate(frame)
    assert clean["flops"].tolist() == [1e15, 2e15]
    assert clean["pretraining_examples"].tolist() == [0.0, 1e5]


@pytest.mark.parametrize(
    ("column", "factor"),
    [
        *(("GFLOPs", 1e9), ("Compute (GFLOPs)", 1e9), ("training_flops_1e15", 1e15)),
        *(("C [EFLOPs]", 1e18), ("FLOPs (1e6)", 1e6), ("PF-days", 8.64e19)),
    ],
)
def test_a_unit_of_compute_is_a_factor(column, factor):
    clean = validate(pd.DataFrame(BASE).assign(**{column: [6e5, 2.4e6]}))
    assert clean["flops"].tolist() == [6e5 * factor, 2.4e6 * factor]
    assert f"{column}: FLOPs are {factor:g} times the column" in clean.attrs["notes"]


def test_compute_in_a_unit_that_nobody_knows_is_not_left_out_silently():
    frame = pd.DataFrame(BASE).assign(**{"compute budget (node hours)": [1.0, 2.0]})
    notes = validate(frame).attrs["notes"]
    told = "compute budget (node hours) is not read, as its unit is not known: compute is taken"
    assert [note[: len(told)] for note in notes] == [told]
    assert not validate(frame.assign(flops=[1e15, 2e15])).attrs["notes"]


def test_examples_follow_from_compute():
    frame = pd.DataFrame(BASE).assign(compute=lambda t: 6 * t["params"] * t["examples"])
    clean = validate(frame.drop(columns="examples"))
    assert clean["examples"].tolist() == pytest.approx(BASE["examples"])
    assert "taken from C = 6 x params x examples" in " ".join(clean.attrs["notes"])


def test_one_mixture_where_nothing_could_name_one():
    clean = validate(pd.DataFrame(BASE).drop(columns="mixture"))
    assert set(clean["mixture"]) == {"all"}
    other = pd.DataFrame(BASE).rename(columns={"mixture": "recipe"})
    with pytest.raises(TableError, match="missing column 'mixture'; add it, or give --columns"):
        validate(other)
    assert set(validate(other, {"mixture": "recipe"})["mixture"]) == {"a", "b"}
    assert set(validate(other, {"mixture": ""})["mixture"]) == {"all"}


@pytest.mark.parametrize(
    ("column", "name", "factor", "noun"),
    [
        ("params_M", "params", 1e6, None),
        ("N (M)", "params", 1e6, None),
        ("Tokens [thousands]", "examples", 1e3, "token"),
        ("Params (B)", "params", 1e9, None),
        ("tokens_B", "examples", 1e9, "token"),
        ("Training tokens (billions)", "examples", 1e9, "token"),
    ],
)
def test_a_multiple_behind_a_name_counts(column, name, factor, noun):
    frame = pd.DataFrame(BASE).rename(columns={name: column})
    for asked in (None, {name: column}):
        found = validate(frame, asked)
        assert found[name].tolist() == [factor * value for value in BASE[name]]
        assert f"{column}: {name} are {factor:g} times the column" in found.attrs["notes"]
        assert noun is None or set(found["noun"]) == {noun}


def test_two_candidates_are_refused_and_a_person_decides():
    frame = pd.DataFrame(BASE).rename(columns={"examples": "tokens"}).assign(images=[1.0, 2.0])
    with pytest.raises(TableError, match="'tokens' and 'images' can both be examples; say which"):
        validate(frame)
    assert validate(frame, {"examples": "tokens"})["examples"].tolist() == BASE["examples"]


def test_a_named_column_takes_the_place_of_the_usual_one():
    frame = pd.DataFrame(BASE).assign(final=[9.0, 8.0])
    assert validate(frame, {"loss": "final"})["loss"].tolist() == [9.0, 8.0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"loss": "finl"}, "columns: loss=finl: unknown column 'finl'; did you mean"),
        ({"lss": "loss"}, "unknown column 'lss'; did you mean 'loss'"),
    ],
)
def test_columns_that_are_not_there_are_named(asked, message):
    with pytest.raises(TableError, match=message):
        validate(pd.DataFrame(BASE).assign(final=1.0), asked)


def test_what_a_person_writes():
    assert parse_columns("params=N, mixture=") == {"params": "N", "mixture": ""}
    with pytest.raises(TableError, match="'params' has no '=', needs NAME=COLUMN"):
        parse_columns("params")


def test_one_letter_behind_another_is_no_unit():
    with pytest.raises(TableError, match=r"missing column .params.; .* --columns params=COLUMN"):
        validate(pd.DataFrame(BASE).rename(columns={"params": "n_m"}))
