"""Public file formats: what `jetscale ingest` reads.

Each module of this package knows one family of files and says in its docstring what it takes from
them, what it computes and what stays absent. Columns follow `jetscale.jets.schema`; a column that
neither is in the files nor follows from them by kinematics is absent, never zero.
"""

from jetscale.errors import DataError, unknown
from jetscale.jets.ingest.formats import (
    aspen,
    jetclass,
    jetclass2,
    jetnet,
    omnilearned,
    quarkgluon,
    toptagging,
)
from jetscale.jets.ingest.formats.base import Format

FORMATS = {
    "jetclass": jetclass.FORMAT,
    "jetclass2": jetclass2.FORMAT,
    "toptagging": toptagging.FORMAT,
    "quarkgluon": quarkgluon.FORMAT,
    "jetnet": jetnet.FORMAT,
    "aspenopenjets": aspen.FORMAT,
}
NAMES = (*FORMATS, "omnilearned")


def format_named(name: str, of: str | None = None) -> Format:
    """A format by name; ``of`` names the set that an OmniLearned file is of.

    Raises
    ------
    DataError
        Unknown name; or ``of`` missing, unknown, or given for a format that knows its set.
    """
    if name == "omnilearned":
        return omnilearned.of_set(of)
    if name not in FORMATS:
        raise DataError(unknown("format", name, NAMES))
    if of is not None:
        raise DataError(f"format {name} knows its corpus; leave out {of!r}")
    return FORMATS[name]
