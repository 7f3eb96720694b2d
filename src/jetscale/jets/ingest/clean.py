"""Unusable jets found, named and left out.

A jet is unusable if its format says so (see `jetscale.jets.ingest.formats.arrays.FAULT`), if it has
no constituents, if any of its numbers is not finite in storage precision, if a charge or its number
of constituents is no integer, if its constituent lists differ in length, if a momentum is
unphysical (transverse momentum or energy not above zero, for the jet or one of its constituents:
features take their logarithms), if a value is outside `jetscale.jets.shards.columns.LIMITS`, or if
its label is not one of the corpus. Every jet is counted once, under the first of these that holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.jets.ingest.formats.arrays import FAULT
from jetscale.jets.schema import PART_COLUMNS
from jetscale.jets.shards import columns

Flags = NDArray[np.bool_]
_WIDER = {pa.float32(), pa.float64(), pa.int64(), pa.uint32(), pa.uint64()}  # than 32-bit integers
_NAMED = 10  # labels outside the table that get a line of their own, per batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What is left of a table, and what is not."""

    table: pa.Table
    """Usable jets in storage types, in their order."""
    faults: Mapping[str, NDArray[np.int64]]
    """Reason to the row numbers of the jets left out."""


def clean(raw: pa.Table, n_classes: int) -> Cleaned:
    """The usable jets of a table as a format reads it.

    Integers may still be stored as floats in ``raw``, as in some published files.

    Raises
    ------
    DataError
        A column is unknown, of another kind or holds nulls: then the table is not what its format
        says.
    """
    told = [name for name in raw.column_names if name.startswith(FAULT)]
    flagged = [(name.removeprefix(FAULT), raw[name].to_numpy()) for name in told]
    raw = raw.drop_columns(told)
    for name in raw.column_names:
        columns.check_nulls(raw[name], name)
    good = np.ones(raw.num_rows, bool)
    faults: dict[str, NDArray[np.int64]] = {}
    for reason, bad in chain(flagged, _faults(raw, n_classes)):
        found = np.flatnonzero(good & bad)
        if found.size:  # a format may have told of some under the same reason
            faults[reason] = np.union1d(faults.get(reason, found), found)
            good &= ~bad
    kept = raw if good.all() else raw.filter(pa.array(good))
    return Cleaned(table=columns.conform(_whole(kept)), faults=faults)


def _faults(raw: pa.Table, n_classes: int) -> Iterator[tuple[str, Flags]]:
    """Reasons and the jets (n,) they hold for, in the order in which they are looked for."""
    counts = raw["jet_nparticles"].to_numpy()
    lengths = {n: columns.lengths_of(raw[n]) for n in raw.column_names if n in PART_COLUMNS}
    uneven, filled = np.zeros(raw.num_rows, bool), counts != 0
    for found in lengths.values():
        uneven |= found != counts
        filled |= found > 0
    yield "no constituents", ~filled  # first: the axis of nothing is not finite
    floats = [name for name in raw.column_names if pa.types.is_floating(_scalar(raw, name))]
    none = np.zeros(raw.num_rows, bool)
    lost = [_jets_with(raw, name, ~np.isfinite(_single(raw, name))) for name in floats]
    yield "non-finite value", np.logical_or.reduce([none, *lost])
    broken = none.copy()
    for name in ("part_charge", "jet_nparticles"):  # a fraction, or more than 32 bits
        if name in raw.column_names and _scalar(raw, name) in _WIDER:
            values = columns.flat(raw[name]).to_numpy(zero_copy_only=False)
            fits = (np.rint(values) == values) & (np.abs(values) < 2**31)
            broken |= _jets_with(raw, name, ~fits)
    yield "charge or count that is no integer", broken
    yield "constituent lists of unequal length", uneven
    yield "unphysical momentum", _unphysical(raw, ~uneven)
    for name, (low, high) in columns.LIMITS.items():
        if name in floats or name == "jet_nparticles":
            values = _single(raw, name)
            outside = _jets_with(raw, name, (values < low) | (values > high))
            yield f"{name} outside {low:.4g} to {high:.4g}", outside
    labels = raw["jet_label"].to_numpy()
    foreign = ~np.isin(labels, np.arange(n_classes))
    for label in np.unique(labels[foreign])[:_NAMED]:
        yield f"label {label:g} is not in 0..{n_classes - 1}", labels == label
    yield "more labels outside the table", foreign


def _unphysical(raw: pa.Table, even: Flags) -> Flags:
    """(n,) True for jets with a momentum or energy that is not positive.

    ``even`` tells the jets whose lists are equally long; others are not looked at.
    """
    if not even.all():
        bad = np.zeros(len(even), bool)
        bad[even] = _unphysical(raw.filter(pa.array(even)), even[even])
        return bad
    found = {name for name in raw.column_names if pa.types.is_floating(_scalar(raw, name))}
    bad = np.zeros(len(even), bool)
    for name in {"jet_pt", "jet_energy", "part_energy"} & found:
        bad |= _jets_with(raw, name, _single(raw, name) <= 0)
    if {"part_px", "part_py"} <= found:
        beamlike = (_single(raw, "part_px") == 0) & (_single(raw, "part_py") == 0)
        bad |= _jets_with(raw, "part_px", beamlike)
    return bad


def _scalar(raw: pa.Table, name: str) -> pa.DataType:
    """The type of the values of a column."""
    found = raw[name].type
    return found.value_type if pa.types.is_nested(found) else found


def _single(raw: pa.Table, name: str) -> NDArray[np.float32]:
    """The values of a column as they are stored; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        values = columns.flat(raw[name]).to_numpy()
        return np.asarray(values, np.float32)


def _jets_with(raw: pa.Table, name: str, flags: Flags) -> Flags:
    """(n,) True for jets with a value of a column that is flagged."""
    wrong = np.flatnonzero(flags)
    if wrong.size and name in PART_COLUMNS:
        ends = np.cumsum(columns.lengths_of(raw[name]))
        wrong = np.searchsorted(ends, wrong, side="right")
    bad = np.zeros(raw.num_rows, bool)
    bad[wrong] = True
    return bad


def _whole(table: pa.Table) -> pa.Table:
    """Floats become integers where the schema has integers."""
    for i, name in enumerate(table.column_names):
        if name not in columns.COLUMNS:
            continue
        wanted, found = columns.arrow_type(name), table[name].type
        nested = pa.types.is_nested(found)
        inner = (found.value_type, wanted.value_type) if nested else (found, wanted)
        if pa.types.is_floating(inner[0]) and pa.types.is_integer(inner[1]):
            table = table.set_column(i, name, table[name].cast(wanted))
    return table
