"""Data-parallel processes: which jets each one takes, and how they sum.

Where ``torch.distributed`` is initialised, each process, called a rank, takes every world-th jet of
every batch and gradients are summed, so the optimiser steps are those of one process up to
rounding. All ranks return the result; rank 0 alone writes files.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

T = TypeVar("T")
N = TypeVar("N", np.int64, np.float64)


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

    def own(self, rows: NDArray[N]) -> NDArray[N]:
        """The rows of this process; none where there are fewer rows than ranks before it.

        >>> Ranks(rank=1, world=2).own(np.array([5, 6, 7]))
        array([6])
        """
        return rows[self.rank :: self.world]

    def add_up(self, tensor: Tensor) -> None:
        """Replace ``tensor`` by its sum over all ranks."""
        if self.world > 1:
            distributed.all_reduce(tensor)

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of rank 0."""
        if self.world > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def agree(self, value: T) -> T:
        """The value that rank 0 gave, in every process; the others may give None."""
        if self.world == 1:
            return value
        shared = [value]
        distributed.broadcast_object_list(shared, src=0)
        return shared[0]

    def any(self, told: bool) -> bool:
        """Whether any rank says so."""
        if self.world == 1:
            return told
        where = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        votes = torch.tensor([float(told)], device=where)
        distributed.all_reduce(votes)
        return bool(votes.item())
