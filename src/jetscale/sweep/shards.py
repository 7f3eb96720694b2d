"""The shards of a study, kept at the address of its results where they have one."""

from pathlib import Path

from jetscale.executor import Executor
from jetscale.jets.shards.manifest import MANIFEST
from jetscale.mixtures.declared import Progress
from jetscale.mixtures.inputs import ensure_shards, shard_folders
from jetscale.store.copies import fetch_folder, put_folder
from jetscale.store.home import Home
from jetscale.study import Study


def keep_shards(
    study: Study, home: Home, executor: Executor, progress: Progress
) -> dict[str, Path]:
    """What `jetscale.mixtures.inputs.ensure_shards` returns; only what the address lacks is made.

    Raises what that raises, and StorageError where shards cannot be fetched or put.
    """
    folders = shard_folders(study, home.path)
    for folder in folders:
        fetch_folder(home, folder, MANIFEST)
    shards = ensure_shards(study, home.path, executor, progress)
    for folder in folders:
        put_folder(home, folder, MANIFEST)
    return shards
