"""Running trials: Ray Tune schedules them, Ray Train trains each in a worker group of its own.

A Tune trial is a light driver that starts a Ray Train worker group. Two things must never happen,
because Ray then waits for ever without a word: drivers that leave no CPU for their workers, and a
worker group that is retried without limit. So drivers ask for a sliver, `jetscale.compute.connect`
counts the CPUs before anything starts, and failures are counted here.
"""

import io
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any, TypeVar
from uuid import uuid4

from jetscale.compute.connect import Capacity
from jetscale.errors import Failure, JetscaleError

J = TypeVar("J")
Work = Callable[[J], Mapping[str, int]]
"""What a worker does with a job; returns how many runs were trained and failed."""

DRIVER_CPU = 0.01
LOST_NODES = 2  # how often a trial starts again on another node after its driver's node was lost


def train(
    name: str, jobs: Mapping[str, J], work: Work[J], storage: str, capacity: Capacity
) -> list[Failure]:
    """Call ``work`` with the job of every trial; returns the failure of each that did not finish.

    ``storage`` is where Ray keeps its own state, a folder or an address that all nodes reach. A
    failure travels as a value: the worker returns it to Train, the driver reports it to Tune.
    Raises KeyboardInterrupt where the user stopped the sweep; finished runs are kept.
    """
    from ray import tune

    resources = {"CPU": 1.0, "GPU": 1.0} if capacity.gpus else {"CPU": 1.0}

    def drive(config: dict[str, str]) -> None:
        trial = config["trial"]
        tune.report(train_on_workers(jobs[trial], work, trial, storage, resources))

    tuner = tune.Tuner(
        tune.with_resources(drive, {"CPU": DRIVER_CPU}),
        param_space={"trial": tune.grid_search(list(jobs))},
        tune_config=tune.TuneConfig(max_concurrent_trials=capacity.slots),
        run_config=tune.RunConfig(
            name=f"{name}-{time.time():.0f}",  # a finished name would silently resume
            storage_path=storage,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=LOST_NODES),
        ),
    )
    with redirect_stdout(io.StringIO()):  # Tune's own tables; progress goes to standard error
        results = tuner.fit()
    failures = [Failure(**r.metrics["failure"]) for r in results if r.metrics.get("failure")]
    return failures + [Failure.of(error) for error in results.errors]


def train_on_workers(
    job: J, work: Work[J], trial: str, storage: str, resources: dict[str, float]
) -> dict[str, Any]:
    """What `train_trial` did in a worker group, or ``failure``; a killed worker is replaced."""
    import ray.train
    from ray.train import ControllerError, WorkerGroupError
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        train_trial,
        train_loop_config={"job": job, "work": work},
        scaling_config=ray.train.ScalingConfig(
            num_workers=1, use_gpu="GPU" in resources, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            name=f"{trial}-{uuid4().hex[:8]}",
            storage_path=storage,
            failure_config=ray.train.FailureConfig(max_failures=3, controller_failure_limit=3),
        ),
    )
    try:
        return dict(trainer.fit().return_value)
    except WorkerGroupError as error:
        return {"failure": asdict(Failure.of(next(iter(error.worker_failures.values()), error)))}
    except ControllerError as error:
        return {"failure": asdict(Failure.of(error.controller_failure))}


def train_trial(config: dict[str, Any]) -> dict[str, Any]:
    """How many runs of its job a worker trained, or ``failure`` where a retry would not help."""
    import torch

    torch.set_num_threads(1)
    try:
        return dict(config["work"](config["job"]))
    except JetscaleError as error:
        return {"failure": asdict(Failure.of(error))}
