"""Files that no crash, full disk or second process leaves half written, and damaged ones read."""

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from jetscale.errors import StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EACCES: "no permission to write there; choose a folder you own",
    errno.EPERM: "no permission to write there; choose a folder you own",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another folder",
    errno.ELOOP: "it is a link to another place; remove it",
    errno.EEXIST: "a file of that name is in the way; choose another folder",
    errno.ENOTEMPTY: "another process has just made it; run again",
}
_SCRATCH = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]{1,9})\.\w{8}")
_OLD = 7 * 86400  # seconds
_ROOM = 100_000  # bytes
_LONGEST = 1000  # characters of a path inside a folder


def storage_error(path: Path, error: OSError, *, verb: str = "write") -> StorageError:
    """A one-line StorageError for an operating-system refusal."""
    reason = error.strerror or str(error)
    if verb == "write" or error.errno == errno.ENOTDIR:
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

    Works for a file or a folder; a folder replaces none that has something in it. Whatever fails,
    ``path`` is either as before or complete. Raises StorageError where the disk or folder refuses.
    """
    make_folder(path.parent)
    try:
        prefix = f".{path.name[:50]}.{_kernel()}-{os.getpid()}."
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield (temporary := scratch / path.name)
        for part in (*temporary.rglob("*"), temporary):
            _sync(part)
        temporary.replace(path)
        _sync(path.parent)  # its list of names, or the old file is there after a power cut
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@cache
def _kernel() -> str:
    """What tells a machine since it was started, and a container on it, from all others."""
    told = [socket.gethostname()]
    with suppress(OSError):  # not on Linux
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        told.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256(" ".join(told).encode()).hexdigest()[:8]


def clear_scratch(folder: Path) -> None:
    """Remove what killed processes left of `atomic_path` in a folder and in those in it.

    What was begun on another machine is left there for a week: its process may live.
    """
    with suppress(OSError):  # one goes at this moment; the others can wait
        for path in (*folder.glob(".*"), *folder.glob("*/.*")):
            found = _SCRATCH.fullmatch(path.name)
            if found and (_is_gone(*found.groups()) or path.stat().st_mtime < time.time() - _OLD):
                shutil.rmtree(path, ignore_errors=True)


def _is_gone(kernel: str, process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except OSError as error:
        return kernel == _kernel() and error.errno == errno.ESRCH
    return False


def _sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError:
        if not path.is_dir():  # some shared file systems sync no folders
            raise
    finally:
        os.close(file)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; non-finite numbers are refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(source: Path | bytes | str) -> dict[str, Any] | None:
    """The JSON object in a file or text; None where there is none, or no file that can be read."""
    try:
        value = json.loads(source.read_bytes() if isinstance(source, Path) else source)
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def fits(value: Any, kind: Any, depth: int = 32) -> bool:
    """Whether a value read from JSON is of a type, with finite numbers of at most 64 bits.

    Values that are nested deeper than ``depth`` are of none.

    >>> fits({"a": [1, 2.5]}, dict[str, list[float]]), fits({"a": True}, dict[str, int])
    (True, False)
    """
    if kind is Any:
        kind = {"dict": dict[str, Any], "list": list[Any]}.get(type(value).__name__, type(value))
    origin, inner = _shape(kind)
    if depth == 0:
        return False
    if origin is UnionType:
        return any(fits(value, each, depth) for each in inner)
    if origin is Mapping:
        items = value.values() if inner and isinstance(value, dict) else ()
        return isinstance(value, dict) and all(fits(item, inner[1], depth - 1) for item in items)
    if origin in (list, tuple):
        return isinstance(value, list) and all(fits(item, inner[0], depth - 1) for item in value)
    if type(value) is int:
        return origin in (int, float) and abs(value) < 2**63
    return type(value) is origin and (origin is not float or math.isfinite(value))


@cache  # a record has two hundred values of a dozen types
def _shape(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """What a type is made of: `Mapping` for any mapping, else its class, and what is inside."""
    origin = get_origin(kind) or kind
    return (Mapping if issubclass(origin, Mapping) else origin), get_args(kind)


def size_of(path: Path) -> int | None:
    """Bytes of a file; None where there is none, or no file can have that name."""
    # os.path knows such names, those of a Path raise
    return path.stat().st_size if os.path.isfile(path) else None  # noqa: PTH113


def is_file_name(name: str) -> bool:
    """Whether a name read from a file leads to a file of the same folder, on any system.

    >>> is_file_name("block-00000.arrow"), is_file_name("../a"), is_file_name("C:a")
    (True, False, False)
    """
    return bool(re.fullmatch(r"[^/\\:\x00-\x1f\x7f]{1,200}", name)) and name not in (".", "..")


def is_inside(name: str) -> bool:
    """Whether a path read from a file leads to a file below the folder of that file.

    >>> is_inside("part-1/shard-00000.parquet"), is_inside("a/../../b"), is_inside("/etc/passwd")
    (True, False, False)
    """
    return len(name) <= _LONGEST and all(map(is_file_name, name.split("/")))


def sha256_of(path: Path) -> str | None:
    """SHA-256 of a file in hex; None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def check_space(folder: Path) -> None:
    """Raise StorageError if the disk of a folder has no room left for even a record."""
    if shutil.disk_usage(folder).free < _ROOM:
        raise storage_error(folder, OSError(errno.ENOSPC, "No space left on device"))


@contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False) -> Iterator[None]:
    """Hold a file lock for the length of the block; it goes with the process, however that ends.

    Several processes may hold a ``shared`` one, while none holds it alone. Raises BlockingIOError
    where another process is in the way and ``wait`` is false.
    """
    make_folder(path.parent)
    while True:
        try:  # not truncated, and no link is followed: it could lead to any file of the user's
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.fdopen(os.open(path, flags, 0o666), "r+")
        except OSError as error:
            raise storage_error(path, error) from error
        with file:
            try:
                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
                # who had the lock may have removed its file: then this one keeps nobody out
                found = path.lstat()
            except BlockingIOError:
                raise
            except FileNotFoundError:
                continue
            except OSError as error:  # some shared file systems have no locks
                raise storage_error(path, error, verb="lock") from error
            if os.path.samestat(found, os.fstat(file.fileno())):
                yield
                return
