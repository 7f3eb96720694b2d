"""The board of a sweep on Ray: an actor that its worker groups ask what to do.

Ray Tune is not imported here: the process of the actor would take two seconds longer to start.
"""

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jetscale.errors import Failure
from jetscale.planning.board import Board, Order, Start
from jetscale.planning.workers import Node


class Desk:
    """A board that answers groups, until it is closed."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.recomputed = 0
        self.closed = False

    def next(self, group: str, nodes: tuple[Node, ...]) -> tuple[Start | None, bool]:
        """The group to start now, under this name, and whether any group is there."""
        self.board.set_nodes(nodes)
        start = None if self.closed else self.board.next_start()
        if start is not None:
            self.board.start(group, start)
        return start, self.board.at_work

    def over(self) -> bool:
        """Whether no group will be started any more."""
        return self.closed or self.board.done

    def take(self, group: str) -> Order:
        """What a group does next."""
        return Order(retire=True) if self.closed else self.board.take(group)

    def saved(self, key: str) -> None:
        """A run has another checkpoint."""
        self.board.saved(key)

    def tell(self, group: str, key: str, failure: Failure | None, recomputed: int) -> None:
        """A run has its record, or failed."""
        self.recomputed += recomputed
        if failure is None:
            self.board.finish(group, key)
        else:
            self.board.fail(group, key, failure)

    def end(self, group: str, death: str, nodes: tuple[Node, ...]) -> bool:
        """A group ended, and these nodes are there; returns whether none can start any more."""
        self.board.set_nodes(nodes)
        self.board.end(group, death)
        return self.board.stuck

    def close(self) -> None:
        """Hand out nothing more: groups end after the runs they are at."""
        self.closed = True

    def summary(self) -> tuple[dict[str, Failure], int]:
        """Runs that were given up and why, and the steps that were made for the second time."""
        return self.board.given_up, self.recomputed


def open_desk(board: Board) -> Any:
    """An actor with the board, on the node of this process."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote(board)
