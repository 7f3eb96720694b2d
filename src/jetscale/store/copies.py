"""Folders that never change, such as streams, between a results address and a working copy.

What completes a folder, its index, is put last: a folder with an index is whole.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from jetscale.errors import StorageError
from jetscale.store.home import Home
from jetscale.store.local import atomic_path, locked
from jetscale.store.storage import Held, Storage


def fetch_folder(home: Home, folder: Path, index: str) -> bool:
    """Copy a folder of the working copy from the address, whole or not at all.

    Nothing is fetched that is there. False where the address has no such folder, or ``home`` none.
    """
    if not home.address or (folder / index).is_file():
        return (folder / index).is_file()
    storage, base = home.storage, home.name_of(folder)
    # two workers of one machine may want it at the same time
    with locked(folder.with_name(f".{folder.name}.lock")):
        if (folder / index).is_file():
            return True
        names = storage.names(base)
        if f"{base}/{index}" not in names:
            return False
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            for name in names:
                if not storage.fetch(name, temporary / Path(name).name):
                    raise StorageError(f"{home.address}/{name}: gone while it was fetched")
            if folder.exists():  # without its index
                folder.rename(temporary.with_name("damaged"))
    return True


def put_folder(home: Home, folder: Path, index: str) -> None:
    """Put a folder of the working copy at the address, its index last; once is enough."""
    if not home.address or f"{home.name_of(folder)}/{index}" in home.storage.names(
        home.name_of(folder)
    ):
        return
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    for path in sorted(files, key=lambda path: path.name == index):
        home.put(path)


@contextmanager
def storage_check(home: Home) -> Iterator[Callable[[], None]]:
    """A function that every node of a sweep is to call before anything is trained.

    It raises StorageError, one line, where the node does not see the file that is there for the
    length of the block, may not write, read and delete in the storage of ``home``, or gets a lock
    twice.
    """
    name = f"check/{uuid.uuid4().hex}"
    home.storage.write(name, name.encode())
    try:
        yield partial(check_storage, home, name)
    finally:
        home.storage.delete(name)


def check_storage(home: Home, seen: str) -> None:
    """Raise StorageError where this machine does not see ``seen``, or cannot use the storage.

    ``seen`` is the name of a file that holds its name.
    """
    storage, own = home.storage, f"check/{uuid.uuid4().hex}"
    if storage.read(seen) != seen.encode():
        raise StorageError(f"cannot read {home.where}/{seen}: it is not the same storage here")
    storage.write(own, own.encode())
    if storage.read(own) != own.encode():
        raise StorageError(f"cannot read {home.where}/{own}: what was written there does not last")
    storage.delete(own)
    if not _locks(storage, f"{own}.lock"):
        raise StorageError(
            f"{home.where} gives one lock to two: two sweeps could train the same runs; use a file "
            "system with locks (flock), or a store with conditional writes (If-None-Match)"
        )


def _locks(storage: Storage, name: str) -> bool:
    """Whether who asks for a lock that is held is told so."""
    with ExitStack() as stack:
        stack.callback(storage.delete, name)  # a file lock leaves its file
        stack.enter_context(storage.lock(name, wait=False))
        try:
            stack.enter_context(storage.lock(name, wait=False))
        except Held:
            return True
    return False
