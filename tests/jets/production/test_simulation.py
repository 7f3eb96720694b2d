import pytest

from jetscale.errors import DataError, StorageError
from jetscale.executor import in_process
from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.production import production
from jetscale.jets.production.production import simulate_shards
from jetscale.jets.shards import verify


class FakeJob:
    """Three tables, and a provenance that is complete only after the last one."""

    def __init__(self, make_jets, order, failure=None):
        self.make_jets, self.order, self.failure = make_jets, order, failure
        self.made = 0
        self.closed = False
        self.shared = None

    def tables(self, executor, overlays, progress):
        self.shared = executor, overlays
        try:
            for seed in range(3):
                yield self.make_jets(20, seed=seed)
                self.made += 20
                if progress:
                    progress(self.made, self.order["jets"])
                if self.failure:
                    raise self.failure
        finally:
            self.closed = True

    def provenance(self):
        return {"seed": self.order["seed"], "made": self.made}


@pytest.fixture
def jobs(monkeypatch, make_jets):
    """The jobs that were ordered; ``jobs.failure`` is raised after the first table."""

    class Jobs(list):
        failure = None

    made = Jobs()

    def produce(**order):
        made.append(FakeJob(make_jets, order, made.failure))
        return made[-1]

    monkeypatch.setattr(production, "Production", produce)
    return made


ORDER = {"corpus": "jetclass", "role": "train", "jets": 60, "seed": 5}


def test_all_tables_become_one_sound_folder_with_provenance(jobs, tmp_path):
    calls = []
    progress = lambda *done: calls.append(done)  # noqa: E731
    manifest = simulate_shards(tmp_path / "s", in_process, **ORDER, overlays={}, progress=progress)
    assert manifest == verify(tmp_path / "s").manifest
    assert (manifest.rows, manifest.corpus, manifest.role) == (60, "jetclass", "train")
    assert manifest.provenance == {"seed": 5, "made": 60}
    assert calls == [(20, 60), (40, 60), (60, 60)]
    assert jobs[0].order == {**ORDER, "part": None, "conditions": Conditions()}
    assert jobs[0].shared == (in_process, {})


@pytest.mark.parametrize("failure", [DataError("no"), KeyboardInterrupt()])
def test_a_failed_job_leaves_nothing(jobs, tmp_path, failure):
    jobs.failure = failure
    with pytest.raises(type(failure)):
        simulate_shards(tmp_path / "s", in_process, **ORDER)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_the_job_is_closed_when_writing_fails(jobs, tmp_path, monkeypatch, failure):
    def fail(writer, table):
        raise failure

    monkeypatch.setattr("jetscale.jets.shards.ShardWriter.write", fail)
    with pytest.raises((StorageError, KeyboardInterrupt)) as caught:
        simulate_shards(tmp_path / "s", in_process, **ORDER)
    assert jobs[0].closed
    assert caught.type is (StorageError if isinstance(failure, OSError) else KeyboardInterrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_before_anything_is_simulated(jobs, tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(StorageError, match="is not empty"):
        simulate_shards(tmp_path, in_process, **ORDER)
    assert [job.made for job in jobs] == [0]
