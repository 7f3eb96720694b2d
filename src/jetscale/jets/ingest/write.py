"""Own jets that are in memory already, written as a shard folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jetscale.errors import DataError
from jetscale.jets.ingest.clean import MAX_BAD, Sieve
from jetscale.jets.ingest.formats import own
from jetscale.jets.ingest.formats.base import Column, Ragged, native
from jetscale.jets.shards import shard_writer
from jetscale.jets.shards.manifest import Manifest, open_shards


def write_jets(
    folder: Path | str,
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
    if not isinstance(columns, Mapping):
        raise DataError(f"columns is {type(columns).__name__}, needs quantities and their numbers")
    found = {name: _column(name, values) for name, values in columns.items()}
    label = found.get("label")
    if not classes and isinstance(label, np.ndarray) and label.dtype.kind in "SU":
        classes = sorted({own.text(value) for value in label.tolist()})
    source = own.format_of(dict.fromkeys(columns, "given"), classes, corpus)
    raw = own.jets_of(found, source.names)
    sieve = Sieve(where=f"jets for {folder}", n_classes=len(source.names), max_bad=max_bad)
    kept = sieve.keep(raw)
    sieve.check()
    if not kept.num_rows and sieve.bad:
        raise DataError(f"{sieve.where}: no jets are left; dropped: {sieve.reasons}")
    with shard_writer(folder, corpus=corpus, role=role, classes=source.names) as writer:
        writer.write(kept)
        writer.provenance.update(rows=sieve.rows, dropped=sieve.dropped)
    return open_shards(Path(folder))


def _column(name: str, values: Any) -> Column | float:
    """A quantity as an array or as lists; DataError for what holds no numbers or labels."""
    if isinstance(values, int | float | np.number) and name == "mass":
        return float(values)
    try:
        whole = isinstance(values, np.ndarray) and values.dtype != object
        rows = [values] if whole else list(values)
        if any(isinstance(row, np.ma.MaskedArray) for row in rows):
            raise DataError(f"{name} is masked; fill it, or say by a quantity mask what is there")
        rows = list(map(np.asarray, rows))
        if whole:
            column: Column = native(rows[0])
        elif not rows or rows[0].ndim == 0:
            column = np.asarray(rows)
        else:
            column = Ragged(np.array(list(map(len, rows)), np.int64), native(np.concatenate(rows)))
    except (TypeError, ValueError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise DataError(f"{name}: {type(values).__name__} cannot be read: {line}") from error
    types = {row.dtype for row in rows}
    text = {dtype.kind in "SU" for dtype in types}
    if len(text) > 1 or any(t.kind not in "fiub" + "SU" * (name == "label") for t in types):
        words = "numbers, or text alone" if name == "label" else "numbers"
        raise DataError(f"{name} holds {', '.join(sorted(map(str, types)))}; needs {words}")
    return column
