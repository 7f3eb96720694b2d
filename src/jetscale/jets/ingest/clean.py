"""Which jets of a file or of arrays are kept: usable ones that pass the cuts.

A jet is unusable if its format says so (`jetscale.jets.ingest.formats.arrays.FAULT`) or for one of
the reasons of `_faults`; it is counted once, under the first that holds. Momenta and energies must
be above zero, as features take their logarithms. Cuts are compared in double precision; those of
Sophon (arXiv 2405.12972) are ``200 < jet_pt < 2500`` and ``20 < jet_sdmass < 500``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from jetscale.errors import DataError, unknown
from jetscale.jets.arrays import Bools, Ints
from jetscale.jets.ingest.formats.arrays import FAULT
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.schema import PART_COLUMNS
from jetscale.jets.shards import columns
from jetscale.jets.shards.verify import LIMITS

_NAMED = 10  # labels outside the table that get a line of their own, per batch


class Cleaned(NamedTuple):
    """Usable jets in storage types, and reason to the row numbers of the others."""

    table: pa.Table
    faults: Mapping[str, Ints]


def clean(raw: pa.Table, n_classes: int) -> Cleaned:
    """The usable jets of a table as a format reads it; its integers may be stored as floats.

    Raises DataError for a column that is unknown, of another kind or with nulls.
    """
    told = [name for name in raw.column_names if name.startswith(FAULT)]
    flagged = [(name.removeprefix(FAULT), raw[name].to_numpy()) for name in told]
    raw = raw.drop_columns(told)
    for name in raw.column_names:
        columns.check_nulls(raw[name], name)
    good = np.ones(raw.num_rows, bool)
    faults: dict[str, Ints] = {}
    for reason, bad in chain(flagged, _faults(raw, n_classes)):
        found = np.flatnonzero(good & bad)
        if found.size:  # a format may have told of some under the same reason
            faults[reason] = np.union1d(faults.get(reason, found), found)
            good &= ~bad
    kept = raw if good.all() else raw.filter(pa.array(good))
    for i, name in enumerate(kept.column_names):  # floats where the schema has integers
        if name in columns.COLUMNS:
            wanted, found = columns.arrow_type(name), kept[name].type
            inner = [getattr(kind, "value_type", kind) for kind in (found, wanted)]
            if pa.types.is_floating(inner[0]) and pa.types.is_integer(inner[1]):
                kept = kept.set_column(i, name, kept[name].cast(wanted))
    return Cleaned(columns.conform(kept), faults)


def _faults(raw: pa.Table, n_classes: int) -> Iterator[tuple[str, Bools]]:
    """Reasons and the jets (n,) they hold for, in the order in which they are looked for."""
    n, names = raw.num_rows, [name for name in raw.column_names if name in columns.COLUMNS]
    counts = raw["jet_nparticles"].to_numpy()
    lengths = {name: columns.lengths_of(raw[name]) for name in names if name in PART_COLUMNS}
    jets = {name: np.repeat(np.arange(n), length) for name, length in lengths.items()}
    arrays = {name: raw[name].combine_chunks() for name in names}
    flat = {k: v.flatten() if pa.types.is_nested(v.type) else v for k, v in arrays.items()}
    values = {name: array.to_numpy(zero_copy_only=False) for name, array in flat.items()}
    with np.errstate(over="ignore"):  # as they are stored; what is too large becomes infinite
        single = {k: v.astype(np.float32) for k, v in values.items() if v.dtype.kind == "f"}

    def jets_with(flags: Mapping[str, Bools]) -> Bools:
        """(n,) True for jets with a value that is flagged in one of the columns."""
        bad = np.zeros(n, bool)
        for name, flag in flags.items():
            bad[jets[name][flag] if name in jets else flag] = True
        return bad

    uneven = np.any([np.zeros(n, bool), *(found != counts for found in lengths.values())], axis=0)
    filled = np.any([counts != 0, *(found > 0 for found in lengths.values())], axis=0)
    yield "no constituents", ~filled  # first: the axis of nothing is not finite
    yield "non-finite value", jets_with({k: ~np.isfinite(v) for k, v in single.items()})
    whole = {k: values[k] for k in ("part_charge", "jet_nparticles") if k in values}
    broken = {k: (np.rint(v) != v) | (np.abs(v) >= 2**31) for k, v in whole.items()}
    yield "charge or count that is no integer", jets_with(broken)
    yield "constituent lists of unequal length", uneven
    unphysical = jets_with({k: single[k] <= 0 for k in columns.ENERGIES if k in single})
    if {"part_px", "part_py"} <= {*single}:  # side by side in jets whose lists are equally long
        px, py = (single[k][np.repeat(~uneven, lengths[k])] for k in ("part_px", "part_py"))
        still = np.repeat(np.arange(n), np.where(uneven, 0, lengths["part_px"]))
        unphysical[still[(px == 0) & (py == 0)]] = True
    yield "unphysical momentum", unphysical
    for name, (low, high) in LIMITS.items():
        if name in values and values[name].dtype.kind in "fiu":
            found = single.get(name, values[name])
            outside = jets_with({name: (found < low) | (found > high)})
            yield f"{name} outside {low:.4g} to {high:.4g}", outside
    labels = raw["jet_label"].to_numpy()
    foreign = ~np.isin(labels, np.arange(n_classes))
    for label in np.unique(labels[foreign])[:_NAMED]:
        yield f"label {label:g} is not in 0..{n_classes - 1}", labels == label
    yield "more labels outside the table", foreign


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CUT = re.compile(
    rf"\s*(?:({_NUMBER})\s*(<=?)\s*)?([A-Za-z_]\w*)\s*(?:(<=?|>=?)\s*({_NUMBER})\s*)?"
)
_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


class Cut(NamedTuple):
    """Conditions on one jet column, all of which must hold: sign and bound, column on the left."""

    text: str  # as written, with single spaces
    column: str
    conditions: tuple[tuple[str, float], ...]

    def passes(self, table: pa.Table) -> Bools:
        """(n,) True for jets that are kept."""
        values = table[self.column].to_numpy().astype(np.float64)
        keep = np.ones(len(values), bool)
        for sign, bound in self.conditions:
            keep &= _COMPARE[sign](values, bound)
        return keep


def cut_from(text: str, known: Sequence[str]) -> Cut:
    """A cut from text, on one of the ``known`` jet columns; DataError if no value can pass it.

    >>> cut_from("200<jet_pt <= 2500", ["jet_pt"]).conditions
    (('>', 200.0), ('<=', 2500.0))
    """
    match = _CUT.fullmatch(text)
    if match is None or not (match[1] or match[5]):
        forms = "LOW < COLUMN < HIGH, COLUMN < HIGH or COLUMN > LOW, as in '200 < jet_pt < 2500'"
        raise DataError(f"cut {text!r}: write {forms}; <= and >= are fine too")
    low, above, column, sign, bound = match.groups()
    if column not in known:
        raise DataError(f"cut {text!r}: {unknown('jet column', column, known)}")
    conditions = [(above.replace("<", ">"), float(low))] if low else []
    conditions += [(sign, float(bound))] if bound else []
    if not all(isfinite(bound) for _, bound in conditions):
        raise DataError(f"cut {text!r}: a bound is not finite")
    if len(conditions) == 2:
        if sign.startswith(">"):
            raise DataError(f"cut {text!r}: write the lower bound first, with < on both sides")
        strict = "<" in (above, sign)
        if float(low) > float(bound) or (strict and float(low) == float(bound)):
            limits = f"{float(low):g} and {float(bound):g}"
            raise DataError(f"cut {text!r}: no value lies between {limits}")
    return Cut(" ".join(filter(None, match.groups())), column, tuple(conditions))


MAX_BAD = 0.01  # a file with a larger share of unusable jets is not what its format says


def check_max_bad(share: float) -> None:
    """Raise DataError for what is no share of jets."""
    if not (isinstance(share, int | float) and 0 <= share <= 1):
        raise DataError(f"max_bad is {share}; a share of jets lies between 0 and 1")


@dataclass
class Sieve:
    """Keeps usable jets that pass the cuts and counts the others by reason."""

    where: str  # the file, for messages
    n_classes: int
    cuts: Sequence[Cut] = ()
    on_bad_jet: str = "drop"  # drop, or fail at the first
    max_bad: float = MAX_BAD  # largest share of unusable jets; a single one is never too many
    rows: int = 0  # jets seen
    bad: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        check_max_bad(self.max_bad)

    @property
    def dropped(self) -> dict[str, int]:
        """Reason or cut to jets left out."""
        return dict(self.bad + self.cut)

    def keep(self, raw: pa.Table) -> pa.Table:
        """The jets that stay; BadFile for other columns, DataError if the policy is to fail."""
        try:
            table, faults = clean(raw, self.n_classes)
        except DataError as error:
            raise BadFile(f"{self.where}: {error}") from error
        if faults and self.on_bad_jet == "fail":
            reason, rows = min(faults.items(), key=lambda fault: int(fault[1][0]))
            fix = "`--on-bad-jet drop` leaves such jets out"
            raise DataError(f"{self.where}: row {self.rows + rows[0]}: {reason}; {fix}")
        self.rows += raw.num_rows
        self.bad.update({reason: len(rows) for reason, rows in faults.items()})
        for cut in self.cuts:
            keep = cut.passes(table)
            if not keep.all():
                self.cut[cut.text] += int((~keep).sum())
                table = table.filter(pa.array(keep))
        return table

    def check(self) -> None:
        """Raise BadFile if so many jets were unusable that the file is not what it should be."""
        total = self.bad.total()
        if total > 1 and total > self.max_bad * self.rows:
            found = f"{total} of {self.rows} jets are unusable, more than {100 * self.max_bad:g}%"
            fix = "check the format and its columns, or keep the rest with --max-bad 1 (max_bad=1)"
            raise BadFile(f"{self.where}: {found}: {self.reasons}; {fix}")

    @property
    def reasons(self) -> str:
        """Why jets were unusable, and how many of them."""
        return ", ".join(f"{count} by {why!r}" for why, count in self.bad.most_common())
