"""ROOT files: a TTree or an RNTuple of numbers, or of one list of numbers, per jet.

Lists may be ``std::vector`` branches or arrays with a counter branch. uproot trusts the offsets
that a file gives for them, so they are checked before anything uses them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.base import LIST, BadFile, Column, File, Layout, Ragged, load

TREE = "tree"  # the name that published files use; taken where there are several
_TREES = ("TTree", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The branches of the one tree of a file, or of the one named ``tree``."""
    uproot, ak = load("uproot"), load("awkward")
    with uproot.open(path) as file:
        kinds = {n.split(";")[0]: k for n, k in file.classnames(recursive=True).items()}
        trees = [name for name, kind in kinds.items() if kind in _TREES]
        if TREE not in trees and len(trees) != 1:
            found = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "nothing"
            raise BadFile(f"{path}: holds {found}; needs a TTree or RNTuple {TREE!r}")
        name = TREE if TREE in trees else trees[0]
        tree, rows = file[name], int(file[name].num_entries)

        def layout(branch: str) -> Layout:
            if kinds[name] == "TTree":
                found = tree[branch].interpretation
                content = getattr(found, "content", found)
                dtype, lists = getattr(content, "to_dtype", None), content is not found
                text = isinstance(found, uproot.AsStrings)
            else:  # an RNTuple's types are those of its arrays
                found = tree.arrays([branch], entry_stop=0)[branch]
                plain = found.ndim <= 2 and not found.fields
                dtype = np.asarray(ak.flatten(found, axis=None)).dtype if plain else None
                lists, text = found.ndim == 2, dtype is not None and dtype.kind == "U"
            kind = "S" if text else "" if dtype is None or dtype.shape else dtype.kind
            return Layout(kind, rows, (LIST,) if lists else (), tree[branch].typename)

        def batches(names: Sequence[str]) -> Iterator[dict[str, Column]]:
            for batch in tree.iterate(list(names), step_size=base.ROWS_PER_BATCH, library="ak"):
                yield {name: _column(ak, batch[name]) for name in names}

        yield File(tree.keys(recursive=False), layout, batches)


def _column(ak: Any, values: Any) -> Column:
    if ak.validity_error(values):  # a count below zero, for instance
        raise ValueError("list offsets run backwards or past the values")
    if values.ndim == 1:
        return base.native(np.asarray(ak.to_numpy(values)))
    counts, flat = ak.to_numpy(ak.num(values)), ak.to_numpy(ak.flatten(values))
    return Ragged(np.asarray(counts, np.int64), base.native(np.asarray(flat)))
