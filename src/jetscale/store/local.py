"""Writing files so that a crash, a full disk or a second process never leaves half a file."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jetscale.errors import StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EACCES: "no permission to write there; choose a folder you own",
    errno.EPERM: "no permission to write there; choose a folder you own",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another folder",
    errno.EEXIST: "a file of that name is in the way; choose another folder",
}
_ROOM = 100_000  # bytes


def storage_error(path: Path, error: OSError, *, verb: str = "write") -> StorageError:
    """A one-line StorageError for an operating-system refusal."""
    reason = error.strerror or str(error)
    if verb == "write":
        reason = _REASONS.get(error.errno or 0, reason)
    return StorageError(f"cannot {verb} {path}: {reason}")


def make_folder(path: Path) -> Path:
    """The folder, made with its parents; raises StorageError if that is refused."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    return path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block ends well.

    Works for a file or a folder; a folder replaces an existing one. Whatever fails, ``path`` is
    either as before or complete. Raises StorageError where the disk or the folder refuses.
    """
    make_folder(path.parent)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise storage_error(path, error) from error
    replaced = scratch / "replaced"
    try:
        yield (temporary := scratch / path.name)
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        try:  # a folder in the way steps aside first, and comes back if the renaming fails
            if path.is_dir() and temporary.is_dir():
                path.rename(replaced)
            temporary.replace(path)
        finally:
            if replaced.exists() and not path.exists():
                replaced.rename(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        if path.exists() or not replaced.exists():  # else the only copy of the old folder is here
            shutil.rmtree(scratch, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; non-finite numbers are refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def check_space(folder: Path) -> None:
    """Raise StorageError if the disk of a folder has no room left for even a record."""
    if shutil.disk_usage(folder).free < _ROOM:
        raise storage_error(folder, OSError(errno.ENOSPC, "No space left on device"))


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a file lock for the length of the block; it goes with the process, however that ends.

    Raises BlockingIOError where another process holds it and ``wait`` is false.
    """
    make_folder(path.parent)
    try:
        file = path.open("w")
    except OSError as error:
        raise storage_error(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:  # some shared file systems have no locks
            raise storage_error(path, error, verb="lock") from error
        yield
