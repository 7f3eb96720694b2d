"""Lists of different lengths as flat arrays, and records of equally long columns.

n lists are stored one after another in one array. Their (n + 1,) edges say where each begins: list
i is ``flat[edges[i]:edges[i + 1]]``.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def edges_of(counts: NDArray[np.integer]) -> Ints:
    """(n + 1,) edges of n lists with these lengths.

    >>> edges_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def rows_of(first: Ints, counts: Ints) -> Ints:
    """Flat positions of n stretches, one after another: counts[i] rows from ``first[i]`` on.

    >>> rows_of(np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    # a running number over all rows, moved in each stretch from where it stands to where it belongs
    shift: Ints = np.repeat(first - (np.cumsum(counts) - counts), counts)
    return shift + np.arange(len(shift))


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A table of n rows: every field of a subclass is an array of n values."""

    def __len__(self) -> int:
        return len(next(iter(self.columns().values())))

    def columns(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, rows: Ints | Bools) -> Self:
        """The rows at these positions, or where a mask is True."""
        return type(self)(**{name: column[rows] for name, column in self.columns().items()})

    @classmethod
    def concatenate(cls, *parts: Self) -> Self:
        """All rows of several tables, one table after another."""
        columns = [part.columns() for part in parts]
        return cls(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})
