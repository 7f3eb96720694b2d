"""Selection cuts on jet columns, as a line of text: ``200 < jet_pt < 2500``.

Sophon's selection for JetClass-II (arXiv 2405.12972) is the two cuts ``200 < jet_pt < 2500`` and
``20 < jet_sdmass < 500``. Comparisons are made in double precision.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.errors import DataError, unknown

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CUT = re.compile(
    rf"\s*(?:(?P<low>{_NUMBER})\s*(?P<above><=?)\s*)?(?P<column>[A-Za-z_]\w*)\s*"
    rf"(?:(?P<sign><=?|>=?)\s*(?P<bound>{_NUMBER})\s*)?"
)
_COMPARE: dict[str, Callable[[NDArray[np.float64], float], NDArray[np.bool_]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TURNED = {"<": ">", "<=": ">="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Conditions on one jet column, all of which must hold."""

    text: str
    """As written, with single spaces."""
    column: str
    conditions: tuple[tuple[str, float], ...]
    """Sign and bound, column on the left."""

    def passes(self, table: pa.Table) -> NDArray[np.bool_]:
        """(n,) True for jets that are kept."""
        values = table[self.column].to_numpy().astype(np.float64)
        keep = np.ones(len(values), bool)
        for sign, bound in self.conditions:
            keep &= _COMPARE[sign](values, bound)
        return keep


def cut_from(text: str, known: Sequence[str]) -> Cut:
    """A cut from text; ``known`` are the jet columns it may use.

    Raises
    ------
    DataError
        The text is no cut, its column is not there, or no value can pass.

    Examples
    --------
    >>> cut_from("200<jet_pt <= 2500", ["jet_pt"]).conditions
    (('>', 200.0), ('<=', 2500.0))
    """
    match = _CUT.fullmatch(text)
    if match is None or not (match["low"] or match["bound"]):
        raise DataError(
            f"cut {text!r}: write LOW < COLUMN < HIGH, COLUMN < HIGH or COLUMN > LOW, as in "
            "'200 < jet_pt < 2500'; <= and >= are fine too"
        )
    low, above, column, sign, bound = match.group("low", "above", "column", "sign", "bound")
    if column not in known:
        raise DataError(f"cut {text!r}: {unknown('jet column', column, known)}")
    conditions = []
    if low:
        conditions.append((_TURNED[above], float(low)))
    if bound:
        conditions.append((sign, float(bound)))
    _check_room(text, conditions)
    words = (low, above, column, sign, bound)
    return Cut(
        text=" ".join(word for word in words if word), column=column, conditions=tuple(conditions)
    )


def _check_room(text: str, conditions: list[tuple[str, float]]) -> None:
    if not all(isfinite(bound) for _, bound in conditions):
        raise DataError(f"cut {text!r}: a bound is not finite")
    if len(conditions) == 2:
        (_, low), (sign, high) = conditions
        if sign.startswith(">"):
            raise DataError(f"cut {text!r}: write the lower bound first, with < on both sides")
        if low >= high:
            raise DataError(f"cut {text!r}: no value lies between {low:g} and {high:g}")
