"""JetClass as published: ROOT files of one class each (Zenodo 6619768, arXiv 2202.03772).

The class is the one label branch that is 1; the ten branches have three different types, float,
bool and integer. A jet whose labels do not sum to 1 gets the label -1, outside the table.
``part_charge`` and ``jet_nparticles`` are stored as floats, particle flags as integers. Jets hold
all their constituents, not only the leading ones. Truth (``aux_*``) is not read.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from jetscale.jets.ingest.formats import root
from jetscale.jets.ingest.formats.arrays import Array, list_column
from jetscale.jets.ingest.formats.base import Format
from jetscale.jets.schema import JET_COLUMNS, JET_FLOATS, JETCLASS, PART_FLAGS, PART_FLOATS

LABELS = tuple(f"label_{name}" for name in JETCLASS)
BRANCHES = {
    **dict.fromkeys(PART_FLOATS, "F"),
    "part_charge": "FI",
    **dict.fromkeys(PART_FLAGS, "IB"),
    **dict.fromkeys(JET_FLOATS, "f"),
    "jet_nparticles": "fi",
    **dict.fromkeys(LABELS, "fiub"),
}


def _count(path: Path) -> int:
    return root.count(path, BRANCHES, "JetClass")


def _read(path: Path) -> Iterator[pa.Table]:
    for branches in root.batches(path, BRANCHES):
        yield table_of(branches, label_of(np.stack([branches[name][1] for name in LABELS], 1)))


def label_of(one_hot: Array) -> Array:
    """(n,) index of the one branch that is 1, from (n, 10); -1 where they do not sum to 1."""
    good = np.isin(one_hot, (0, 1)).all(axis=1) & (one_hot.sum(axis=1) == 1)
    return np.where(good, np.argmax(one_hot, axis=1), -1)


def table_of(branches: dict[str, root.Branch], label: Array) -> pa.Table:
    """Branches of the schema as a table; the lists of a jet may still differ in length."""
    columns = {}
    for name, (counts, values) in branches.items():
        if counts is not None:
            flat = values.astype(bool) if name in PART_FLAGS else values
            columns[name] = list_column(counts, flat)
        elif name in JET_COLUMNS:
            columns[name] = pa.array(values.astype(values.dtype.newbyteorder("=")))
    return pa.table(columns | {"jet_label": pa.array(label)})


FORMAT = Format(corpus="jetclass", jet_columns=JET_COLUMNS, count=_count, read=_read)
