"""Data-parallel processes: which jets each one takes, and how they sum.

Where ``torch.distributed`` is initialised, each process, called a rank, takes every world-th jet of
every batch and gradients are summed, so the optimiser steps are those of one process up to
rounding. All ranks return the result; rank 0 alone writes files.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The place of this process among those that train one model together."""

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> "Ranks":
        """The place of this process in its group, or that of a process on its own."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(rank=distributed.get_rank(), world=distributed.get_world_size())
        return cls()

    def own(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of this process; none where there are fewer rows than ranks before it.

        >>> Ranks(rank=1, world=2).own(np.array([5, 6, 7]))
        array([6])
        """
        return rows[self.rank :: self.world]

    def add_up(self, tensor: Tensor) -> None:
        """Replace ``tensor`` by its sum over all ranks."""
        if self.world > 1:
            distributed.all_reduce(tensor)
