"""Locks where there are no file locks: a lease is a small file that its holder renews.

Taking one is a conditional write, which an object store gives to one of many. Who dies leaves a
lease that is not renewed; after `STALE_SECONDS` another may take it over, so the clocks of the
machines must agree to well within that. A holder that was asleep for longer finds its lease lost
and stops renewing it: a lease keeps two sweeps from training the same runs, and records stay right
without it.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from jetscale.errors import StorageError
from jetscale.store.local import fits, read_json
from jetscale.store.storage import Held

RENEW_SECONDS = 10.0
STALE_SECONDS = 60.0  # a lease that was not renewed for this long may be taken over
LOOK_SECONDS = 0.5  # between two looks of one who waits


class Files(Protocol):
    """What a lease needs of a storage; `create` is False where the file is there."""

    def read(self, name: str) -> bytes | None: ...  # noqa: D102
    def write(self, name: str, content: bytes) -> None: ...  # noqa: D102
    def delete(self, name: str) -> None: ...  # noqa: D102
    def create(self, name: str, content: bytes) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What the file of a lease says."""

    id: str  # of one holding
    owner: str  # for people
    time: float  # unix time of the last sign of life

    @classmethod
    def parse(cls, content: bytes) -> "Lease":
        """The lease that a file holds; what is none is stale from the start."""
        value = read_json(content) or {}
        good = all(fits(value.get(name), kind) for name, kind in _KINDS.items())
        return cls(**{k: value[k] for k in _KINDS}) if good else cls(id="?", owner="?", time=0.0)

    @property
    def stale(self) -> bool:
        """Whether its holder has not been heard of for too long."""
        return time.time() - self.time > STALE_SECONDS

    def to_json(self) -> bytes:
        """The content of its file."""
        return json.dumps(asdict(self)).encode()


_KINDS = {"id": str, "owner": str, "time": float}


@contextmanager
def lease(files: Files, name: str, *, wait: bool) -> Iterator[None]:
    """Hold the lease ``name`` for the length of the block.

    Raises Held with the owner where it is held and ``wait`` is false, StorageError where the
    storage refuses.
    """
    owner = f"{socket.gethostname()} (process {os.getpid()})"
    mine = Lease(id=uuid.uuid4().hex, owner=owner, time=time.time())
    while (other := _take(files, name, mine)) is not None:
        if not wait:
            ago = max(0, round(time.time() - other.time))
            raise Held(f"{other.owner}, heard of {ago} s ago, given up after {STALE_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(files, name, mine, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(StorageError):  # it goes stale by itself
            if _held_by(files, name) == mine.id:
                files.delete(name)


def _take(files: Files, name: str, mine: Lease) -> Lease | None:
    """Try to make a lease mine; None where that worked, else the lease of the holder."""
    content, held = replace(mine, time=time.time()).to_json(), replace(mine, owner="another")
    for _ in range(3):
        if files.create(name, content):
            return None
        if found := files.read(name):  # else it was given back between the two lines
            held = Lease.parse(found)
            break
    if not held.stale:
        return held
    # of all who find it stale one may replace it: the one who writes the claim to this very lease
    claim = f"{name}.{held.id}"
    if not files.create(claim, content):
        claimed = files.read(claim)
        if claimed and Lease.parse(claimed).stale:  # who wrote it died before the next lines
            files.delete(claim)
        return held
    won = _held_by(files, name) == held.id
    if won:
        files.write(name, content)
    files.delete(claim)
    return None if won else held


def _held_by(files: Files, name: str) -> str | None:
    content = files.read(name)
    return Lease.parse(content).id if content else None


def _renew(files: Files, name: str, mine: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEW_SECONDS):
        with suppress(StorageError):  # a store that is away for a moment
            if _held_by(files, name) != mine.id:
                return
            files.write(name, replace(mine, time=time.time()).to_json())
