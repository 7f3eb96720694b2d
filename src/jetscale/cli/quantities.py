"""Numbers with the units that people write: ``1e11 FLOPs``, ``10 h``, ``1,000``, ``10%``."""

import re
from collections.abc import Mapping
from typing import Any

import click

_NUMBER = re.compile(r"(?P<number>[-+]?[\d.][\d.,_]*(?:e[-+]?\d+)?|[-+]?(?:inf|nan))(?P<unit>.*)")
_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6}
_HOURS = ("h", "hour", "hours", "gpu-hour", "gpu-hours", "gpu hour", "gpu hours", "gpuh")
_TIMES = dict.fromkeys(_HOURS, 1.0) | dict.fromkeys(("min", "minute", "minutes"), 1 / 60)
_TIMES |= dict.fromkeys(("d", "day", "days"), 24.0)
_NOT_HERE = dict.fromkeys(_TIMES, "hours are given by --gpu-hours")
_NOT_HERE |= dict.fromkeys(("flops", "flop"), "FLOPs are given by --budget")
_NOT_HERE |= dict.fromkeys(("$", "usd", "eur", "€"), "money is given by --money")


class Quantity(click.ParamType[Any]):
    """A number of one unit, which may be written behind it; another unit is told its option."""

    name = "number"

    def __init__(self, needs: str, units: Mapping[str, float]) -> None:
        self.needs, self.units = needs, {"": 1.0, **units}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number in the unit of the option."""
        if not isinstance(value, str):
            return value
        found = _NUMBER.fullmatch(value.strip().lower())
        number = _plain(found["number"]) if found else None
        unit = found["unit"].strip() if found else ""
        if number is None or unit not in self.units:
            elsewhere = _NOT_HERE.get(unit, "") if number is not None else ""
            options = {name for each in ctx.command.params for name in each.opts} if ctx else set()
            known = elsewhere.rpartition(" ")[2] in options
            hint = f"; {elsewhere}" if known else ""
            self.fail(f"{value!r} is not a valid number; needs {self.needs}{hint}", param, ctx)
        return number * self.units[unit]


class Whole(Quantity):
    """A whole number, of at least ``least``: ``1e3`` and ``1,000`` are 1000."""

    def __init__(self, least: int = 1) -> None:
        super().__init__("a whole number, e.g. 2000", _COUNTS)
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number as an int."""
        number = super().convert(value, param, ctx)
        if not (abs(number) < 1e18 and number == int(number) and number >= self.least):
            self.fail(f"{value} is not a whole number of at least {self.least}", param, ctx)
        return int(number)


def _plain(text: str) -> float | None:
    """The number of a text; commas group three digits each. None where it may mean another."""
    text = text.replace(",", "") if _GROUPED.fullmatch(text) else text
    try:
        return float(text)
    except ValueError:
        return None


COUNT = Whole()
PLAIN = Quantity("a number, e.g. 0.01", {})
SHARE = Quantity("a share, e.g. 0.3 or 30%", {"%": 0.01})
MONEY = Quantity("an amount of money without its unit, e.g. 500", {})
HOURS = Quantity("hours, e.g. 10", _TIMES)
_FLOPS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}
FLOPS = Quantity(
    "a number of FLOPs, e.g. 1e11",
    {f"{prefix}{unit}": by for prefix, by in _FLOPS.items() for unit in ("flop", "flops")},
)
_SPEEDS = {"flop/s": 1.0, "flops/s": 1.0, "tflop/s": 1e12}
RATE = Quantity("FLOPs per second, e.g. 1e14", _SPEEDS)
