"""Numbers and intervals as text that people read: the only formatter of jetscale."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol


class Interval(Protocol):
    """A value with the ends of its interval; an end that is unknown is nan."""

    @property
    def value(self) -> float:
        """The value itself."""

    @property
    def low(self) -> float:
        """The lower end."""

    @property
    def high(self) -> float:
        """The upper end."""


class Known(Interval, Protocol):
    """An interval that says whether the data determine it."""

    @property
    def identified(self) -> bool:
        """False where the data do not determine the value."""


_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


_EXAMPLES = re.compile(r"\b(training |number of )examples\b")
_LOSS = re.compile(r"\b(test )?loss(es)?\b", re.IGNORECASE)


def printable(text: str) -> str:
    r"""Return a text in which what would move a cursor or turn the reading direction is spelled.

    >>> printable("mixture \x1b[2J")
    'mixture \\x1b[2J'
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_BREAK = re.compile(r"\s*[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+\s*")


def one_line(text: str) -> str:
    r"""Return a name from a table on one line; cells of spreadsheets may have several.

    >>> one_line(" QCD\n + BSM ")
    'QCD + BSM'
    """
    return _BREAK.sub(" ", text.strip())


def short(value: float, digits: int = 3) -> str:
    """Return a count in a few digits.

    >>> short(656), short(2590), short(1.2e6)
    ('656', '2.59k', '1.2M')
    """
    value = float(f"{value:.{digits}g}")
    for factor, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def size(value: float, digits: int = 2) -> str:
    """Return a predicted size in a few digits; what nobody could run is shown as a bound.

    >>> size(12_345), size(0.3), size(1e30)
    ('12k', '<1', '>1e18')
    """
    if math.isnan(value):
        return "–"
    return "<1" if value < 1 else ">1e18" if value > 1e18 else short(value, digits)


def number(value: float, digits: int = 3) -> str:
    """Return a number in significant digits, a dash where there is none.

    >>> number(0.0123), number(4000), number(2.1e15, 2), number(float("nan"))
    ('0.0123', '4000', '2.1e15', '–')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e6:
        text = f"{size:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
    else:
        mantissa, power = f"{size:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(power)}"
    return f"−{text}" if value < 0 else text


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.00073), percent(0.041), percent(2.13)
    ('0.073%', '4.1%', '213%')
    """
    return f"{share:.0%}" if abs(share) >= 0.1 else f"{100 * share:.2g}%"


def whole_percent(share: float) -> str:
    """Return a share in whole percent.

    >>> whole_percent(0.954), whole_percent(math.nan)
    ('95%', 'unknown')
    """
    return "unknown" if math.isnan(share) else f"{share:.0%}"


def duration(hours: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration(2.83), duration(0.5), duration(0.001), duration(5000)
    ('2.8 h', '30 min', '3.6 s', '210 d')
    """
    for unit, factor in (("d", 24.0), ("h", 1.0), ("min", 1 / 60)):
        if hours >= factor * (4 if unit == "d" else 1):
            return f"{short(hours / factor, 2)} {unit}"
    return f"{short(hours * 3600, 2)} s"


def times(value: float) -> str:
    """Return a ratio in two digits; what is beyond any use is shown as a bound.

    >>> times(1.234), times(234), times(1e-9), times(1e9), times(math.inf)
    ('1.2', '230', '<0.001', '>1000', 'inf')
    """
    if value in (0, math.inf):
        return f"{value:g}"
    return "<0.001" if value < 1e-3 else ">1000" if value > 1e3 else short(value, 2)


def loss(value: float, scale: float | None = None) -> str:
    """Return a loss in three decimals, or in three significant digits where it is small.

    ``scale`` is the largest number printed beside it: both then have the same decimals.

    >>> loss(1.1324), loss(0.0123), loss(4.0231e-5)
    ('1.132', '0.0123', '4.02e-5')
    """
    if math.isnan(value):
        return "–"
    largest = abs(value if scale is None else scale)
    if not 0 < largest < 0.1:
        return f"{value:.3f}"
    return f"{value:.4f}" if largest >= 0.01 else number(value)


def ranged(estimate: Interval, form: Callable[[float], str]) -> str:
    """Return ``value [low, high]``, each number as ``form`` writes it."""
    value, low, high = map(form, (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def loss_interval(estimate: Interval) -> str:
    """Return ``1.132 [1.078, 1.166]``: a loss with its interval.

    >>> from types import SimpleNamespace
    >>> loss_interval(SimpleNamespace(value=4e-5, low=3.9e-5, high=4.1e-5))
    '4.00e-5 [3.90e-5, 4.10e-5]'
    """
    return ranged(estimate, lambda x: loss(x, estimate.value))


def difference(estimate: Interval) -> str:
    """Return ``-0.289 [-0.384, -0.194]``: a signed difference; one size alone has no interval."""
    ends = (estimate.value, estimate.low, estimate.high)
    finite = [abs(x) for x in ends if math.isfinite(x)]
    form = "+.3f" if max(finite, default=0) >= 0.01 or not any(finite) else "+.2e"
    if math.isnan(estimate.low):
        return f"{estimate.value:{form}} [one size]"
    return ranged(estimate, lambda x: f"{x:{form}}")


def starred(estimate: Known, form: str = ".2f") -> str:
    """Return ``0.34 [0.31, 0.37]``, with a star where the data do not determine the value."""
    return ranged(estimate, lambda x: f"{x:{form}}") + ("" if estimate.identified else " *")


def interval(estimate: Interval, digits: int = 3) -> str:
    """Return the ends alone, in significant digits: ``[0.0310, 0.0370]``."""
    if math.isnan(estimate.low):
        return "no interval"
    return f"[{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def with_interval(estimate: Interval, digits: int = 3) -> str:
    """Return value and interval in significant digits, for running text."""
    return f"{number(estimate.value, digits)} {interval(estimate, digits)}"


def of_quantity(text: str, quantity: str) -> str:
    """Return a text about losses as one about what stands in their place.

    >>> of_quantity("test loss of a; both losses", "1-auc")
    '1-auc of a; both 1-auc'
    """
    return text if quantity == "loss" else _LOSS.sub(quantity, text)


def of_noun(text: str, noun: str) -> str:
    """Return a text about examples with what one of them is called.

    >>> of_noun("training examples D; the number of examples", "jet")
    'training jets D; the number of jets'
    """
    return text if noun == "example" else _EXAMPLES.sub(rf"\g<1>{noun}s", text)


def between(low: str, high: str) -> str:
    """Return ``1k to 2k``, or the one text where both ends read alike."""
    return low if low == high else f"{low} to {high}"


def counted(count: int, what: str) -> str:
    """Return ``1 seed``, ``2 seeds``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def grouped(label: str, reasons: Mapping[str, str]) -> Iterable[str]:
    """Yield one line per reason, naming all it holds for.

    >>> list(grouped("not fitted", {"a": "few cells", "b": "few cells"}))
    ['not fitted: a, b: few cells']
    """
    for why in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, reason in reasons.items() if reason == why)
        yield f"{label}: {names}: {why}"


def folded(warnings: Mapping[str, Iterable[str]]) -> Iterable[str]:
    """Yield the warnings of each mixture as one line that names the mixture once."""
    for name, lines in warnings.items():
        if bare := [line.removeprefix(f"{name}: ") for line in lines]:
            yield f"{name}: {'; '.join(bare)}"
