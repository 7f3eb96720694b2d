import weakref

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError, StorageError
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.formats.files import Format
from jetscale.jets.ingest.work import Job, Options, Outcome, convert
from jetscale.jets.shards import writer as shards
from jetscale.jets.shards.columns import conform
from jetscale.jets.shards.manifest import open_shards, sha256_of


@pytest.fixture
def path(tmp_path, make_jets):
    pq.write_table(make_jets(40, range(188)), tmp_path / "QCD_0000.parquet")
    return tmp_path / "QCD_0000.parquet"


def job(path, **options):
    parts = path.parent / "parts"
    parts.mkdir(exist_ok=True)
    options = Options(**{"format": "jetclass2", "role": "pretrain"} | options)
    return Job(number=3, path=path, parts=parts, options=options)


def converted(path, **options):
    read = []
    this = job(path, **options)
    outcome = convert(this, read.append)
    return outcome, open_shards(this.parts / outcome.part), read


def test_a_file_becomes_a_shard_folder_of_its_own(path):
    outcome, part, read = converted(path)
    assert outcome == Outcome(number=3, rows=40, part=part.folder.name)
    assert read == [40]
    assert part.provenance["files"] == [
        {"name": path.name, "sha256": sha256_of(path), "rows": 40, "dropped": {}}
    ]
    assert pq.read_table(part.path(part.shards[0])).equals(conform(pq.read_table(path)))


def test_a_part_that_is_there_is_done(path):
    outcome, part, _ = converted(path)
    before = (part.folder / "manifest.json").stat().st_mtime_ns
    again, _, read = converted(path)
    assert again == outcome
    assert read == [40]
    assert (part.folder / "manifest.json").stat().st_mtime_ns == before


def test_a_part_damaged_since_is_made_again(path):
    outcome, part, _ = converted(path)
    shard = part.path(part.shards[0])
    shard.write_bytes(shard.read_bytes()[:-5])
    again, part, _ = converted(path)
    assert again == outcome
    assert part.rows == 40


def test_content_and_options_name_the_part(path, make_jets):
    names = {
        converted(path)[0].part,
        converted(path, select=("jet_pt > 1",))[0].part,
        converted(path, role="train")[0].part,
        converted(path, on_bad_jet="fail")[0].part,
    }
    assert len(names) == 4
    assert converted(path, on_bad_file="skip")[0].part in names  # decides nothing in a part
    pq.write_table(make_jets(40, range(188), seed=1), path)
    assert converted(path)[0].part not in names


def test_cuts_apply_in_order_and_are_counted(path):
    select = ("0.8<jet_pt<1.7", "jet_tau1 > 1")
    _, part, _ = converted(path, select=select)
    table = conform(pq.read_table(path)).to_pandas()
    first = (table.jet_pt > 0.8) & (table.jet_pt < 1.7)
    both = first & (table.jet_tau1 > 1)
    assert part.provenance["files"][0]["dropped"] == {
        "0.8 < jet_pt < 1.7": int((~first).sum()),
        "jet_tau1 > 1": int((first & ~both).sum()),
    }
    kept = pq.read_table(part.path(part.shards[0]))
    assert kept["jet_pt"].to_pylist() == table.jet_pt[both].tolist()


def test_a_file_of_which_nothing_is_left_is_a_part_too(path):
    outcome, part, _ = converted(path, select=("jet_pt > 99",))
    assert outcome.rows == 40
    assert (part.rows, part.shards, part.columns) == (0, (), ())


def test_a_bad_file_fails_or_is_skipped(path):
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(BadFile, match=r"QCD_0000\.parquet: not a readable Parquet file"):
        converted(path)
    outcome = convert(job(path, on_bad_file="skip"), print)
    assert outcome.part == ""
    assert "QCD_0000.parquet: not a readable Parquet file" in outcome.problem
    assert list((path.parent / "parts").iterdir()) == []


def test_a_file_that_went_away_is_a_bad_file(path):
    this = job(path)
    path.unlink()
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        convert(this, print)


def test_a_bad_jet_may_fail_and_is_not_a_bad_file(path, make_jets):
    labels = [*range(13), -1, *range(26)]
    table = make_jets(40, range(188))
    index = table.column_names.index("jet_label")
    pq.write_table(table.set_column(index, "jet_label", pa.array(labels, pa.int32())), path)
    with pytest.raises(DataError, match=r"parquet: row 13: label -1 is not in 0\.\.187; `--on-bad"):
        converted(path, on_bad_jet="fail", on_bad_file="skip")
    _, part, _ = converted(path)
    assert part.provenance["files"][0]["dropped"] == {"label -1 is not in 0..187": 1}


def test_parts_must_be_visible(path):
    this = job(path)
    this.parts.rmdir()
    with pytest.raises(StorageError, match="is not on this node; use a folder that all nodes"):
        convert(this, print)


@pytest.mark.slow
def test_memory_holds_a_few_batches_however_long_the_file(path, make_jets, monkeypatch):
    """Batches alive at the same time, in a file of 60: what waits for a full row group."""
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 30)
    alive, most = {}, []

    def read(self, _):
        for i in range(60):
            table = make_jets(10, range(188), seed=i)
            alive[i] = weakref.ref(table, lambda _, i=i: alive.pop(i))
            most.append(len(alive))
            yield table

    monkeypatch.setattr(Format, "read", read)
    monkeypatch.setattr(Format, "count", lambda *_: 600)
    _, part, _ = converted(path)
    assert part.rows == 600
    assert max(most) <= 5


def test_a_file_of_mostly_unusable_jets_is_a_bad_file(path, make_jets):
    labels = [188] * 3 + list(range(37))
    table = make_jets(40, range(188))
    index = table.column_names.index("jet_label")
    pq.write_table(table.set_column(index, "jet_label", pa.array(labels, pa.int32())), path)
    with pytest.raises(BadFile, match=r"3 of 40 jets are unusable, .*3 by 'label 188 is not in 0"):
        converted(path)
    assert list((path.parent / "parts").iterdir()) == []
    outcome = convert(job(path, on_bad_file="skip"), print)
    assert "3 of 40 jets are unusable" in outcome.problem
    assert converted(path, max_bad=0.1)[1].rows == 37
