"""Ingest by each executor: the same bytes, and files that kill whoever reads them."""

import os
import signal

import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError
from jetscale.executor import in_process
from jetscale.jets.ingest import ingest as module
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.ingest import ingest, summary_of
from jetscale.jets.ingest.work import convert

pytestmark = pytest.mark.slow


@pytest.fixture
def files(tmp_path, make_jets):
    paths = [tmp_path / f"QCD_{i}.parquet" for i in range(5)]
    for i, path in enumerate(paths):
        pq.write_table(make_jets(20 + i, range(188), seed=i), path)
    return paths


def call(files, out, executor, progress=None, **options):
    return ingest("jetclass2", "pretrain", files, out, progress, executor=executor, **options)


@pytest.mark.long
def test_every_executor_writes_the_same_bytes(files, tmp_path, executor):
    progress = []
    many = call(
        files, tmp_path / "many", executor, lambda *x: progress.append(x), select=["jet_pt > 1"]
    )
    one = call(files, tmp_path / "one", in_process, select=["jet_pt > 1"])
    assert many.digest == one.digest
    assert many.provenance == one.provenance
    assert [s.sha256 for s in many.shards] == [s.sha256 for s in one.shards]
    assert len(progress) == 5
    assert progress[-1] == (110, 110)


def test_a_damaged_file_is_told_in_one_line_or_skipped(files, tmp_path, executor):
    content = bytearray(files[3].read_bytes())
    content[50:2000] = bytes(1950)
    files[3].write_bytes(content)
    with pytest.raises(DataError, match=r"QCD_3\.parquet: not a readable Parquet") as stop:
        call(files, tmp_path / "s", executor)
    assert type(stop.value) is BadFile
    assert "\n" not in str(stop.value)
    manifest = call(files, tmp_path / "s", executor, on_bad_file="skip")
    assert [file["name"] for file in summary_of(manifest)["skipped"]] == ["QCD_3.parquet"]
    assert manifest.rows == 20 + 21 + 22 + 24


def convert_or_die(job):
    if job.path.name == "QCD_3.parquet":
        (job.parts / ".part-half").mkdir(exist_ok=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    return convert(job)


@pytest.mark.long
def test_a_file_that_kills_its_reader_is_a_bad_file(files, tmp_path, remote, monkeypatch):
    monkeypatch.setattr(module, "convert", convert_or_die)
    with pytest.raises(BadFile, match=r"QCD_3\.parquet: the process working on it died 3 times"):
        call(files[3:4], tmp_path / "t", remote)
    assert [p.name for p in tmp_path.iterdir() if p.name[0] == "."] == []
    manifest = call(files, tmp_path / "s", remote, on_bad_file="skip")
    ((skipped),) = summary_of(manifest)["skipped"]
    assert skipped["name"] == "QCD_3.parquet"
    assert "died 3 times" in skipped["reason"]
    assert sorted(p.name for p in (tmp_path / "s").iterdir() if p.name[0] == ".") == []
    assert manifest.rows == 20 + 21 + 22 + 24


@pytest.mark.long
def test_parts_that_are_finished_are_kept(files, tmp_path, pool, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_join", stop)
        with pytest.raises(KeyboardInterrupt):
            call(files, tmp_path / "s", pool)
    parts = {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".s.parts").iterdir()}
    assert len(parts) == 5
    call(files, tmp_path / "s", pool)
    assert all((tmp_path / "s" / name).stat().st_mtime_ns == t for name, t in parts.items())
