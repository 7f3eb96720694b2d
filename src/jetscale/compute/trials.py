"""Running trials: Ray Tune schedules them, Ray Train trains each in a worker group of its own.

A Tune trial is a light driver that starts a Ray Train worker group, which asks the board of the
sweep for runs until there are none left for it (see `jetscale.planning.board`). Tune starts one
when its searcher sees room on a node, so nodes that join are used, and what a lost node had goes to
others. Drivers stay on the head: a node that is lost costs workers alone.

Ray waits for ever, without a word, for a group that fits nowhere, and starts a failing one again
without limit. So the board places a group where there is room, a group must start in time, and no
retry is left to Ray: the board gives the runs of a dead group to another one.
"""

import io
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, TypedDict, TypeVar
from uuid import uuid4

from jetscale.compute.capacity import HEAD, Capacity
from jetscale.compute.desk import open_desk
from jetscale.compute.dispatch import Dispatch, Ended
from jetscale.errors import DataError, Failure, JetscaleError, TrainingError
from jetscale.planning.board import Board, Order
from jetscale.planning.feed import Feed
from jetscale.planning.run import Run

if TYPE_CHECKING:
    from jetscale.training.ranks import Ranks

J_contra = TypeVar("J_contra", contravariant=True)
J = TypeVar("J")
DEADLINE = 120  # seconds in which a group must start
PENDING = 64  # trials that may be starting at the same time
WAIT = 0.2  # seconds until a group that got nothing asks again
_ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(DEADLINE),
    "TUNE_MAX_PENDING_TRIALS_PG": str(PENDING),
}


class Storage(TypedDict):
    """A folder of a pyarrow file system, by default that of this machine, as Ray wants it."""

    storage_path: str
    storage_filesystem: NotRequired[Any]


class Work(Protocol[J_contra]):
    """What a worker does with its runs."""

    def __call__(self, job: J_contra, feed: Feed) -> Mapping[str, int]:
        """Train the runs of the feed; returns how many were trained and failed."""


def train(
    name: str, board: Board, job: J, work: Work[J], storage: Storage, capacity: Capacity
) -> Ended:
    """Train the runs of a board in worker groups until none is left; returns how that went.

    ``storage`` is where Ray keeps its own state, a folder that all nodes reach.
    Failures travel as values: the worker returns one to Train, the driver reports it to Tune.
    Raises KeyboardInterrupt where the user stopped the sweep; finished runs are kept.
    """
    import ray
    from ray import tune

    _set_environment()
    desk, ended = open_desk(board), Ended()
    shared = ray.put((job, work))  # once, however large

    def drive(config: dict[str, Any]) -> None:
        tune.report(run_group(config, desk, shared, storage, capacity))

    tuner = tune.Tuner(
        tune.with_resources(drive, tune.PlacementGroupFactory([{HEAD: 1e-4}])),
        tune_config=tune.TuneConfig(
            search_alg=Dispatch(desk, capacity, ended),
            num_samples=-1,  # the searcher says when it is over
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"{name}-{time.time():.0f}",  # a finished name would silently resume
            **storage,
            verbose=0,
        ),
    )
    begun = time.monotonic()
    with redirect_stdout(io.StringIO()):  # Tune's own tables; progress goes to standard error
        tuner.fit()
    if capacity.local:
        ended.slot_seconds = (time.monotonic() - begun) * capacity.slots
    ended.given_up, ended.recomputed = ray.get(desk.summary.remote())
    ray.kill(desk)
    return ended


def run_group(
    config: Mapping[str, Any], desk: Any, shared: Any, storage: Storage, capacity: Capacity
) -> dict[str, Any]:
    """What a worker group did: its counts, ``evicted``, or the cause of its ``death``.

    What the next group would meet as well is a failure, ``kind`` and ``reason``. Tune wants a flat
    mapping.
    """
    import ray.train
    from ray.train import ControllerError, WorkerGroupError

    from jetscale.compute.notice import NoticeConfig
    from jetscale.compute.trainer import Trainer

    _set_environment()  # of the process on a cluster that is read by Train
    nodes, resources = config["nodes"], dict(capacity.resources)
    if len(nodes) > 1 and "GPU" in resources:
        resources["GPU"] = 1.0
    trainer = Trainer(
        train_on_worker,
        train_loop_config={"desk": desk, "shared": shared, "group": config["group"]},
        torch_config=NoticeConfig(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=len(nodes),
            use_gpu="GPU" in resources,
            resources_per_worker=resources,
            label_selector=[{"ray.io/node-id": node} for node in nodes],
        ),
        run_config=ray.train.RunConfig(
            name=f"{config['group']}-{uuid4().hex[:8]}",
            **storage,
            failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    try:
        return dict(trainer.fit().return_value)
    except WorkerGroupError as error:
        return _cause(next(iter(error.worker_failures.values()), error))
    except ControllerError as error:
        return _cause(error.controller_failure)


def _set_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _cause(error: BaseException) -> dict[str, Any]:
    """A mistake that the next group would make as well is a failure, all else a death.

    What is wrong with one run alone is a death, too: it is given up after some, others go on.
    """
    from ray.exceptions import RayActorError

    base = getattr(error, "_base_exc", error)
    base = getattr(base, "health_check_failure", base)  # what asking a worker met
    if isinstance(base, RayActorError):  # the last of many lines says why
        return {"death": str(base).strip().splitlines()[-1].strip()}
    failure = Failure.of(base)
    if isinstance(base, JetscaleError) and not isinstance(base, TrainingError | DataError):
        return asdict(failure)
    return {"death": f"{failure.kind}: {failure.reason}"}


def train_on_worker(config: dict[str, Any]) -> dict[str, Any]:
    """What the worker did, see `run_group`; called in every process of a group."""
    import ray
    import torch

    from jetscale.training.loop import Evicted
    from jetscale.training.ranks import Ranks

    torch.set_num_threads(1)
    job, work = ray.get(config["shared"])
    ranks = Ranks.current()
    try:
        return dict(work(job, _Asking(config["desk"], config["group"], ranks)))
    except Evicted:
        return {"evicted": True}
    except JetscaleError as error:
        if ranks.world > 1 or isinstance(error, DataError):
            raise  # other ranks wait for this one, or other machines see what this one does not
        return asdict(Failure.of(error))


class _Asking:
    """The feed of a worker: rank 0 asks the desk, the others get what it got."""

    def __init__(self, desk: Any, group: str, ranks: "Ranks") -> None:
        self.desk, self.group, self.ranks = desk, group, ranks

    def __iter__(self) -> Iterator[tuple[Run, ...]]:
        import ray

        from jetscale.training.loop import Evicted

        while True:
            order = Order()
            if self.ranks.rank == 0:
                order = ray.get(self.desk.take.remote(self.group))
            order = self.ranks.agree(order)
            if order.retire:
                return
            if self.stop():
                raise Evicted("before a run")
            if not order.stacks:
                time.sleep(WAIT)
            yield from order.stacks

    def saved(self, run: Run) -> None:
        self.desk.saved.remote(run.key)

    def tell(self, run: Run, failure: Failure | None, recomputed: int) -> None:
        self.desk.tell.remote(self.group, run.key, failure, recomputed)

    def stop(self) -> bool:
        from jetscale.compute.notice import told_to_end

        return self.ranks.any(told_to_end())
