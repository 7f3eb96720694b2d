"""Storage: the small files of a study by name, wherever they lie.

Records, failures and signs of life are read and written through this protocol alone.
"""

from pathlib import Path
from typing import Protocol

from jetscale.store.local import atomic_path, storage_error


class Storage(Protocol):
    """Files by name, such as ``records/0123.json``; a file is whole or not there."""

    def read(self, name: str) -> bytes | None:
        """Content of a file; None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Put a file in place, at once and durably; raises StorageError where that is refused."""

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where there is no folder."""


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
            found = [path.name for path in (self.folder / folder).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(self.folder / folder, error, verb="read") from error
        return sorted(f"{folder}/{name}" for name in found if not name.startswith("."))
