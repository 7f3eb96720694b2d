"""Checks that values of a study make when they are built.

Numbers become plain ints and floats: studies written with numpy's numbers have equal digests.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from math import isfinite
from operator import index
from typing import Any, SupportsIndex

from jetscale.errors import StudyError
from jetscale.jets.example import NAME, plain_number

LONGEST = 100  # of a name: file systems take 255 bytes, and names get a prefix and a digest


def check_name(what: str, name: object) -> None:
    """Raise StudyError unless a name can be part of a file name everywhere."""
    good = isinstance(name, str) and bool(NAME.fullmatch(name))
    require(good, f"{what} name {name!r}: use letters, digits and + . _ - only")
    long = len(str(name)) > LONGEST
    require(not long, f"{what} name {str(name)[:20]!r}...: use at most {LONGEST} characters")


def require(condition: bool, message: str) -> None:
    """Raise StudyError with the message unless the condition holds."""
    if not condition:
        raise StudyError(message)


def positive_int(owner: str, name: str, value: object, least: int = 1) -> int:
    """The value as a plain int of ``least`` or more; numpy's whole numbers are accepted."""
    with suppress(TypeError):  # an array has an index if it is a single number
        if (
            isinstance(value, SupportsIndex)
            and not isinstance(value, bool)
            and index(value) >= least
        ):
            return index(value)
    above = "above zero" if least == 1 else f"of at least {least}"
    raise StudyError(f"{owner}: {name} is {value!r}, needs a whole number {above}")


def number(owner: str, name: str, value: object) -> float:
    """The value as a plain finite float."""
    number = plain_number(value)
    require(isfinite(number), f"{owner}: {name} is {value!r}, needs a finite number")
    return number


def plain(owner: object, name: str, value: object) -> None:
    """Replace a field of a frozen value, so that equal studies have equal digests."""
    object.__setattr__(owner, name, value)


def check_fields(value: Any, owner: str) -> None:
    """Check the int, float and str fields of a frozen value; numbers become plain ones.

    An int is above zero; the metadata of a field may name another ``least``.
    """
    for f in fields(value):
        given = getattr(value, f.name)
        if f.type is int:
            least = f.metadata.get("least", 1)
            plain(value, f.name, positive_int(owner, f.name, given, least))
        elif f.type is float:
            plain(value, f.name, number(owner, f.name, given))
        good = f.type is not str or isinstance(given, str)
        require(good, f"{owner}: {f.name} is {given!r}, needs a text")


def sequence(owner: str, name: str, value: object) -> tuple[object, ...]:
    """The values as a tuple; raises StudyError for a single one."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(value)
    raise StudyError(f"{owner}: {name} is {value!r}, needs several values, as in ({value!r},)")
