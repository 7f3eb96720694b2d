"""Own jets (format ``arrays``): columns of any Parquet, ROOT, HDF5 or NumPy file, named by a user.

Constituents are lists, or zero-padded arrays (n jets, M slots); a slot is empty where the mask is
0, or without a mask where the momentum is all zero. Their momenta are px, py, pz, energy, or pt,
eta, phi with energy or mass. Everything that follows from them is computed: the angles around the
jet, and its transverse momentum, direction and energy where the file has no column for them.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.errors import DataError, unknown
from jetscale.jets.ingest.formats import particles
from jetscale.jets.ingest.formats.arrays import Slots, mask_faults, to_table
from jetscale.jets.ingest.formats.base import Array, Column, Ragged
from jetscale.jets.ingest.formats.files import READERS, Format, opened
from jetscale.jets.ingest.formats.kinematics import SUMMED, Momenta
from jetscale.jets.schema import CORPORA, JET_FLOATS, UNLABELLED

CARTESIAN, ANGLES = ("px", "py", "pz", "energy"), ("pt", "eta", "phi")
TRACKS = {"d0": "part_d0val", "d0err": "part_d0err", "dz": "part_dzval", "dzerr": "part_dzerr"}
PARTS = (*CARTESIAN, *ANGLES, "mass", "charge", "pid", *TRACKS, "mask")
QUANTITIES = (*PARTS, *JET_FLOATS, "label")
"""What a column may be: GeV, radians and mm; ``pid`` is a PDG code, ``mask`` 1 where a slot is."""
_NAMED = 10  # foreign label names that get a line of their own, per batch


def columns_of(text: str) -> dict[str, str]:
    """Quantity to column name, from the text of ``--columns``.

    A name alone stands for itself, ``NAME[i]`` is feature i of an array whose last axis holds
    features, and a number stands for a mass that all particles have.

    Raises
    ------
    DataError
        A quantity is unknown, given twice, or the momentum is not complete.

    Examples
    --------
    >>> columns_of("px=X[0], py=X[1], pz=X[2], energy=X[3], label")["energy"]
    'X[3]'
    """
    found: dict[str, str] = {}
    for item in text.split(","):
        quantity, _, column = (word.strip() for word in item.partition("="))
        if quantity not in QUANTITIES:
            raise DataError(unknown("quantity", quantity, QUANTITIES))
        if quantity in found:
            raise DataError(f"columns: {quantity} is given twice")
        found[quantity] = column or quantity
    _check_momentum(found)
    return found


def _check_momentum(given: Mapping[str, Any]) -> None:
    cartesian = [name for name in ("px", "py", "pz") if name in given]
    angles = [name for name in (*ANGLES, "mass") if name in given]
    complete = (len(cartesian) == 3 and "energy" in given) or (
        {*ANGLES} <= {*angles} and ("mass" in given) != ("energy" in given)
    )
    if not complete or (cartesian and angles):
        raise DataError(
            "columns: a momentum is px, py, pz and energy, or pt, eta, phi and one of energy and "
            f"mass (mass=0 if massless); given: {', '.join(given) or 'nothing'}"
        )


def format_of(
    columns: Mapping[str, str], classes: Sequence[str] = (), corpus: str | None = None
) -> Format:
    """The format of files with the columns of `columns_of`.

    Raises
    ------
    DataError
        Labels or class names are missing, a class name is there twice, or the corpus has the name
        of a built-in one with other classes.
    """
    _check_momentum(columns)
    names, corpus = tuple(classes) or UNLABELLED, corpus or "own"
    if "label" in columns and not classes:
        raise DataError("labels need names: --classes NAME0,NAME1,... in the order of the labels")
    if "label" not in columns and len(names) > 1:
        raise DataError(f"{len(names)} classes need a column of labels: --columns label=NAME,...")
    if len({*names}) < len(names) or not all(name.strip() for name in names):
        raise DataError(f"class names {', '.join(names)!r}: one is empty or there twice")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", corpus):
        raise DataError(f"corpus {corpus!r}: use letters, digits, '_', '.' and '-'")
    if CORPORA.get(corpus, names) != names:
        raise DataError(f"corpus {corpus!r} has classes of its own; choose another name")
    places = {quantity: _place(column) for quantity, column in columns.items()}
    kinds = {name: "fiub" for name, _ in places.values() if name}
    if "label" in places:
        kinds[places["label"][0]] = "fiubS"
    return Format(
        what="own jets",
        corpus=corpus,
        classes=names,
        kinds=tuple(READERS),
        wanted={name: (kind, None) for name, kind in kinds.items()},
        table=partial(_table, places, names),
        jet_columns=(*SUMMED, *(n for n in JET_FLOATS if n in columns and n not in SUMMED)),
    )


def _place(column: str) -> tuple[str, float | None]:
    """Name of a column and which of its features; no name and a number for a constant."""
    match = re.fullmatch(r"(.+)\[(\d+)\]", column)
    if match:
        return match[1], int(match[2])
    try:
        return "", float(column)
    except ValueError:
        return column, None


def class_names(columns: Mapping[str, str], files: Sequence[Path]) -> tuple[str, ...]:
    """The labels of all files in alphabetical order, if they are text; none if they are numbers.

    Raises BadFile for a file that cannot be read.
    """
    found: set[str] = set()
    for path in files if "label" in columns else ():
        column, _ = _place(columns["label"])
        with opened(path, tuple(READERS), "own jets") as file:
            if column not in file.names or file.layout(column).kind != "S":
                return ()
            for batch in file.batches([column]):
                found |= {text(label) for label in np.asarray(batch[column]).tolist()}
    return tuple(sorted(found))


def text(label: Any) -> str:
    """A label as text; HDF5 gives bytes."""
    return label.decode() if isinstance(label, bytes) else str(label)


def _table(
    places: Mapping[str, tuple[str, float | None]],
    classes: Sequence[str],
    path: Path,
    columns: dict[str, Column],
) -> pa.Table:
    """The jets of a batch; see `jets_of`."""
    found: dict[str, Column | float] = {}
    for quantity, (name, feature) in places.items():
        if not name:
            found[quantity] = feature or 0.0
        elif feature is None:
            found[quantity] = columns[name]
        else:
            values = columns[name]
            if isinstance(values, Ragged) or not int(feature) < values.shape[-1] or values.ndim < 2:
                raise DataError(f"column {name!r} has no feature [{int(feature)}] for {quantity}")
            found[quantity] = values[..., int(feature)]
    return jets_of(found, classes)


def jets_of(columns: Mapping[str, Any], classes: Sequence[str]) -> pa.Table:
    """A table of the schema from own quantities, with the faults that only they can show.

    Parameters
    ----------
    columns
        Quantity to lists, padded arrays (n, M), or (n,) for the label and jet columns.
    classes
        Class names in label order; without labels all jets are of the first.

    Raises
    ------
    DataError
        Lists, padded arrays and numbers per jet are mixed.
    """
    parts, faults = {k: v for k, v in columns.items() if k in PARTS}, {}
    constant = {k: parts.pop(k) for k, v in columns.items() if isinstance(v, float)}
    arrays = {k: v for k, v in parts.items() if not isinstance(v, Ragged | float)}
    lists = {k: v for k, v in parts.items() if isinstance(v, Ragged)}
    shapes = {k: v.shape for k, v in arrays.items()}
    if (
        (lists and arrays)
        or len({*shapes.values()}) > 1
        or any(len(s) != 2 for s in shapes.values())
    ):
        raise DataError(
            f"constituents are all lists, or all arrays (jets, slots); found lists for "
            f"{', '.join(lists) or 'nothing'} and arrays {shapes}"
        )
    if lists:
        counts = next(iter(lists.values())).counts
        uneven = np.any([column.counts != counts for column in lists.values()], axis=0)
        faults["constituent lists of unequal length"] = uneven
        arrays = {k: v.values[np.repeat(~uneven, v.counts)] for k, v in lists.items()}
        counts = np.where(uneven, 0, counts)
    with np.errstate(over="ignore"):
        pt = arrays["pt"] if "pt" in arrays else np.hypot(arrays["px"], arrays["py"])
    momentum = [arrays[name] for name in (*CARTESIAN, "pt") if name in arrays]
    filled = (
        np.any([v != 0 for v in momentum], axis=0) if "mask" not in arrays else arrays["mask"] != 0
    )
    if lists:
        jet = np.repeat(np.arange(len(counts)), counts)[filled]
        arrays = {k: v[filled] for k, v in arrays.items()}
        slots = Slots.of_lists(np.bincount(jet, minlength=len(counts)), pt[filled])
    else:
        slots = Slots.of(filled, pt)
    own: dict[str, Any] = {k: slots.pick(v).astype(float) for k, v in arrays.items()} | constant
    if "px" in own:
        momenta = Momenta(**{name: own[name] for name in CARTESIAN})
    else:
        names = (*ANGLES, "mass", "energy")
        momenta = Momenta.from_angles(**{name: own[name] for name in names if name in own})
    stored, jets = momenta.of_jets(slots, {k: columns[k] for k in JET_FLOATS if k in columns})
    faults |= momenta.faults(slots)
    if "mask" in own:
        faults |= mask_faults(slots, own["mask"])
    if "pid" in own:
        stored |= particles.columns_of(own["pid"])
        faults |= particles.faults(slots, own["pid"], first=0)
    if "charge" in own:
        stored["part_charge"] = own["charge"]
    stored |= {column: own[name] for name, column in TRACKS.items() if name in own}
    label, foreign = _labels(columns.get("label"), classes, len(slots.counts))
    return to_table(slots, stored, jets | {"jet_label": label}, faults | foreign)


def _labels(
    given: Column | float | None, classes: Sequence[str], n: int
) -> tuple[Array, dict[str, Array]]:
    """(n,) labels as integers, and jets whose label is a name that is no class."""
    if given is None:
        return np.zeros(n, int), {}
    label = np.asarray(given)
    if label.shape != (n,):
        raise DataError(f"labels have shape {label.shape}, needs ({n},): one per jet")
    if label.dtype.kind in "fiub":
        return label.astype(int) if label.dtype.kind == "b" else label, {}
    names = np.array([text(value) for value in label.tolist()], dtype=str)
    index = {name: i for i, name in enumerate(classes)}
    strange = sorted({*names.tolist()} - {*index})[:_NAMED]
    foreign = {f"label {name!r} is none of the classes": names == name for name in strange}
    return np.array([index.get(name, -1) for name in names.tolist()], int), foreign
