"""Public file formats, and own jets: what `jetscale ingest` reads.

Each module says what it takes from its files, what it computes and what stays absent. A column that
neither is in the files nor follows from them by kinematics is absent, never zero.
"""

from collections.abc import Mapping, Sequence

from jetscale.errors import DataError, unknown
from jetscale.jets.ingest.formats import aspen, jetclass, jetnet, omnilearned, own, tagging
from jetscale.jets.ingest.formats.files import Format

FORMATS = {
    "jetclass": jetclass.FORMAT,
    "jetclass2": jetclass.SECOND,
    "toptagging": tagging.TOP,
    "quarkgluon": tagging.QUARKGLUON,
    "jetnet": jetnet.FORMAT,
    "aspenopenjets": aspen.FORMAT,
}
NAMES = (*FORMATS, "omnilearned", "arrays")


def format_named(
    name: str,
    of: str | None = None,
    columns: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    corpus: str | None = None,
) -> Format:
    """A format by name; the rest as in `jetscale.jets.ingest.work.Options`.

    Raises DataError for an unknown name, for what a format needs, and for what it knows already.
    """
    if name not in NAMES:
        raise DataError(unknown("format", name, NAMES))
    if name == "arrays":
        if of is not None or not columns:
            raise DataError("format arrays: name its columns, as in --columns px,py,pz,energy=E")
        return own.format_of(columns, classes, corpus)
    if columns or classes or corpus:
        raise DataError(f"format {name} knows its columns and classes; --format arrays is for own")
    if name == "omnilearned":
        return omnilearned.of_set(of)
    if of is not None:
        raise DataError(f"format {name} knows its corpus; leave out {of!r}")
    return FORMATS[name]
