"""Run tables as files of every kind that is read, and those that are none."""

import gzip
import lzma

import pandas as pd
import pytest

from jetscale.errors import TableError
from jetscale.scaling import read_runs

HEADER = b"mixture,params,examples,loss\n"
ROWS = pd.DataFrame(
    {"mixture": ["q, b", "ü"], "params": [1e3, 2e3], "examples": [5e2, 6e2], "loss": [1.5, 1.4]}
)


def written(path, kind):
    text = ROWS.to_csv(index=False)
    tabs = ROWS.to_csv(index=False, sep="\t")
    match kind:
        case "parquet":
            ROWS.to_parquet(path)
        case "gzip":
            path.write_bytes(gzip.compress(text.encode()))
        case "xz":
            path.write_bytes(lzma.compress(tabs.encode()))
        case "utf-16":
            path.write_text(tabs, encoding="utf-16")
        case "semicolons":
            path.write_text(ROWS.to_csv(index=False, sep=";"), encoding="utf-8")
        case _:
            path.write_text(tabs if kind == "tabs" else text, encoding="utf-8")


@pytest.mark.parametrize("kind", ["comma", "tabs", "semicolons", "gzip", "xz", "utf-16", "parquet"])
def test_every_kind_of_file_gives_the_same_table(tmp_path, kind):
    path = tmp_path / "runs.any"  # what is in a file decides, not its name
    written(path, kind)
    found = read_runs(path)
    pd.testing.assert_frame_equal(found[list(ROWS)], ROWS, check_dtype=False)


def test_read_runs_from_a_file(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("\ufeffmixture, params ,examples,loss\n qcd+bsm,1e3,5e2,1.5\n")
    row = read_runs(path).iloc[0]
    assert (row["mixture"], row["params"], row["examples"], row["loss"]) == (
        "qcd+bsm",
        1000,
        500,
        1.5,
    )


def test_unnamed_columns_of_a_spreadsheet_do_no_harm(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("mixture,params,examples,loss,,\nqcd,1e3,5e2,1.5,,\n\n", newline="\r\n")
    assert read_runs(path)["loss"].tolist() == [1.5]


def test_a_mixture_named_na_is_a_name(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("mixture,params,examples,loss\nNA,1000,500,1.5\n")
    assert read_runs(path)["mixture"].tolist() == ["NA"]


def test_arguments_reach_the_table(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("mixture,size,examples,loss,accuracy\nqcd,1000,500,1.5,0.9\n")
    runs = read_runs(path, {"params": "size"}, noun="tokens", metric="accuracy")
    assert runs["noun"].tolist() == ["token"]
    assert runs["loss"].tolist() == [pytest.approx(0.1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (HEADER, "no rows"),
        (b"\n \n", "is empty"),
        (HEADER + b"qcd,1,1,1\n\nqcd,1,2,1,9,9\n", "row 2 has 6 fields, the header has 4"),
        (HEADER + b"1,qcd,1,1,1\n2,qcd,1,2,1\n", "row 1 has 5 fields, the header has 4"),
        (HEADER + b"qcd,1,1,1\nqcd,1,2\n", "row 2 has 3 fields, the header has 4"),
        (b"mixture;params;examples;loss\nqcd;1;1;1,5\n", "row 1: loss is '1,5', needs a number"),
        (HEADER + b'"qcd,1,1,1\nqcd,1,2,1\n', "not a comma-separated"),
        (b"mixture,params,examples,loss,loss\nqcd,1,1,1,2\n", "column 'loss' is there twice"),
        (b"\xff\xfe\x00\xd8", "not a text in UTF-8 or UTF-16"),
        (b"mixture,\x80\xff", "not a text in UTF-8 or UTF-16"),
        (gzip.compress(HEADER, mtime=0)[:-9], "the compressed file is cut short or damaged"),
        (b"\x1f\x8b not gzip", "the compressed file is cut short or damaged"),
        (b"PK\x03\x04 a workbook", "a workbook or ZIP archive; save the table as CSV"),
        (b"PAR1 cut short", "not a readable Parquet file"),
        (HEADER + b"qcd,1,1,oops\n", "row 1: loss is 'oops'"),
    ],
)
def test_bad_files_name_the_file(tmp_path, content, message):
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=message) as caught:
        read_runs(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_unreadable_files(tmp_path, name):
    with pytest.raises(TableError, match="cannot read the run table"):
        read_runs(tmp_path / name)
