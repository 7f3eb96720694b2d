"""Selection cuts on jet columns, as a line of text: ``200 < jet_pt < 2500``.

Sophon's selection for JetClass-II (arXiv 2405.12972) is the two cuts ``200 < jet_pt < 2500`` and
``20 < jet_sdmass < 500``. Comparisons are made in double precision.
"""

import operator
import re
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jetscale.errors import DataError, unknown
from jetscale.jets.arrays import Bools

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CUT = re.compile(
    rf"\s*(?:({_NUMBER})\s*(<=?)\s*)?([A-Za-z_]\w*)\s*(?:(<=?|>=?)\s*({_NUMBER})\s*)?"
)
_COMPARE: dict[str, Callable[[Any, float], Bools]] = {
    **{"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
}


class Cut(NamedTuple):
    """Conditions on one jet column, all of which must hold: sign and bound, column on the left."""

    text: str  # as written, with single spaces
    column: str
    conditions: tuple[tuple[str, float], ...]

    def passes(self, table: pa.Table) -> Bools:
        """(n,) True for jets that are kept."""
        values = table[self.column].to_numpy().astype(np.float64)
        keep = np.ones(len(values), bool)
        for sign, bound in self.conditions:
            keep &= _COMPARE[sign](values, bound)
        return keep


def cut_from(text: str, known: Sequence[str]) -> Cut:
    """A cut from text; ``known`` are the jet columns it may use.

    Raises DataError for text that is no cut, a column that is not there, and a cut that no value
    passes.

    >>> cut_from("200<jet_pt <= 2500", ["jet_pt"]).conditions
    (('>', 200.0), ('<=', 2500.0))
    """
    match = _CUT.fullmatch(text)
    if match is None or not (match[1] or match[5]):
        raise DataError(
            f"cut {text!r}: write LOW < COLUMN < HIGH, COLUMN < HIGH or COLUMN > LOW, as in "
            "'200 < jet_pt < 2500'; <= and >= are fine too"
        )
    low, above, column, sign, bound = match.groups()
    if column not in known:
        raise DataError(f"cut {text!r}: {unknown('jet column', column, known)}")
    conditions = [(above.replace("<", ">"), float(low))] if low else []
    conditions += [(sign, float(bound))] if bound else []
    if not all(isfinite(bound) for _, bound in conditions):
        raise DataError(f"cut {text!r}: a bound is not finite")
    if len(conditions) == 2:
        if sign.startswith(">"):
            raise DataError(f"cut {text!r}: write the lower bound first, with < on both sides")
        if float(low) >= float(bound):
            between = f"between {float(low):g} and {float(bound):g}"
            raise DataError(f"cut {text!r}: no value lies {between}")
    return Cut(" ".join(filter(None, match.groups())), column, tuple(conditions))
