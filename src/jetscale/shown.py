"""What results share: ``print`` gives the text of the command, a notebook tables, code a DataFrame.

How a result looks is decided in `jetscale.display` and `jetscale.report`, rooms that import the one
it is made in: they are imported here alone, by name, when it is looked at.
"""

from collections.abc import Iterable
from dataclasses import fields
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def later(room: str, name: str) -> Any:
    """Return what a later room calls ``name``."""
    return getattr(import_module(f"jetscale.{room}"), name)


class Shown:
    """A result to print and to show in a notebook; its ``to_frame()`` has the numbers."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return what the command prints, no wider than the terminal."""
        return str(later("display.shown", "text_of")(self))

    def _repr_html_(self) -> str:
        return str(later("display.shown", "html_of")(self))


def row_of(value: Any, before: str = "") -> dict[str, Any]:
    """Return the fields of a dataclass as columns; of one with an interval NAME_low, NAME_high too.

    What is undetermined is told by NAME_identified. ``before`` stands before all names.
    """
    row: dict[str, Any] = {}
    for name in [field.name for field in fields(value)] if value is not None else ():
        found = getattr(value, name)
        row[before + name] = found.value if isinstance(found, Enum) else found
        if hasattr(found, "low"):
            row |= row_of(found, f"{before}{name}_") | {before + name: found.value}
    if hasattr(value, "identified"):
        row[f"{before}identified"] = value.identified
    return row


def frame_of(rows: Iterable[Any], columns: str) -> "pd.DataFrame":
    """Return rows as a DataFrame of these columns, always all of them; nan where one lacks one."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=columns.split())
