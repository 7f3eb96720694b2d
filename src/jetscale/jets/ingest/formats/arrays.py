"""Arrays as formats hold them to tables of the schema.

Many formats keep constituents in zero-padded arrays (n jets, M slots, features). A `Slots` picks
the filled slots, hardest first, because everything downstream takes leading constituents; the
result is flat: jet after jet, with the number of constituents of each. Values keep the source's
type here, so that a non-finite charge or label can still be seen; see `jetscale.jets.ingest.clean`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The filled slots of padded arrays (n, M), hardest first in each jet."""

    jet: Ints
    """(T,) number of the jet."""
    slot: Ints
    """(T,) its slot."""
    counts: Ints
    """(n,) filled slots per jet."""

    @classmethod
    def of(cls, filled: NDArray[np.bool_], pt: Array) -> "Slots":
        """Slots where ``filled`` (n, M), in order of falling ``pt`` (n, M); ties keep theirs."""
        jet, slot = np.nonzero(filled)
        found = pt[jet, slot]
        if ((found[1:] > found[:-1]) & (jet[1:] == jet[:-1])).any():  # most files are in order
            order = np.lexsort((-found, jet))
            jet, slot = jet[order], slot[order]
        return cls(jet=jet, slot=slot, counts=filled.sum(axis=1, dtype=np.int64))

    def pick(self, padded: Array) -> Array:
        """(T,) or (T, F) values of the slots of an array (n, M) or (n, M, F)."""
        values: Array = padded[self.jet, self.slot]
        return values

    def spread(self, per_jet: Array) -> Array:
        """(T,) the value of its jet for each slot, from (n,)."""
        values: Array = per_jet[self.jet]
        return values

    def total(self, values: Array) -> Floats:
        """(n,) sums of (T,) values over the slots of each jet."""
        return np.bincount(self.jet, values, len(self.counts)).astype(np.float64)


def list_column(counts: Array, values: Array) -> pa.ListArray:
    """Flat values as one list per jet."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(native))


def to_table(slots: Slots, parts: Mapping[str, Array], jets: Mapping[str, Array]) -> pa.Table:
    """A table with flat constituent columns (T,) and jet columns (n,), and their number."""
    columns = {name: list_column(slots.counts, values) for name, values in parts.items()}
    columns |= {name: pa.array(values) for name, values in jets.items()}
    return pa.table(columns | {"jet_nparticles": pa.array(slots.counts)})
