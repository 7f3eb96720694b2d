"""The jets of a sweep before it trains: simulated or checked, made streams, kept at the address.

Where results are at an address, the driver makes them in its working copy and puts them there;
nodes fetch the streams they read. Where results are a folder, all nodes see it and help.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from jetscale.compute.capacity import Capacity
from jetscale.compute.streams import prepare
from jetscale.compute.tasks import RayExecutor
from jetscale.executor import Executor, process_pool
from jetscale.machines import cores
from jetscale.mixtures.assemble import assemble, stream_folders
from jetscale.mixtures.declared import Progress
from jetscale.mixtures.inputs import stream_plans
from jetscale.mixtures.stream import INDEX
from jetscale.store.copies import fetch_folder, put_folder
from jetscale.store.home import Home
from jetscale.store.local import locked
from jetscale.study import Study
from jetscale.sweep.shards import keep_shards


def prepare_streams(
    study: Study, home: Home, capacity: Capacity, progress: Progress
) -> dict[str, Path]:
    """Folder of every stream of a study on this machine; Ray must be connected.

    Raises as `jetscale.mixtures.inputs.ensure_shards` and `jetscale.compute.streams.prepare`, and
    StorageError where jets cannot be fetched or put.
    """
    report = partial(progress, "preparing streams")
    with _executor(home, capacity) as executor, locked(home.preparing_lock):
        plans = stream_plans(study, keep_shards(study, home, executor, progress))
        for folder in stream_folders(plans, home.streams).values() if home.address else ():
            fetch_folder(home, folder, INDEX)
        if _alone(home, capacity):
            streams = assemble(plans, home.streams, executor, report)
        else:
            streams = prepare(plans, home.streams, report)
    for folder in streams.values():
        put_folder(home, folder, INDEX)
    return streams


def _alone(home: Home, capacity: Capacity) -> bool:
    """Whether other nodes cannot help: they do not see the working copy of this machine."""
    return bool(home.address) and not capacity.local


@contextmanager
def _executor(home: Home, capacity: Capacity) -> Iterator[Executor]:
    if _alone(home, capacity):
        with process_pool(cores()) as pool:
            yield pool
        return
    # a cluster may grow meanwhile; this machine keeps a core for Ray
    yield RayExecutor(capacity.cpus if capacity.local else None)
