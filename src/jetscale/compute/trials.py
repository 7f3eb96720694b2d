"""Everything that touches Ray's scheduler: connecting, counting resources, running trials.

A Tune trial is a light driver that starts a Ray Train worker group. Two things must never happen,
because Ray then waits for ever without a word: drivers that leave no CPU for their workers, and a
worker group that is retried without limit. So drivers ask for a sliver, the sum of resources is
checked before anything starts, and failures are counted.
"""

import io
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jetscale.errors import Failure, SweepError
from jetscale.plan import Trial
from jetscale.sweep.worker import Job, run_job

DRIVER_CPU = 0.01
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the cluster offers to trials."""

    cpus: int
    gpus: int
    slots: int
    """Trials that fit at the same time."""
    local: bool
    """True where Ray runs on this machine alone."""

    @property
    def device(self) -> str:
        """Where runs are trained."""
        return "cuda" if self.gpus else "cpu"


@contextmanager
def connected(address: str | None, home: Path) -> Iterator[Capacity]:
    """A Ray connection for the length of the block.

    Raises
    ------
    SweepError
        The address does not answer, the cluster is too small, or a node does not see ``home``.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    address = _joined(address)
    _probe(address)
    try:
        ray.init(**_init_arguments(address))
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        where = address or "this machine"
        raise SweepError(f"Ray on {where} does not answer: {_line(error)}") from error
    _protect_token()
    try:
        capacity = _capacity(ray.cluster_resources(), local=address is None)
        if address is not None:
            _check_shared(home)
        yield capacity
    finally:
        ray.shutdown()


def _protect_token() -> None:
    """Ray writes its token readable for everyone; it opens the cluster to whoever has it."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with suppress(OSError):
        token.chmod(0o600)


def check(address: str | None, home: Path) -> None:
    """Connect to a cluster once, so that a wrong address fails before jets are simulated."""
    if _joined(address) is not None:
        with connected(address, home):
            pass


def _probe(address: str | None) -> None:
    """Raise SweepError if nobody listens at HOST:PORT; Ray itself would try for many minutes."""
    match = re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address or "")
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=10).close()
    except OSError as error:
        raise SweepError(
            f"Ray on {address} does not answer: {error.strerror or error}; check --address"
        ) from error


def _joined(address: str | None) -> str | None:
    """The cluster to join: the one asked for, or the one this process was started in."""
    return address or os.environ.get("RAY_ADDRESS")


def _init_arguments(address: str | None) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": "CRITICAL"}  # we report errors, in a line
    if address is not None:
        return {"address": address, **quiet}
    # one CPU more than there are cores: drivers and data tasks need a share while workers train
    return {
        "address": "local",  # not a cluster that happens to run on this machine
        "num_cpus": cores() + 1,
        "include_dashboard": False,
        "object_store_memory": 1_000_000_000,
        **quiet,
    }


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _capacity(resources: dict[str, float], *, local: bool) -> Capacity:
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    free = cpus - 1  # the last one is for drivers
    slots = min(gpus, free) if gpus else free
    if slots < 1:
        raise SweepError(
            f"the cluster has {cpus} CPUs; a sweep needs at least 2 (one for trials, one to drive)"
        )
    return Capacity(cpus=cores() if local else cpus, gpus=gpus, slots=slots, local=local)


def _check_shared(home: Path) -> None:
    """Every node must see the results folder, or records written there would be lost."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    @ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
    def sees(path: str) -> bool:
        return Path(path).is_dir()

    for node in ray.nodes():
        if not node["Alive"]:
            continue
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        if not ray.get(sees.options(scheduling_strategy=strategy).remote(str(home.resolve()))):
            raise SweepError(
                f"node {node['NodeManagerAddress']} does not see {home.resolve()}: set "
                "JETSCALE_HOME to a folder on a file system that all nodes share"
            )


def train(trials: Sequence[Trial], job: Job, storage: Path, capacity: Capacity) -> list[Failure]:
    """Run the trials; returns the failure of each that did not finish.

    Raises
    ------
    KeyboardInterrupt
        The user stopped the sweep; finished runs are kept.
    """
    from ray import tune

    stamp = f"{time.time():.0f}"  # a finished run name would silently resume
    chosen = {trial.name: trial for trial in trials}
    resources = {"CPU": 1.0, "GPU": 1.0} if capacity.gpus else {"CPU": 1.0}

    def drive(config: dict[str, str]) -> None:
        runs = chosen[config["trial"]].runs
        _worker_group(replace(job, runs=runs), f"{config['trial']}-{stamp}", storage, resources)

    tuner = tune.Tuner(
        tune.with_resources(drive, {"CPU": DRIVER_CPU}),
        param_space={"trial": tune.grid_search(list(chosen))},
        tune_config=tune.TuneConfig(max_concurrent_trials=capacity.slots),
        run_config=tune.RunConfig(
            name=f"{job.study.name}-{stamp}", storage_path=str(storage.resolve()), verbose=0
        ),
    )
    with redirect_stdout(io.StringIO()):  # Tune's own tables; progress goes to standard error
        results = tuner.fit()
    return [_failure(error) for error in results.errors]


def _failure(error: BaseException) -> Failure:
    kind, _, reason = _line(error).partition(": ")
    return Failure(kind=kind, reason=reason or kind)


def _line(error: BaseException) -> str:
    """The last line of an error that names one; Ray's carry a whole traceback as text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error: " in line]
    line = (named or lines or [type(error).__name__])[-1]
    return line.removeprefix("jetscale.errors.")


def _worker_group(job: Job, name: str, storage: Path, resources: dict[str, float]) -> None:
    """One Ray Train worker group for one trial; a killed worker is replaced and goes on."""
    import ray.train
    from ray.train.torch import TorchTrainer

    TorchTrainer(
        train_trial,
        train_loop_config={"job": job},
        scaling_config=ray.train.ScalingConfig(
            num_workers=1, use_gpu="GPU" in resources, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=str(storage.resolve()),
            failure_config=ray.train.FailureConfig(max_failures=3, controller_failure_limit=3),
        ),
    ).fit()


def train_trial(config: dict[str, Any]) -> None:
    """What Ray Train runs in the worker: the runs of its job, one report at the end.

    A report waits for the controller, a quarter of a second each; records tell of single runs.
    """
    import ray.train
    import torch

    torch.set_num_threads(1)
    ray.train.report(run_job(config["job"]))
