"""Jets in memory: variable-length lists of constituents in three flat arrays.

One layout from the stream file to the model: no padding, no Python object per jet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.arrays import edges_of, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """A batch or data set of n jets with T constituents in total and F features.

    Attributes:
        values: (T, F) float32, the standardised features of all constituents, jet after jet.
        offsets: (n + 1,) int64, jet i owns rows ``offsets[i]:offsets[i + 1]``; ``offsets[0]`` is 0.
        labels: (n,) int64 class indices.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) constituents per jet."""
        return np.diff(self.offsets)

    def head(self, n: int) -> "Ragged":
        """The first n jets, without a copy."""
        offsets = self.offsets[: n + 1]
        return Ragged(values=self.values[: offsets[-1]], offsets=offsets, labels=self.labels[:n])

    def take(self, rows: NDArray[np.int64]) -> "Ragged":
        """The jets ``rows``, in that order."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        values = self.values[rows_of(starts, lengths)]
        return Ragged(values=values, offsets=edges_of(lengths), labels=self.labels[rows])
