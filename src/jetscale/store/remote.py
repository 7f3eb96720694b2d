"""Storage at an address such as ``s3://bucket/prefix``: an object store that fsspec opens.

An object store puts an object at once, so nobody sees half of one. ``memory://`` is there for
tests: only this process sees it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from jetscale.errors import JetscaleError, MissingExtra, StorageError
from jetscale.store.lease import lease
from jetscale.store.local import atomic_path

_DRIVERS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs"}
_REASONS = (  # in the name of an error's class or its text, and what to do
    ("Credential", "no credentials on this machine; set them up as the store's own tools want"),
    ("Forbidden", "no permission; check the credentials of this machine and the bucket's policy"),
    ("Permission", "no permission; check the credentials of this machine and the bucket's policy"),
    ("Endpoint", "the store does not answer; check the network and the address of the service"),
    ("Connect", "the store does not answer; check the network and the address of the service"),
    ("Timeout", "the store does not answer; check the network and the address of the service"),
)
_ONE_AT_A_TIME = threading.Lock()  # creating a file in memory looks first and then writes


class RemoteStorage:
    """`jetscale.store.storage.Storage` at an address; opening it asks nobody anything.

    Raises StorageError for an address of no known kind, MissingExtra where its package is missing.
    """

    def __init__(self, address: str) -> None:
        import fsspec

        self.address = address.rstrip("/")
        scheme = address.partition("://")[0]
        try:
            self._files, root = fsspec.url_to_fs(self.address, use_listings_cache=False)
        except ImportError as error:
            raise MissingExtra(_DRIVERS.get(scheme, scheme), "cloud-storage") from error
        except ValueError as error:
            raise StorageError(
                f"results address {address}: {error}; use a folder, s3://bucket/name or "
                "gs://bucket/name"
            ) from error
        self._root = str(root).rstrip("/")
        # a store in memory has no buckets that must be made first
        self._reached = scheme == "memory"

    def read(self, name: str) -> bytes | None:
        """See `Storage.read`."""
        with self._refusals("read", name):
            try:
                content = bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                self._check_bucket()
                return None
            self._reached = True
            return content

    def write(self, name: str, content: bytes) -> None:
        """See `Storage.write`."""
        with self._refusals("write", name):
            self._files.pipe_file(self._path(name), content)

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        with self._refusals("write", name):
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                self._check_bucket()

    def names(self, folder: str) -> list[str]:
        """See `Storage.names`."""
        with self._refusals("read", folder):
            try:
                found = self._files.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                self._check_bucket()
                return []
        files = (e["name"].rpartition("/")[2] for e in found if e["type"] == "file")
        # other tools mark folders by empty objects, whose names end with a slash
        return sorted(f"{folder}/{name}" for name in files if name)

    def put(self, name: str, path: Path) -> None:
        """See `Storage.put`."""
        with self._refusals("write", name):
            self._files.put_file(str(path), self._path(name))

    def fetch(self, name: str, path: Path) -> bool:
        """See `Storage.fetch`."""
        with self._refusals("read", name):
            if not self._files.exists(self._path(name)):
                self._check_bucket()
                return False
        with atomic_path(path) as temporary, self._refusals("read", name):
            self._files.get_file(self._path(name), str(temporary))
        return True

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that is not there yet; False where it is, whoever was faster."""
        with self._refusals("write", name), _ONE_AT_A_TIME:
            try:
                self._files.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if "ConditionalRequestConflict" in str(error):  # another is just writing it
                    return False
                raise
        return True

    def arrow(self, folder: str) -> tuple[Any, str]:
        """A pyarrow file system, and the path of a folder in it: the same client for those."""
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return PyFileSystem(FSSpecHandler(self._files)), self._path(folder)

    def lock(self, name: str, *, wait: bool = True) -> AbstractContextManager[None]:
        """A lease (see `jetscale.store.lease`): a file that its holder renews."""
        return lease(self, name, wait=wait)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _check_bucket(self) -> None:
        """Raise FileNotFoundError where a file is missing because its bucket is."""
        if not self._reached and not self._files.exists(bucket := self._root.partition("/")[0]):
            raise FileNotFoundError(bucket)
        self._reached = True

    @contextmanager
    def _refusals(self, verb: str, name: str) -> Iterator[None]:
        """Turn what the file systems raise, each its own, into one line that says what to do."""
        try:
            yield
        except JetscaleError:
            raise
        except FileNotFoundError as error:
            reason = "there is no such bucket; make it, or correct JETSCALE_HOME"
            raise StorageError(f"cannot {verb} {self.address}/{name}: {reason}") from error
        except Exception as error:
            kind, text = type(error).__name__, " ".join(str(error).split())
            known = (fix for word, fix in _REASONS if word in kind or word in text)
            reason = next(known, f"{kind}: {text[:200]}")
            raise StorageError(f"cannot {verb} {self.address}/{name}: {reason}") from error


@lru_cache(maxsize=64)
def _opened(address: str, process: int) -> RemoteStorage:
    return RemoteStorage(address)


def storage_at(address: str) -> RemoteStorage:
    """The storage at an address, opened once in a process; raises as `RemoteStorage`."""
    return _opened(address, os.getpid())
