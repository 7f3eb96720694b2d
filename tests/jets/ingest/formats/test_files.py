import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError
from jetscale.jets.ingest.formats.arrays import table_of
from jetscale.jets.ingest.formats.base import ANY, LIST, BadFile
from jetscale.jets.ingest.formats.files import Format, kind_of, opened


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this is an empty file; download it again"),
        (bytes(5000), "this is a file of zeros; download it again"),
        (b"a,b\n1,2\n" * 50, "this is a text file"),
        (b"hello, world", "this is a text file"),
        (b"root" + bytes(50), "this is of the kind ROOT"),
        (b"\x93NUMPY\x01\x00", "this is a single NumPy array; save it with np.savez"),
        (gzip.compress(b"PAR1", mtime=0), "this is a gzip file; unpack it with gunzip"),
        (b"\xff\xd8\xff\xe0" * 9, r"this is a file of another kind, it starts with b'\\xff"),
    ],
)
def test_a_file_of_another_kind_is_named_and_not_called_damaged(tmp_path, content, message):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with (
        pytest.raises(BadFile, match=rf"a\.parquet: files of JetClass-II are Parquet, {message}"),
        opened(path, ("Parquet",), "JetClass-II"),
    ):
        pass


def test_kinds(real_data, tmp_path):
    assert kind_of(real_data / "JetClassII_example.root") == "ROOT"
    assert kind_of(real_data / "JetClassII_example.parquet") == "Parquet"
    assert kind_of(real_data / "jetclass_hbb_2000.npz") == "NumPy archive"


def test_a_file_that_went_away_cannot_be_read(tmp_path):
    with (
        pytest.raises(BadFile, match=r"a\.root: cannot be read: No such file"),
        opened(tmp_path / "a.root", ("ROOT",), "JetClass"),
    ):
        pass


def made_of(**wanted):
    return Format(
        what="test",
        corpus="top",
        kinds=("Parquet",),
        wanted=wanted,
        table=lambda path, columns: table_of(columns),
        jet_columns=(),
    )


@pytest.fixture
def path(tmp_path):
    table = pa.table({"px": [[1.0], [2.0, 3.0]], "n": [1, 2], "name": ["a", "b"]})
    pq.write_table(table, tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_columns_become_a_table(path):
    format = made_of(px=("f", (LIST,)), n=("iu", ()))
    assert format.count(path) == 2
    (table,) = format.read(path)
    assert table.to_pydict() == {"px": [[1], [2, 3]], "n": [1, 2]}
    assert format.names == ("QCD", "top")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"pxx": ("f", ())},
            "unknown column 'pxx'; did you mean 'px'",
        ),
        ({"px": ("f", ())}, r"'px' is list<.*double>, needs float; not a file of test"),
        ({"px": ("i", (LIST,))}, r"needs integer of shape \(list,\) per jet; not a file of test"),
        ({"n": ("f", (ANY, 4))}, r"'n' is int64, needs float of shape \(any, 4\) per jet"),
        ({"name": ("fi", ())}, "'name' is string, needs float or integer; not a file of test"),
    ],
)
def test_other_layouts_are_refused_before_anything_is_read(path, wanted, message):
    with pytest.raises(BadFile, match=rf"a\.parquet: .*{message}"):
        made_of(**wanted).count(path)


def test_columns_of_different_lengths(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((3, 2)), y=np.zeros(4))
    format = made_of(X=("f", (2,)), y=("f", ()))
    with pytest.raises(BadFile, match=r"a\.npz: rows differ: .*'X': 3, 'y': 4"):
        Format(
            **{n: getattr(format, n) for n in Format.__slots__} | {"kinds": ("NumPy archive",)}
        ).count(tmp_path / "a.npz")


def test_a_column_there_twice_is_asked_about(tmp_path):
    schema = pa.schema([("n", pa.int64()), ("m", pa.int64()), ("n", pa.int64())])
    pq.write_table(pa.table([[1], [2], [3]], schema=schema), tmp_path / "a.parquet")
    with pytest.raises(BadFile, match=r"a\.parquet: column 'n' is there 2 times, needs integer"):
        made_of(n=("i", ())).count(tmp_path / "a.parquet")
    assert made_of(m=("i", ())).count(tmp_path / "a.parquet") == 1


def test_nulls_are_refused_with_the_name_of_the_column(tmp_path):
    pq.write_table(pa.table({"px": [[1.0], None]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: column 'px' holds nulls"):
        list(made_of(px=("f", (LIST,))).read(tmp_path / "a.parquet"))


def test_a_footer_that_is_not_utf8_is_a_damaged_file(path):
    content = path.read_bytes()
    at = content.rindex(b"name", 0, len(content))
    for place in [i for i in range(len(content)) if content.startswith(b"name", i)]:
        damaged = bytearray(content)
        damaged[place + 1] = 0xC7
        path.write_bytes(damaged)
        if place == at:
            continue
        with pytest.raises(BadFile, match=r"a\.parquet: .*download it again"):
            made_of(px=("f", (LIST,))).count(path)


def test_kinds_of_parquet_columns(tmp_path):
    types = {
        "tiny": pa.array([1, 2], pa.uint8()),
        "category": pa.array(["a", "b"]).dictionary_encode(),
        "fixed": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        "deep": pa.array([[[1.0]], [[2.0]]]),
        "day": pa.array([1, 2], pa.date32()),
    }
    pq.write_table(pa.table(types), tmp_path / "a.parquet")
    with opened(tmp_path / "a.parquet", ("Parquet",), "test") as file:
        kinds = {name: (file.layout(name).kind, file.layout(name).shape) for name in file.names}
        (batch,) = file.batches(["category", "fixed"])
    assert kinds == {
        **{"tiny": ("u", ()), "category": ("S", ()), "fixed": ("f", (LIST,))},
        **{"deep": ("", (LIST,)), "day": ("", ())},
    }
    assert batch["category"].tolist() == ["a", "b"]
    assert batch["fixed"].counts.tolist() == [2, 2]
    assert batch["fixed"].values.tolist() == [1, 2, 3, 4]


def test_a_file_that_holds_fewer_jets_than_it_says(path, monkeypatch):
    format = made_of(n=("i", ()))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: iter(()))
    with pytest.raises(BadFile, match=r"2 jets announced, 0 found"):
        list(format.read(path))
