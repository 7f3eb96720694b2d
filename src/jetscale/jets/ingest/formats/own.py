"""Own jets (format ``arrays``): columns of any Parquet, ROOT, HDF5 or NumPy file, named by a user.

Constituents are lists, or zero-padded arrays (n jets, M slots); a slot is empty where the mask is
0, or without a mask where the momentum is all zero. What follows from the momenta is computed: the
angles around the jet, and its momentum and energy where the file has no column for them.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.errors import DataError, unknown
from jetscale.jets.ingest.formats import particles
from jetscale.jets.ingest.formats.arrays import Slots, mask_faults, to_table
from jetscale.jets.ingest.formats.base import Array, BadFile, Column, Ragged
from jetscale.jets.ingest.formats.files import READERS, Format, opened
from jetscale.jets.ingest.formats.kinematics import SUMMED, Momenta
from jetscale.jets.schema import CORPORA, JET_FLOATS, UNLABELLED

CARTESIAN, ANGLES = ("px", "py", "pz", "energy"), ("pt", "eta", "phi")
TRACKS = {"d0": "part_d0val", "d0err": "part_d0err", "dz": "part_dzval", "dzerr": "part_dzerr"}
PARTS = (*CARTESIAN, *ANGLES, "mass", "charge", "pid", *TRACKS, "mask")
QUANTITIES = (*PARTS, *JET_FLOATS, "label")
"""What a column may be: GeV, radians and mm; ``pid`` is a PDG code, ``mask`` 1 where a slot is."""
_FEATURE = re.compile(r"(.+)\[(\d+)\]")
_NAMED = 10  # foreign label names that get a line of their own, per batch


def columns_of(text: str) -> dict[str, str]:
    """Quantity to column name, from the text of ``--columns``; DataError for one given twice.

    A name alone stands for itself, ``NAME[i]`` is feature i of an array whose last axis holds
    features, and ``mass`` may be a number that all particles have.

    >>> columns_of("px=X[0], py=X[1], pz=X[2], energy=X[3], label")["energy"]
    'X[3]'
    """
    found: dict[str, str] = {}
    for item in text.split(","):
        quantity, _, column = (word.strip() for word in item.partition("="))
        if quantity in found:
            raise DataError(f"columns: {quantity} is given twice")
        found[quantity] = column or quantity
    return found


def format_of(
    columns: Mapping[str, str], classes: Sequence[str] = (), corpus: str | None = None
) -> Format:
    """The format of files with the columns of `columns_of`; DataError where they do not fit."""
    for quantity in columns:
        if quantity not in QUANTITIES:
            alone = columns[quantity] == quantity  # no word says what the column holds
            fix = f"; write QUANTITY=COLUMN, e.g. pt={quantity}" if alone else ""
            raise DataError(unknown("quantity", quantity, QUANTITIES) + fix)
    momentum = {*columns} & {*CARTESIAN, *ANGLES, "mass"}
    if momentum not in ({*CARTESIAN}, {*ANGLES, "energy"}, {*ANGLES, "mass"}):
        angles = "pt, eta, phi and either energy or mass (mass=0 if massless)"
        given = f"given: {', '.join(columns) or 'nothing'}"
        raise DataError(f"columns: a momentum is px, py, pz and energy, or {angles}; {given}")
    names, corpus = tuple(classes) or UNLABELLED, corpus or "own"
    if ("label" in columns and not classes) or ("label" not in columns and len(names) > 1):
        raise DataError(
            "labels and class names go together: --columns label=NAME,... and, unless labels are "
            "text, --classes NAME0,NAME1,... in the order of the labels"
        )
    if len({*names}) < len(names) or not all(names):
        raise DataError(f"class names {', '.join(names)!r}: one is empty or there twice")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", corpus) or CORPORA.get(corpus, names) != names:
        other = "of letters and digits, that is no built-in corpus with other classes"
        raise DataError(f"corpus {corpus!r}: choose another name, {other}")
    wanted = {column: ("fiub", None) for q, column in columns.items() if not _number(q, column)}
    if "label" in columns:
        wanted[columns["label"]] = ("fiubS", None)
    return Format(
        what="own jets",
        corpus=corpus,
        classes=names,
        kinds=tuple(READERS),
        wanted={_column(name)[0]: layout for name, layout in wanted.items()},
        table=partial(jets_in, columns, names),
        jet_columns=(*SUMMED, *(n for n in JET_FLOATS if n in columns and n not in SUMMED)),
    )


def _number(quantity: str, column: str) -> bool:
    """Whether a mass is given as a number; elsewhere a number is a column's name."""
    return quantity == "mass" and column.replace(".", "", 1).isdecimal()


def _column(name: str) -> tuple[str, int | None]:
    """Name of a column, and which of its features."""
    match = _FEATURE.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, None)


def class_names(
    columns: Mapping[str, str], files: Sequence[Path], skip: bool = False
) -> tuple[str, ...]:
    """The labels of all files in alphabetical order, if they are text; BadFile unless ``skip``."""
    found: set[str] = set()
    column = columns.get("label", "")
    for path in files if column else ():
        with suppress(*[BadFile] * skip), opened(path, tuple(READERS), "own jets") as file:
            if column in file.names and not file.layout(column).kind:
                words = file.layout(column).text
                raise DataError(f"label {column!r} is {words}, needs numbers or text (dtype=str)")
            if column in file.names and file.layout(column).kind == "S":
                for batch in file.batches([column]):
                    found |= {text(label) for label in np.asarray(batch[column]).tolist()}
            elif _column(column)[0] not in file.names:
                raise DataError(unknown("column", column, sorted(file.names)))
    return tuple(sorted(found))


