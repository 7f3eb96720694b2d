"""HDF5 files through h5py: opening, and data sets of a known shape.

Nothing in a file is unpickled or executed. A data set compressed with a filter that HDF5 does not
bring along (Blosc, for instance) needs the package ``hdf5plugin``, which is used if it is there.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jetscale.errors import JetscaleError
from jetscale.jets.ingest.formats.base import BadFile, load, unreadable


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The open file; raises BadFile where it cannot be read."""
    h5py = load("h5py")
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (JetscaleError, MemoryError):
        raise
    except Exception as error:  # a damaged or odd file fails wherever its content is first used
        raise unreadable(path, "HDF5", error) from error


def dataset(file: Any, name: str, shape: tuple[int | None, ...], what: str) -> Any:
    """A data set of numbers with the shape given, where None stands for any length.

    Raises
    ------
    BadFile
        It is absent, of another shape or kind, or compressed with a filter that is not there.
    """
    found = file.get(name)
    if getattr(found, "shape", None) is None:
        raise BadFile(
            f"{file.filename}: no data set {name!r}, found {sorted(file)}; not {what} file"
        )
    wrong = len(found.shape) != len(shape) or any(
        n is not None and n != m for n, m in zip(shape, found.shape, strict=True)
    )
    if wrong or found.dtype.kind not in "fiub":
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        raise BadFile(
            f"{file.filename}: {name!r} is {found.dtype} {found.shape}, needs numbers {wanted}; "
            f"not {what} file"
        )
    check_filters(found)
    return found


def check_filters(found: Any) -> None:
    """Raise BadFile for a data set whose compression this installation cannot read."""
    h5z, properties = load("h5py.h5z"), found.id.get_create_plist()
    for i in range(properties.get_nfilters()):
        code = properties.get_filter(i)[0]
        if not h5z.filter_avail(code):
            raise BadFile(
                f"{found.file.filename}: {found.name} is compressed with HDF5 filter {code}; "
                "run `pip install hdf5plugin` to read it"
            )


def same_rows(what: str, *found: Any) -> int:
    """Rows of data sets that must have equally many; raises BadFile where they have not."""
    rows = {dataset.name: dataset.shape[0] for dataset in found}
    if len(set(rows.values())) != 1:
        raise BadFile(f"{found[0].file.filename}: rows differ: {rows}; not {what} file")
    return int(found[0].shape[0])
