"""ROOT files: a TTree ``tree`` whose branches are numbers or one list of numbers per jet.

Lists may be ``std::vector`` branches, as published, or arrays with a counter branch, as uproot
writes them; uproot reads both alike.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jetscale.errors import JetscaleError
from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.arrays import Array
from jetscale.jets.ingest.formats.base import BadFile, load, unreadable

TREE = "tree"

Branch = tuple[Array | None, Array]
"""Entries per jet, or None for one number per jet; flat values."""


def is_root(path: Path) -> bool:
    """Whether the file starts like a ROOT file; raises BadFile where it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"root"
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    uproot = load("uproot")
    try:
        with uproot.open(path) as file:
            names = [name.split(";")[0] for name in file.keys(recursive=False)]
            if TREE not in names:
                raise BadFile(f"{path}: holds {names or 'nothing'}, needs a TTree {TREE!r}")
            yield file[TREE]
    except (JetscaleError, MemoryError):
        raise
    except Exception as error:  # what uproot raises depends on the byte that is damaged
        raise unreadable(path, "ROOT", error) from error


def count(path: Path, wanted: Mapping[str, str], what: str) -> int:
    """Jets in the tree, after checking its branches.

    Parameters
    ----------
    wanted
        Branch name to the numpy kinds it may have (``f`` float, ``i`` and ``u`` integer, ``b``
        bool), lower case for a number and upper case for a list of numbers.
    what
        The data set, for messages.

    Raises
    ------
    BadFile
        Unreadable, another tree, branches missing or of another kind.
    """
    with _opened(path) as tree:
        missing = [name for name in wanted if name not in tree.keys(recursive=False)]
        if missing:
            raise BadFile(f"{path}: branches {missing} are missing; not a {what} file")
        for name, kinds in wanted.items():
            kind = _kind(tree[name].interpretation)
            if kind not in kinds:
                raise BadFile(
                    f"{path}: branch {name!r} is {tree[name].typename}; not a {what} file"
                )
        return int(tree.num_entries)


def _kind(interpretation: Any) -> str:
    """The numpy kind of a branch, upper case for lists, ``none`` for anything else."""
    content = getattr(interpretation, "content", interpretation)
    dtype = getattr(content, "to_dtype", None)
    if dtype is None or dtype.shape:
        return "none"
    kind = str(dtype.kind)
    return kind if content is interpretation else kind.upper()


def batches(path: Path, names: Collection[str]) -> Iterator[dict[str, Branch]]:
    """The branches of at most `base.ROWS_PER_BATCH` jets at a time."""
    ak = load("awkward")
    with _opened(path) as tree:
        for batch in tree.iterate(list(names), step_size=base.ROWS_PER_BATCH, library="ak"):
            yield {name: _branch(ak, batch[name]) for name in names}


def _branch(ak: Any, values: Any) -> Branch:
    if values.ndim == 1:
        return None, np.asarray(ak.to_numpy(values))
    return np.asarray(ak.to_numpy(ak.num(values))), np.asarray(ak.to_numpy(ak.flatten(values)))
