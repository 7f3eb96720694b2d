"""Unusable jets found, named and left out.

A jet is unusable if its constituent lists differ in length, if it has no constituents, if any of
its numbers is not finite in storage precision, or if its label is not one of the corpus. Every
jet is counted once, under the first of these that holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.errors import DataError
from jetscale.jets import columns
from jetscale.jets.schema import PART_COLUMNS, classes_of

Flags = NDArray[np.bool_]
_NAMED = 10  # labels outside the table that get a line of their own, per batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What is left of a table, and what is not."""

    table: pa.Table
    """Usable jets in storage types, in their order."""
    faults: Mapping[str, NDArray[np.int64]]
    """Reason to the row numbers of the jets left out."""


def clean(raw: pa.Table, corpus: str) -> Cleaned:
    """The usable jets of a table as a format reads it.

    Integers may still be stored as floats in ``raw``, as in some published files.

    Raises
    ------
    DataError
        A column is unknown, of another kind, holds nulls, or holds fractions where whole numbers
        are needed: then the table is not what its format says.
    """
    for name in raw.column_names:
        columns.check_nulls(raw[name], name)
    good, faults = np.ones(raw.num_rows, bool), {}
    for reason, bad in _faults(raw, len(classes_of(corpus))):
        found = np.flatnonzero(good & bad)
        if found.size:
            faults[reason] = found
            good &= ~bad
    kept = raw if good.all() else raw.filter(pa.array(good))
    return Cleaned(table=columns.conform(_whole(kept)), faults=faults)


def _faults(raw: pa.Table, n_classes: int) -> Iterator[tuple[str, Flags]]:
    counts = raw["jet_nparticles"].to_numpy()
    lengths = {n: columns.lengths_of(raw[n]) for n in raw.column_names if n in PART_COLUMNS}
    uneven = np.zeros(raw.num_rows, bool)
    for found in lengths.values():
        uneven |= found != counts
    yield "constituent lists of unequal length", uneven
    yield "no constituents", counts == 0
    yield "non-finite value", _non_finite(raw)
    yield from _foreign_labels(raw["jet_label"].to_numpy(), n_classes)


def _non_finite(raw: pa.Table) -> Flags:
    """(n,) True for jets with a number that is NaN or infinite in single precision."""
    bad = np.zeros(raw.num_rows, bool)
    for name in raw.column_names:
        column = raw[name].combine_chunks()
        values = column.flatten() if pa.types.is_nested(column.type) else column
        if not pa.types.is_floating(values.type):
            continue
        with np.errstate(over="ignore"):
            wrong = np.flatnonzero(~np.isfinite(values.to_numpy().astype(np.float32, copy=False)))
        if wrong.size and name in PART_COLUMNS:
            ends = np.cumsum(columns.lengths_of(raw[name]))
            wrong = np.searchsorted(ends, wrong, side="right")
        bad[wrong] = True
    return bad


def _foreign_labels(labels: NDArray[np.float64], n_classes: int) -> Iterator[tuple[str, Flags]]:
    outside = ~np.isin(labels, np.arange(n_classes))
    for label in np.unique(labels[outside])[:_NAMED]:
        yield f"label {label:g} is not in 0..{n_classes - 1}", labels == label
    yield "more labels outside the table", outside


def _whole(table: pa.Table) -> pa.Table:
    """Floats become integers where the schema has integers."""
    for i, name in enumerate(table.column_names):
        if name not in columns.COLUMNS:
            continue
        wanted, found = columns.arrow_type(name), table[name].type
        nested = pa.types.is_nested(found)
        inner = (found.value_type, wanted.value_type) if nested else (found, wanted)
        if pa.types.is_floating(inner[0]) and pa.types.is_integer(inner[1]):
            try:
                table = table.set_column(i, name, table[name].cast(wanted))
            except pa.ArrowInvalid as error:
                raise DataError(f"column {name!r} holds no whole numbers: {error}") from error
    return table
