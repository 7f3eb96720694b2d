"""Trials on real Ray Tune and Train: groups that ask for runs, die, are evicted, and end."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from jetscale.compute import dispatch, trials
from jetscale.compute.capacity import HEAD, Capacity, count
from jetscale.compute.desk import Desk
from jetscale.errors import Failure, MissingExtra, StorageError, TrainingError
from jetscale.planning import plan_runs
from jetscale.planning.board import START_TRIES, TRIES, Board
from jetscale.planning.workers import Node

ONE_CORE = Capacity(nodes=(Node(name="n", slots=1),), cpus=1, gpus=0, local=True)


@dataclass
class Job:
    """What the worker of a test does: which runs it kills or fails, and where it notes them."""

    folder: Path
    kill: frozenset[str] = frozenset()  # keys of runs that always kill their worker
    once: frozenset[str] = frozenset()  # those that do it once
    evict: frozenset[str] = frozenset()  # those at which the worker gets SIGTERM, once
    error: Exception | None = None


def work(job, feed):
    """A line per run with the ranks that did it."""
    from jetscale.training.loop import Evicted
    from jetscale.training.ranks import Ranks

    ranks = Ranks.current()
    for run in (run for stack in feed for run in stack):
        mark = job.folder / run.key
        if job.error is not None:
            raise job.error
        first = ranks.agree(not mark.exists())
        if ranks.rank == ranks.world - 1:
            mark.touch()
            if run.key in job.kill or (run.key in job.once and first):
                os.kill(os.getpid(), signal.SIGKILL)
            if run.key in job.evict and first:
                os.kill(os.getpid(), signal.SIGTERM)
        while run.key in job.evict and first:
            if feed.stop():
                raise Evicted("as told")
            time.sleep(0.01)
        if ranks.rank == 0:
            with (job.folder / "log").open("a") as log:
                log.write(f"{run.key} {ranks.world}\n")
            feed.tell(run, None, 2 if run.key in job.once else 0)
    return {"trained": 1}


def own(folder):
    """Where Ray keeps its own state."""
    return {"storage_path": str(folder / "ray")}


def noted(job):
    lines = [line.split() for line in (job.folder / "log").read_text().splitlines()]
    return {key: int(world) for key, world in lines}


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.long
@pytest.mark.integration
def test_two_ranks_ask_as_one_and_a_rank_that_dies_is_replaced(study, small_ray, tmp_path):
    planned = plan_runs(study)
    job = Job(tmp_path, once=frozenset([planned[1].key]))
    capacity = count(small_ray.nodes(), local=False)
    assert capacity.slots == 1  # of two CPUs one drives
    two = Capacity(nodes=(Node(name=capacity.nodes[0].name, slots=2),), cpus=2, gpus=0, local=True)
    board = Board(planned, lambda run: 30.0, workers=2)
    ended = trials.train("small", board, job, work, own(tmp_path), two)
    assert noted(job) == {run.key: 2 for run in planned}
    assert (ended.failures, ended.given_up, ended.recomputed) == ([], {}, 2)
    assert len(ended.deaths) == 1
    assert ended.slot_seconds > 0


@pytest.mark.long
@pytest.mark.integration
def test_a_run_that_kills_its_worker_is_given_up_and_eviction_is_no_try(study, small_ray, tmp_path):
    planned = plan_runs(study)
    trunk = next(run for run in planned if run.kind == "pretrain")
    told = next(run for run in planned if run.mixture.is_scratch)
    job = Job(tmp_path, kill=frozenset([trunk.key]), evict=frozenset([told.key]))
    capacity = count(small_ray.nodes(), local=True)
    board = Board(planned, lambda run: 30.0)
    ended = trials.train("small", board, job, work, own(tmp_path), capacity)
    lost = {run.key for run in planned if trunk.key in (run.key, run.trunk)}
    assert set(ended.given_up) == lost
    assert f"its workers died {TRIES} times" in ended.given_up[trunk.key].reason
    assert set(noted(job)) == {run.key for run in planned} - lost
    assert (len(ended.deaths), ended.evicted, ended.failures) == (TRIES, 1, [])


@pytest.mark.integration
@pytest.mark.parametrize(
    "error",
    [StorageError("cannot write x: the disk is full"), MissingExtra("h5py", "formats")],
    ids=lambda error: type(error).__name__,
)
def test_what_every_worker_would_meet_ends_the_sweep(study, small_ray, tmp_path, capfd, error):
    capacity = count(small_ray.nodes(), local=True)
    board = Board(plan_runs(study), lambda run: 30.0)
    ended = trials.train("small", board, Job(tmp_path, error=error), work, own(tmp_path), capacity)
    assert ended.failures == [Failure.of(error)]
    assert "Traceback" not in capfd.readouterr().err


def test_a_sweep_ends_where_no_group_starts_on_any_node(study, monkeypatch):
    """The searcher and the desk in this process: an actor's method is called at once."""
    monkeypatch.setattr(dispatch, "ray", SimpleNamespace(get=lambda answer: answer))
    at_desk = Desk(Board(plan_runs(study), lambda run: 30.0))
    names = ("next", "over", "end", "close")
    actor = SimpleNamespace(
        **{name: SimpleNamespace(remote=getattr(at_desk, name)) for name in names}
    )
    ended = dispatch.Ended()
    searcher = dispatch.Dispatch(actor, ONE_CORE, ended)
    for i in range(START_TRIES):
        assert ended.failures == []
        assert searcher.suggest(str(i)) == {"group": str(i), "nodes": ["n"]}
        searcher.on_trial_complete(str(i), {"death": "no room"})
    (failure,) = ended.failures
    assert failure.kind == "SweepError"
    told = f"{START_TRIES} worker groups in a row did not start on any node: no room"
    assert failure.reason == told
    assert searcher.suggest("last") == "FINISHED"
    assert ended.deaths == ["no room"] * START_TRIES


