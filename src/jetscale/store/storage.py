"""Storage: the files of a results folder by name, wherever they lie.

Records, failures and signs of life are read and written through this protocol alone; larger files
are copied between a storage and the working copy of this machine.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from jetscale.store.local import atomic_path, locked, storage_error


class Held(BlockingIOError):
    """Another process holds a lock; ``owner`` tells who, where that is known."""

    def __init__(self, owner: str = "") -> None:
        super().__init__(owner)
        self.owner = owner


class Storage(Protocol):
    """Files by name, such as ``records/0123.json``; a file is whole or not there.

    Every method raises StorageError, one line, where the storage refuses or does not answer.
    """

    def read(self, name: str) -> bytes | None:
        """Content of a file; None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Put a file in place, at once and durably."""

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where there is no folder."""

    def put(self, name: str, path: Path) -> None:
        """Put the content of a file of this machine in place, as `write` does."""

    def fetch(self, name: str, path: Path) -> bool:
        """Make ``path`` a copy of a file, whole or not at all; False where there is no file."""

    def lock(self, name: str, *, wait: bool = True) -> AbstractContextManager[None]:
        """Hold a lock for the length of a block; `Held` if another does and ``wait`` is false."""


class LocalStorage:
    """`Storage` in a folder of this machine, or one that all nodes of a cluster share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """See `Storage.read`."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(self.folder / name, error, verb="read") from error

    def write(self, name: str, content: bytes) -> None:
        """See `Storage.write`."""
        with atomic_path(self.folder / name) as temporary:
            temporary.write_bytes(content)

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(self.folder / name, error) from error

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where there is no folder."""
        try:
            # a Path for each of ten thousand names takes longer than the listing
            found = os.listdir(self.folder / folder)  # noqa: PTH208
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(self.folder / folder, error, verb="read") from error
        return sorted(f"{folder}/{name}" for name in found if not name.startswith("."))

    def put(self, name: str, path: Path) -> None:
        """See `Storage.put`."""
        with atomic_path(self.folder / name) as temporary:
            shutil.copyfile(path, temporary)

    def fetch(self, name: str, path: Path) -> bool:
        """See `Storage.fetch`."""
        if not (self.folder / name).is_file():
            return False
        with atomic_path(path) as temporary:
            shutil.copyfile(self.folder / name, temporary)
        return True

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """A file lock: it goes with the process, however that ends."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder / name, wait=wait))
            except BlockingIOError as error:
                raise Held from error
            yield
