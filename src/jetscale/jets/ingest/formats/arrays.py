"""Constituents as files hold them to tables of the schema.

`Slots` picks the filled ones of zero-padded arrays (n jets, M slots) or lists, hardest first, as
all downstream takes leading constituents. Values keep their type: lost labels can still be seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jetscale.jets.arrays import Bools, Floats, Ints
from jetscale.jets.ingest.formats.base import Array, Column, Ragged, native

FAULT = (
    "fault: "  # starts the names of flag columns: jets to leave out, for the reason that follows
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The constituents of n jets, hardest first in each."""

    jet: Ints  # (T,) number of the jet
    place: tuple[Ints, ...]
    """Where they are: (jet, slot) of padded arrays, or the position in flat lists."""
    counts: Ints  # (n,) constituents per jet

    @classmethod
    def of(cls, filled: Bools, pt: Array) -> "Slots":
        """Slots where ``filled`` (n, M), in order of falling ``pt`` (n, M); ties keep theirs."""
        jet, slot = np.nonzero(filled)
        order = _hardest_first(jet, pt[jet, slot])
        place = jet[order], slot[order]
        return cls(jet=place[0], place=place, counts=filled.sum(axis=1, dtype=np.int64))

    @classmethod
    def of_lists(cls, counts: Ints, pt: Array) -> "Slots":
        """All entries of lists of ``counts`` (n,), in order of falling ``pt`` (T,)."""
        jet = np.repeat(np.arange(len(counts)), counts)
        return cls(jet=jet, place=(_hardest_first(jet, pt),), counts=counts)

    def pick(self, values: Array) -> Array:
        """(T,) or (T, F) values of the constituents, from padded (n, M[, F]) or flat (T[, F])."""
        found: Array = values[self.place]
        return found

    def spread(self, per_jet: Array) -> Array:
        """(T,) the value of its jet for each constituent, from (n,)."""
        values: Array = per_jet[self.jet]
        return values

    def total(self, values: Array) -> Floats:
        """(n,) sums of (T,) values over the constituents of each jet."""
        return np.bincount(self.jet, values, len(self.counts)).astype(np.float64)

    def any(self, flags: Array) -> Bools:
        """(n,) whether a constituent of the jet is flagged, from (T,)."""
        return self.total(flags) > 0


def _hardest_first(jet: Ints, pt: Array) -> Ints:
    """(T,) order of falling pt within each jet; most files are in order already."""
    if ((pt[1:] > pt[:-1]) & (jet[1:] == jet[:-1])).any():
        return np.lexsort((-pt, jet))
    return np.arange(len(jet))


def mask_faults(slots: Slots, mask: Array) -> dict[str, Bools]:
    """Jets with a constituent whose mask (T,) is lost, or is none."""
    lost = ~np.isfinite(mask)
    other = slots.any(~lost & (mask != 1))
    return {"non-finite value": slots.any(lost), "mask that is neither 0 nor 1": other}


def list_column(column: Ragged) -> pa.ListArray:
    """One Arrow list per jet."""
    offsets = np.concatenate([[0], np.cumsum(column.counts)])
    if offsets[-1] >= 2**31:
        raise ValueError(f"{offsets[-1]} constituents in one batch")
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), native(column.values))


def to_table(
    slots: Slots,
    parts: Mapping[str, Array],
    jets: Mapping[str, Array],
    faults: Mapping[str, Bools] | None = None,
) -> pa.Table:
    """A table with flat constituent columns (T,), jet columns (n,), and constituents per jet.

    ``faults`` is reason to (n,) flags: jets whose numbers are not what the format says.
    """
    lists = {name: Ragged(slots.counts, values) for name, values in parts.items()}
    marks = {FAULT + reason: flags for reason, flags in (faults or {}).items()}
    return table_of({**lists, **jets, "jet_nparticles": slots.counts, **marks})


def table_of(columns: Mapping[str, Column]) -> pa.Table:
    """Columns as they are as a table; the lists of a jet may still differ in length."""
    arrays = {
        name: list_column(values) if isinstance(values, Ragged) else pa.array(native(values))
        for name, values in columns.items()
    }
    return pa.table(arrays)