@pytest.mark.integration
def test_a_sweep_ends_where_no_node_fits_a_group_for_long(study, small_ray, tmp_path, monkeypatch):
    monkeypatch.setattr("jetscale.compute.dispatch.ALONE", -1.0)
    capacity = count(small_ray.nodes(), local=True)
    board = Board(plan_runs(study), lambda run: 30.0, workers=capacity.slots + 1)
    ended = trials.train("small", board, Job(tmp_path), work, own(tmp_path), capacity)
    (failure,) = ended.failures
    assert "no node has had room for a worker group" in failure.reason
    assert ended.deaths == []


@pytest.fixture
def trainer(monkeypatch):
    """A stand-in for the trainer of Ray: what it was made with, and what its ``fit`` does."""
    found = SimpleNamespace(fit=lambda: SimpleNamespace(return_value={"trained": 3}), names=set())

    def make(function, *, train_loop_config, torch_config, scaling_config, run_config):
        found.names.add(run_config.name)
        found.scaling, found.failures = scaling_config, run_config.failure_config
        return found

    monkeypatch.setattr("jetscale.compute.trainer.Trainer", make)
    return found


def run_group(tmp_path, capacity=ONE_CORE, **config):
    config = {"group": "g", "nodes": ["n"]} | config
    return trials.run_group(config, None, None, own(tmp_path), capacity)


def test_a_group_has_its_workers_on_its_node_and_ray_tries_nothing_again(trainer, tmp_path):
    assert run_group(tmp_path) == {"trained": 3}
    assert (trainer.scaling.num_workers, trainer.scaling.use_gpu) == (1, False)
    assert trainer.scaling.label_selector == [{"ray.io/node-id": "n"}]
    assert (trainer.failures.max_failures, trainer.failures.controller_failure_limit) == (0, 0)
    gpus = [{"NodeID": "n", "Alive": True, "Resources": {"CPU": 9.0, "GPU": 2.0, HEAD: 1.0}}]
    shared = count(gpus, local=False, per_gpu=4)
    run_group(tmp_path, shared)
    assert trainer.scaling.resources_per_worker == {"CPU": 1.0, "GPU": 0.25}
    run_group(tmp_path, shared, nodes=["n", "m"])
    assert trainer.scaling.resources_per_worker == {"CPU": 1.0, "GPU": 1.0}
    assert trainer.scaling.use_gpu
    assert trainer.scaling.label_selector == [{"ray.io/node-id": name} for name in ("n", "m")]
    assert len(trainer.names) == 3  # a name that was used would silently resume


LOST = "The actor died because its node has died."


@pytest.mark.parametrize("who", ["worker", "controller"])
@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (StorageError("x"), {"kind": "StorageError", "reason": "x"}),
        (TrainingError("trunk x"), {"death": "TrainingError: trunk x"}),
        (RuntimeError("peer closed"), {"death": "RuntimeError: peer closed"}),
        (RayActorError(error_msg=f"It died.\n\tpid: 7\n{LOST}\n"), {"death": LOST}),
        (
            WorkerHealthCheckFailedError("Worker info: Worker(...)", RayActorError("", LOST)),
            {"death": LOST},
        ),
    ],
)
def test_a_mistake_is_a_failure_and_all_else_a_death(trainer, tmp_path, who, cause, told):
    from ray.train import ControllerError, WorkerGroupError

    error = WorkerGroupError("text", {0: cause}) if who == "worker" else ControllerError(cause)

    def fit():
        raise error

    trainer.fit = fit
    assert run_group(tmp_path) == told
