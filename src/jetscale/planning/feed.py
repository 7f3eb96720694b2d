"""Feeds: where a worker gets its runs from, and whom it tells how they ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from jetscale.errors import Failure
from jetscale.planning.run import Run


class Feed(Protocol):
    """The runs of a worker, one stack after another."""

    def __iter__(self) -> Iterator[tuple[Run, ...]]:
        """The next runs, as long as there are some; those of a stack are trained in lock step."""

    def saved(self, run: Run) -> None:
        """A run has another checkpoint."""

    def tell(self, run: Run, failure: Failure | None, recomputed: int) -> None:
        """A run has its record, or failed; ``recomputed`` steps were made for the second time."""

    def stop(self) -> bool:
        """Whether this process was told to end soon, as a spot machine is."""


@dataclass(slots=True)
class Listed:
    """The feed of a worker that knows all its stacks from the start."""

    stacks: Sequence[tuple[Run, ...]]
    recomputed: int = 0  # steps made for the second time

    @classmethod
    def alone(cls, runs: Sequence[Run]) -> "Listed":
        """The feed of a worker that trains each run by itself."""
        return cls([(run,) for run in runs])

    def __iter__(self) -> Iterator[tuple[Run, ...]]:
        yield from self.stacks

    def saved(self, run: Run) -> None:
        """Nobody counts the deaths of this worker."""

    def tell(self, run: Run, failure: Failure | None, recomputed: int) -> None:
        """See `Feed.tell`."""
        self.recomputed += recomputed

    def stop(self) -> bool:
        """Nobody tells it."""
        return False
