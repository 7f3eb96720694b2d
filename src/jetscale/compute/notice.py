"""Hearing SIGTERM in a training worker: what a spot machine gets before it goes.

Ray Train calls the training function in a thread, where no signal can be handled, and Ray's own
handler ends the process at once. The backend of a worker group, however, is set up in the main
thread of each worker, and Ray calls that thread every second to see how training goes.
"""

import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ray.train.backend import Backend
from ray.train.torch import TorchConfig

from jetscale.compute.interface import use_interface_of_node

_TOLD = threading.Event()


@dataclass
class NoticeConfig(TorchConfig):  # type: ignore[misc]
    """The process group of torch, between nodes too, in workers that hear SIGTERM."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What sets up the workers."""
        kind: type[Any] = super().backend_cls

        class Listening(kind):  # type: ignore[misc]
            def on_start(self, worker_group: Any, backend_config: Any) -> None:
                worker_group.execute(use_interface_of_node)
                super().on_start(worker_group, backend_config)
                worker_group.execute(listen)

        return Listening


def listen() -> None:
    """Remember SIGTERM in this process instead of ending."""
    _TOLD.clear()  # the process may have served another group
    with suppress(ValueError):  # not the main thread: then the process ends as Ray wants it
        signal.signal(signal.SIGTERM, lambda number, frame: _TOLD.set())


def told_to_end() -> bool:
    """Whether this worker got SIGTERM."""
    return _TOLD.is_set()
