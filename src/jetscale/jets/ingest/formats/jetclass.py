"""JetClass and JetClass-II as published.

JetClass: ROOT files of one class each (Zenodo 6619768, arXiv 2202.03772). The class is the one
label branch that is 1; the ten branches have three different types. ``part_charge`` and
``jet_nparticles`` are stored as floats, particle flags as integers. Truth (``aux_*``) is not read.

JetClass-II (arXiv 2405.12972): Parquet files, or the ROOT files they were made from. Generator
columns, six tenths of a file, are skipped.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.jets.ingest.formats.arrays import table_of
from jetscale.jets.ingest.formats.base import LIST, Array
from jetscale.jets.ingest.formats.files import Format, Wanted
from jetscale.jets.schema import JET_COLUMNS, JET_FLOATS, JETCLASS, PART_FLAGS, PART_FLOATS

LABELS = tuple(f"label_{name}" for name in JETCLASS)


def as_stored(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets of JetClass-II, whose columns are those of the schema."""
    return table_of(columns)


def label_of(one_hot: Array) -> Array:
    """(n,) index of the one branch that is 1, from (n, 10); -1 where they do not sum to 1."""
    good = np.isin(one_hot, (0, 1)).all(axis=1) & (one_hot.sum(axis=1) == 1)
    return np.where(good, np.argmax(one_hot, axis=1), -1)


def jets_of(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets of JetClass, in all columns of the schema."""
    label = label_of(np.stack([columns.pop(name) for name in LABELS], 1))
    for name in PART_FLAGS:
        columns[name] = replace(columns[name], values=columns[name].values.astype(bool))
    return table_of(columns | {"jet_label": label})


def _wanted(charge: str, flags: str, count: str) -> Wanted:
    """The columns of both sets, with the kinds of numbers of those that differ between them."""
    return {
        **dict.fromkeys(PART_FLOATS, ("f", (LIST,))),
        "part_charge": (charge, (LIST,)),
        **dict.fromkeys(PART_FLAGS, (flags, (LIST,))),
        **dict.fromkeys(JET_FLOATS, ("f", ())),
        "jet_nparticles": (count, ()),
    }


FIRST = {**_wanted("fi", "ib", "fi"), **dict.fromkeys(LABELS, ("fiub", ()))}
FORMAT = Format("JetClass", "jetclass", ("ROOT",), FIRST, jets_of, JET_COLUMNS)
LATER = {**_wanted("iu", "b", "iu"), "jet_label": ("iu", ())}
SECOND = Format("JetClass-II", "jetclass2", ("Parquet", "ROOT"), LATER, as_stored, JET_COLUMNS)
