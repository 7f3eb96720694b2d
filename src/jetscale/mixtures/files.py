"""Streams as files that other programs read: the first D jets as Parquet or ROOT.

A file has a list column for each feature, float32 and standardised as the stream has it, and
``label``, an integer. The class that a label means is in the file, too: the metadata ``classes`` of
a Parquet file, the text ``classes`` of a ROOT file, a JSON list in label order. The jets of a ROOT
file are in the TTree ``tree``.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jetscale.digests import digest
from jetscale.jets.ingest.formats.base import load
from jetscale.jets.ingest.formats.root import TREE
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.stream import ROWS_PER_BLOCK, content_sha256
from jetscale.store.local import atomic_path

VERSION = 1  # of what is in a file


def ensure_file(
    folder: Path,
    name: str,
    jets: Ragged,
    *,
    features: Sequence[str],
    classes: Sequence[str],
    kind: str,
) -> Path:
    """A file in ``folder`` that holds the jets, made where it is not there.

    Its name begins with ``name`` and tells its content, so that runs, studies and processes share
    it. It is whole or not there, and nobody may write to it. ``kind`` is ``parquet`` or ``root``.

    Raises StorageError where it cannot be written, MissingExtra without the packages for ROOT.
    """
    content = digest([VERSION, list(features), list(classes), content_sha256(jets)])
    path = folder / f"{name}-{len(jets)}-{content}.{kind}"
    if not path.is_file():
        write = {"parquet": _write_parquet, "root": _write_root}[kind]
        with atomic_path(path) as temporary:
            write(temporary, jets, features, classes)
            temporary.chmod(0o444)  # a trainer is given it to read
    return path


def _write_parquet(
    path: Path, jets: Ragged, features: Sequence[str], classes: Sequence[str]
) -> None:
    offsets = pa.array(jets.offsets.astype(np.int32))
    columns = {
        name: pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(jets.values[:, i])))
        for i, name in enumerate(features)
    }
    table = pa.table(columns | {"label": pa.array(jets.labels)})
    metadata = {"classes": json.dumps(list(classes))}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _write_root(path: Path, jets: Ragged, features: Sequence[str], classes: Sequence[str]) -> None:
    uproot, ak = load("uproot"), load("awkward")
    with uproot.recreate(path) as file:
        kinds = dict.fromkeys(features, "var * float32") | {"label": "int64"}
        tree = file.mktree(TREE, kinds)
        for start in range(0, len(jets), ROWS_PER_BLOCK):
            part = jets.take(np.arange(start, min(start + ROWS_PER_BLOCK, len(jets))))
            offsets = ak.index.Index64(part.offsets)
            lists = {
                name: ak.Array(
                    ak.contents.ListOffsetArray(
                        offsets, ak.contents.NumpyArray(np.ascontiguousarray(part.values[:, i]))
                    )
                )
                for i, name in enumerate(features)
            }
            tree.extend(lists | {"label": part.labels})
        file["classes"] = json.dumps(list(classes))
