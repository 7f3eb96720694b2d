"""What the letters of a JetClass-II label stand for.

A label names decay leaves or quarks: ``X_YY_bbtauhtaue`` holds b, b, tauh and taue; q stands for u
and d, v for a neutrino. A tau has three tokens, one per kind of decay. Sets of tokens are compared
by a number, so that a whole batch of jets is labelled at once.
"""

import re
from collections import Counter
from collections.abc import Iterable

TOKENS = ("b", "c", "s", "q", "g", "e", "m", "v", "tauh", "taue", "taum")
NEUTRINOS = (12, 14, 16)
TAU = 15
TOKEN_OF_CODE = {
    **dict.fromkeys((1, 2), "q"),
    **dict.fromkeys(NEUTRINOS, "v"),
    3: "s",
    4: "c",
    5: "b",
    11: "e",
    13: "m",
    TAU: "tauh",
    21: "g",
}
"""Token of a PDG code without its sign; which kind of tau it is shows in its decay."""

BASE = 5  # at most four leaves of a kind
_TOKEN = re.compile("|".join(sorted(TOKENS, key=len, reverse=True)))


def tokens_of(name: str) -> Counter[str]:
    """Leaves or quarks that a JetClass-II label names.

    Examples
    --------
    >>> sorted(tokens_of("X_YY_bbtauhtaue").items())
    [('b', 2), ('taue', 1), ('tauh', 1)]
    """
    letters = name.rsplit("_", 1)[1]
    return Counter() if letters == "light" else Counter(_TOKEN.findall(letters))


def key_of(tokens: Iterable[str]) -> int:
    """A number per multiset of tokens."""
    return sum(BASE ** TOKENS.index(token) for token in tokens)
