"""Checks that values of a study make when they are built.

Numbers become plain ints and floats: studies written with numpy's numbers have equal digests.
"""

from collections.abc import Iterable
from dataclasses import fields
from math import isfinite, nan
from operator import index
from typing import Any, SupportsFloat, SupportsIndex

from jetscale.errors import StudyError
from jetscale.jets.example import NAME


def check_name(what: str, name: object) -> None:
    """Raise StudyError unless a name can be part of a file name everywhere."""
    good = isinstance(name, str) and bool(NAME.fullmatch(name))
    require(good, f"{what} name {name!r}: use letters, digits and + . _ - only")


def require(condition: bool, message: str) -> None:
    """Raise StudyError with the message unless the condition holds."""
    if not condition:
        raise StudyError(message)


def positive_int(owner: str, name: str, value: object) -> int:
    """The value as a plain int; numpy's whole numbers are accepted."""
    if isinstance(value, SupportsIndex) and not isinstance(value, bool) and index(value) > 0:
        return index(value)
    raise StudyError(f"{owner}: {name} is {value!r}, needs a whole number above zero")


def number(owner: str, name: str, value: object) -> float:
    """The value as a plain finite float."""
    good = isinstance(value, SupportsFloat) and not isinstance(value, str | bool)
    number = float(value) if isinstance(value, SupportsFloat) and good else nan
    require(isfinite(number), f"{owner}: {name} is {value!r}, needs a finite number")
    return number


def plain(owner: object, name: str, value: object) -> None:
    """Replace a field of a frozen value, so that equal studies have equal digests."""
    object.__setattr__(owner, name, value)


def check_numbers(value: Any, owner: str) -> None:
    """Replace the int and float fields of a frozen value by checked plain numbers."""
    for f in fields(value):
        if f.type is int or f.type is float:
            check = positive_int if f.type is int else number
            plain(value, f.name, check(owner, f.name, getattr(value, f.name)))


def sequence(owner: str, name: str, value: object) -> tuple[object, ...]:
    """The values as a tuple; raises StudyError for a single one."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(value)
    raise StudyError(f"{owner}: {name} is {value!r}, needs several values, as in ({value!r},)")
