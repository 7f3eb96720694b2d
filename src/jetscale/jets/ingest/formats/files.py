"""Opening a file by what is in it, and a format: which columns it needs and what they become."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from jetscale.errors import unknown
from jetscale.jets.ingest.formats import hdf5, npz, parquet, root
from jetscale.jets.ingest.formats.base import ANY, LIST, BadFile, Column, File, Shape, guarded
from jetscale.jets.schema import classes_of

READERS = {
    **{"ROOT": root.opened, "Parquet": parquet.opened},
    **{"HDF5": hdf5.opened, "NumPy archive": npz.opened},
}
_MAGIC = {
    **{b"root": "ROOT", b"PAR1": "Parquet", b"\x89HDF\r\n\x1a\n": "HDF5"},
    **{b"PK\x03\x04": "NumPy archive", b"\x93NUMPY": "a single NumPy array; save it with np.savez"},
    **{b"\x1f\x8b": "a gzip file; unpack it with gunzip", b"PK\x05\x06": "NumPy archive"},
}

_KINDS = {"f": "float", "i": "integer", "u": "unsigned", "b": "bool", "S": "text"}

Wanted = Mapping[str, tuple[str, Shape | None]]
"""Column name to the kinds it may have and its shape without the rows; None is any shape."""


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: a key of `READERS`, or words for anything else."""
    with path.open("rb") as file:
        start = file.read(4096)
    for offset in (0, 512, 1024, 2048):  # HDF5 may have a block of its user's in front
        if start[offset : offset + 8] == b"\x89HDF\r\n\x1a\n":
            return "HDF5"
    for magic in filter(start.startswith, _MAGIC):
        return _MAGIC[magic]
    if not start.strip(b"\0"):
        return "a file of zeros; download it again" if start else "an empty file; download it again"
    if (start.isascii() and start.decode().isprintable()) or (b"\n" in start and start.isascii()):
        return "a text file"
    return f"a file of another kind, it starts with {start[:8]!r}"


@contextmanager
def opened(path: Path, kinds: Sequence[str], what: str) -> Iterator[File]:
    """The columns of a file that is of one of ``kinds``; raises BadFile for whatever is wrong."""
    wanted = " or ".join(kinds)
    with guarded(path, wanted):
        if (kind := kind_of(path)) not in kinds:
            found = f"of the kind {kind}" if kind in READERS else kind
            raise BadFile(f"{path}: files of {what} are {wanted}, this is {found}")
    with guarded(path, kind), READERS[kind](path) as file:
        yield file


def fits(found: Shape, wanted: Shape | None) -> bool:
    """Whether the shape of a row is one of those wanted.

    >>> fits((30, 4), (ANY, 4)), fits((30, 7), (ANY, (4, 5, 9))), fits((LIST,), (ANY,))
    (True, False, False)
    """
    if wanted is None:
        return True
    return len(found) == len(wanted) and all(
        n == w or (w is ANY and n != LIST) or (isinstance(w, tuple) and n in w)
        for n, w in zip(found, wanted, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: where its columns are, and what jets they become."""

    what: str  # the data set, for messages
    corpus: str
    kinds: tuple[str, ...]  # kinds of file it comes in, keys of READERS
    wanted: Wanted
    table: Callable[[Path, dict[str, Column]], pa.Table]
    """The jets of a batch of those columns; raises ValueError where they make no sense."""
    jet_columns: tuple[str, ...]  # jet columns of its tables, which selection cuts may use
    check: Callable[[Path], object] = lambda path: None  # looks at a file's name; raises BadFile
    classes: tuple[str, ...] = ()
    """Class names in label order; none means those of the built-in corpus."""

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.classes or classes_of(self.corpus)

    def count(self, path: Path) -> int:
        """Jets in a file, after checking its layout; raises `BadFile`."""
        with self._opened(path) as (_, rows):
            return rows

    def read(self, path: Path) -> Iterator[pa.Table]:
        """Tables of at most `base.ROWS_PER_BATCH` jets in file order; raises `BadFile`."""
        with self._opened(path) as (file, rows):
            found = 0
            for batch in file.batches(list(self.wanted)):
                with np.errstate(all="ignore"):  # what is lost or too large is counted later
                    table = self.table(path, batch)
                found += table.num_rows
                yield table
            if found != rows:
                raise ValueError(f"{rows} jets announced, {found} found")

    @contextmanager
    def _opened(self, path: Path) -> Iterator[tuple[File, int]]:
        """The file and its jets, once the columns are as they should be."""
        self.check(path)
        tail = f"; not a file of {self.what}" if self.kinds != tuple(READERS) else ""
        with opened(path, self.kinds, self.what) as file:
            if missing := [name for name in self.wanted if name not in file.names]:
                near = unknown("column", missing[0], sorted(file.names))
                names = ", ".join(missing[:4]) + (", ..." if len(missing) > 4 else "")
                many = f"{len(missing)} columns missing ({names}): " if len(missing) > 1 else ""
                raise BadFile(f"{path}: {many}{near}{tail}")
            rows = {}
            for name, (kinds, shape) in self.wanted.items():
                found = file.layout(name)
                if found.kind not in [*kinds] or not fits(found.shape, shape):
                    words = " or ".join(_KINDS[kind] for kind in kinds)
                    lengths = str(shape).replace("None", "any").replace("'", "")
                    words += f" of shape {lengths} per jet" if shape else ""
                    raise BadFile(f"{path}: column {name!r} is {found.text}, needs {words}{tail}")
                rows[name] = found.rows
            if len(set(rows.values())) > 1:
                raise BadFile(f"{path}: rows differ: {rows}{tail}")
            yield file, next(iter(rows.values()))