def text(label: Any) -> str:
    """A label as text; HDF5 gives bytes. DataError for bytes that are none."""
    try:
        return label.decode() if isinstance(label, bytes) else str(label)
    except UnicodeDecodeError as error:
        raise DataError(f"label {label!r} is not text in UTF-8; write names in UTF-8") from error


def jets_in(
    given: Mapping[str, str], classes: Sequence[str], path: Path, columns: dict[str, Any]
) -> pa.Table:
    """The jets of a batch of columns of a file; see `jets_of`."""
    found: dict[str, Column | float] = {}
    for quantity, column in given.items():
        name, feature = _column(column)
        values: Any = float(column) if _number(quantity, column) else columns[name]
        if feature is not None:
            if isinstance(values, Ragged) or values.ndim < 2 or feature >= values.shape[-1]:
                raise DataError(f"column {name!r} has no feature [{feature}] for {quantity}")
            values = values[..., feature]
        found[quantity] = values
    return jets_of(found, classes)


@np.errstate(all="ignore")
def jets_of(columns: Mapping[str, Any], classes: Sequence[str]) -> pa.Table:
    """A table of the schema from own quantities, with the faults that only they can show.

    ``columns`` holds lists or padded arrays (n, M), (n,) for the label and jet columns, or one
    number for a mass; without labels all jets are of the first class. Raises DataError for other
    shapes and different numbers of jets.
    """
    lists = {q: _lists(q, v) for q, v in columns.items() if q in PARTS and not np.isscalar(v)}
    per_jet = {q: v for q, v in columns.items() if q not in PARTS}
    jets: dict[str, Any] = {q: len(v.counts) for q, v in lists.items()}
    jets |= {q: np.shape(v) for q, v in per_jet.items()}
    counts = next(iter(lists.values())).counts
    n = len(counts)
    if wrong := [name for name, shape in jets.items() if shape not in (n, (n,))]:
        found = jets[wrong[0]]
        has = found if isinstance(found, int) else f"shape {found}" if found else "lists"
        needs = f"needs {n} {'lists' if wrong[0] in lists else 'single values'}, one for each jet"
        raise DataError(f"{n} jets by their {next(iter(lists))}, but {wrong[0]} has {has}; {needs}")
    # jets whose lists differ in length lose all constituents here and are counted under that reason
    uneven = np.any([column.counts != counts for column in lists.values()], axis=0)
    flat = {q: c.values[np.repeat(~uneven, c.counts)] for q, c in lists.items()}
    jet = np.repeat(np.arange(n), np.where(uneven, 0, counts))
    momentum = [flat[q] != 0 for q in (*CARTESIAN, "pt") if q in flat]  # zero padding
    filled = flat["mask"] != 0 if "mask" in flat else np.logical_or.reduce(momentum)
    flat = {q: values[filled].astype(float) for q, values in flat.items()}
    pt = flat["pt"] if "pt" in flat else np.hypot(flat["px"], flat["py"])
    slots = Slots.of_lists(np.bincount(jet[filled], minlength=n), pt)
    own: dict[str, Any] = {q: slots.pick(values) for q, values in flat.items()}
    own |= {q: v for q, v in columns.items() if np.isscalar(v)}
    if "px" in own:
        momenta = Momenta(*(own[name] for name in CARTESIAN))
    else:
        names = {*ANGLES, "mass", "energy"} & {*own}
        momenta = Momenta.from_angles(**{name: own[name] for name in names})
    given = {q: np.asarray(v, float) for q, v in per_jet.items() if q != "label"}
    parts, totals = momenta.of_jets(slots, given)
    faults = {"constituent lists of unequal length": uneven} | momenta.faults(slots)
    if "mask" in own:
        faults |= mask_faults(slots, own["mask"])
    if "pid" in own:
        parts |= particles.columns_of(own["pid"])
        faults |= particles.faults(slots, own["pid"], first=0)
    if "charge" in own:
        parts["part_charge"] = own["charge"]
    parts |= {column: own[name] for name, column in TRACKS.items() if name in own}
    label, foreign = _labels(per_jet.get("label", np.zeros(n, int)), classes)
    return to_table(slots, parts, totals | {"jet_label": label}, faults | foreign)


def _lists(quantity: str, column: Column) -> Ragged:
    """Constituents as lists; padded arrays (n, M) as n lists of M."""
    if isinstance(column, Ragged):
        return column
    if column.ndim != 2:
        found = f"{quantity} has shape {column.shape}"
        raise DataError(f"{found}; constituents are lists or arrays (jets, slots)")
    return Ragged(np.full(len(column), column.shape[1]), column.reshape(-1))


def _labels(label: Array, classes: Sequence[str]) -> tuple[Array, dict[str, Array]]:
    """(n,) labels as numbers, and jets whose label is a name that is no class."""
    if label.dtype.kind in "fiub":
        return label.astype(int) if label.dtype.kind == "b" else label, {}
    names = np.array([text(value) for value in label.tolist()], str)
    index = {name: i for i, name in enumerate(classes)}
    strange = sorted({*names.tolist()} - {*index})[:_NAMED]
    foreign = {f"label {name!r} is none of the classes": names == name for name in strange}
    return np.array([index.get(name, -1) for name in names.tolist()], int), foreign
