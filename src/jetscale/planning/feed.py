"""Feeds: where a worker gets its runs from, and whom it tells how they ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from jetscale.errors import Failure
from jetscale.planning.run import Run


class Feed(Protocol):
    """The runs of a worker, one after another."""

    def __iter__(self) -> Iterator[Run]:
        """The next runs, as long as there are some."""

    def saved(self, run: Run) -> None:
        """A run has another checkpoint."""

    def tell(self, run: Run, failure: Failure | None, recomputed: int) -> None:
        """A run has its record, or failed; ``recomputed`` steps were made for the second time."""

    def stop(self) -> bool:
        """Whether this process was told to end soon, as a spot machine is."""


@dataclass(slots=True)
class Listed:
    """The feed of a worker that knows all its runs from the start."""

    runs: Sequence[Run]
    recomputed: int = 0  # steps made for the second time

    def __iter__(self) -> Iterator[Run]:
        yield from self.runs

    def saved(self, run: Run) -> None:
        """Nobody counts the deaths of this worker."""

    def tell(self, run: Run, failure: Failure | None, recomputed: int) -> None:
        """See `Feed.tell`."""
        self.recomputed += recomputed

    def stop(self) -> bool:
        """Nobody tells it."""
        return False
