import os

import pyarrow.parquet as pq
import pytest
import ray

from jetscale.compute import ingest as module
from jetscale.compute.ingest import _attempt, ingest_many
from jetscale.errors import DataError, MissingExtra, SweepError
from jetscale.jets.ingest.ingest import ingest, summary_of
from jetscale.jets.ingest.work import Job, Options

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def files(tmp_path, make_jets):
    paths = [tmp_path / f"QCD_{i}.parquet" for i in range(5)]
    for i, path in enumerate(paths):
        pq.write_table(make_jets(20 + i, range(188), seed=i), path)
    return paths


def test_ray_must_run(files, tmp_path):
    with pytest.raises(SweepError, match="Ray is not running"):
        ingest_many("jetclass2", "pretrain", files, tmp_path / "s", workers=2)


@pytest.fixture(scope="module")
def _ray():
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="CRITICAL",
        object_store_memory=100_000_000,
    )
    yield
    ray.shutdown()


@pytest.mark.integration
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("_ray")
class TestOnRay:
    def test_the_same_bytes_as_in_process(self, files, tmp_path):
        progress = []
        many = ingest_many(
            *("jetclass2", "pretrain", files, tmp_path / "many"),
            lambda *x: progress.append(x),
            workers=2,
            select=["jet_pt > 1"],
        )
        one = ingest("jetclass2", "pretrain", files, tmp_path / "one", select=["jet_pt > 1"])
        assert many.digest == one.digest
        assert many.provenance == one.provenance
        assert [s.sha256 for s in many.shards] == [s.sha256 for s in one.shards]
        assert len(progress) == 5
        assert progress[-1] == (110, 110)

    def test_errors_arrive_as_they_are(self, files, tmp_path):
        content = bytearray(files[3].read_bytes())
        content[50:2000] = bytes(1950)
        files[3].write_bytes(content)
        with pytest.raises(DataError, match=r"QCD_3\.parquet: not a readable Parquet") as stop:
            ingest_many("jetclass2", "pretrain", files, tmp_path / "s", workers=2)
        assert "\n" not in str(stop.value)
        manifest = ingest_many(
            *("jetclass2", "pretrain", files, tmp_path / "s"), workers=2, on_bad_file="skip"
        )
        assert [file["name"] for file in summary_of(manifest)["skipped"]] == ["QCD_3.parquet"]
        assert [file["name"] for file in manifest.provenance["files"]] == [
            *("QCD_0.parquet", "QCD_1.parquet", "QCD_2.parquet", "QCD_4.parquet")
        ]

    def test_an_unexpected_error_is_told_by_its_cause(self, files, tmp_path, monkeypatch):
        def broken(jobs, row):
            raise AttributeError("'list' object has no attribute 'x'")

        monkeypatch.setattr(module, "_attempt", broken)
        with pytest.raises(SweepError, match=r"^files cannot be read: 'list' object has no attr"):
            ingest_many("jetclass2", "pretrain", files, tmp_path / "s", workers=2)

    def test_finished_parts_are_kept(self, files, tmp_path, monkeypatch):
        from jetscale.jets.ingest import ingest as module

        def stop(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module, "_join", stop)
            with pytest.raises(KeyboardInterrupt):
                ingest_many("jetclass2", "pretrain", files, tmp_path / "s", workers=2)
        parts = {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".s.parts").iterdir()}
        assert len(parts) == 5
        ingest_many("jetclass2", "pretrain", files, tmp_path / "s", workers=2)
        assert all((tmp_path / "s" / name).stat().st_mtime_ns == t for name, t in parts.items())


def test_errors_of_a_task_become_rows(files, tmp_path, monkeypatch):
    options = Options(format="jetclass2", role="pretrain")
    jobs = [Job(number=0, path=files[0], parts=tmp_path / "nowhere", options=options)]
    row = _attempt(jobs, {"id": 0})
    assert row["error"] == "StorageError"
    assert "is not on this node" in row["problem"]

    def lacking(*_):
        raise MissingExtra("h5py", "formats")

    monkeypatch.setattr(module, "convert", lacking)
    row = _attempt(jobs, {"id": 0})
    assert (row["error"], row["part"]) == ("SweepError", "")
    assert row["problem"].startswith("on a node, package 'h5py' is not installed")
