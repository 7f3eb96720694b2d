"""Own jets that are in memory already, written as a shard folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jetscale.jets.ingest.clean import MAX_BAD, Sieve
from jetscale.jets.ingest.formats import own
from jetscale.jets.ingest.formats.base import Column, Ragged, native
from jetscale.jets.shards import shard_writer
from jetscale.jets.shards.manifest import Manifest, open_shards


def write_jets(
    folder: Path,
    columns: Mapping[str, Any],
    *,
    classes: Sequence[str] = (),
    role: str = "train",
    corpus: str = "own",
    max_bad: float = MAX_BAD,
) -> Manifest:
    """Write jets as a new shard folder that a study can read; return its manifest.

    Jets that cannot be used are left out and counted under ``provenance["dropped"]``.

    Args:
        columns: Quantity (`jetscale.jets.ingest.formats.own.QUANTITIES`, in GeV, radians and mm) to
            numbers. Constituents are zero-padded arrays (jets, slots), or one list per jet; labels,
            whole numbers or names of classes, and jet columns are (jets,); ``mass`` may be one
            number. The other arguments are those of `jetscale.jets.ingest.work.Options`.

    Raises:
        DataError: A quantity is unknown or missing, shapes do not fit, or many jets are unusable.
        StorageError: The folder is not empty or cannot be written.

    >>> import tempfile
    >>> pt, eta, phi = [[300.0, 200.0], [500.0]], [[0.1, 0.3], [-0.2]], [[1.0, 1.2], [0.4]]
    >>> jets = {"pt": pt, "eta": eta, "phi": phi, "mass": 0, "label": ["top", "QCD"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_jets(Path(folder) / "mine", jets, corpus="top").label_counts
    {'QCD': 1, 'top': 1}
    """
    found = {name: _column(values) for name, values in columns.items()}
    label = found.get("label")
    if not classes and isinstance(label, np.ndarray) and label.dtype.kind in "SUO":
        classes = sorted({own.text(value) for value in label.tolist()})
    source = own.format_of(dict.fromkeys(columns, "given"), classes, corpus)
    raw = own.jets_of(found, source.names)
    sieve = Sieve(where=str(folder), n_classes=len(source.names), max_bad=max_bad)
    with shard_writer(folder, corpus=corpus, role=role, classes=source.names) as writer:
        writer.write(sieve.keep(raw))
        sieve.check()
        writer.provenance.update(rows=sieve.rows, dropped=sieve.dropped)
    return open_shards(folder)


def _column(values: Any) -> Column | float:
    if isinstance(values, int | float | np.number):
        return float(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return native(values)
    rows = [np.asarray(row) for row in values]
    if not rows or rows[0].ndim == 0:
        return np.asarray(rows)
    return Ragged(np.array(list(map(len, rows)), np.int64), native(np.concatenate(rows)))
