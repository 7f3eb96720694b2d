"""How the new particles of JetClass-II decay, and which labels each decay can give.

X decays to two leaves (part ``res2p``), or to Y Y' and these to four (``res34p``), as in the public
cards (arXiv 2405.12972). A label names its leaves by tokens: q stands for u and d, v for a
neutrino; a tau has three tokens, one per kind of decay.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import prod

from jetscale.jets.schema import PARTS

Pair = tuple[int, int]

TOKENS = ("b", "c", "s", "q", "g", "e", "m", "v", "tauh", "taue", "taum")
NEUTRINOS = (12, 14, 16)
TAU = 15
TOKEN_OF_CODE = {
    **dict.fromkeys((1, 2), "q"),
    **dict.fromkeys(NEUTRINOS, "v"),
    **{3: "s", 4: "c", 5: "b", 11: "e", 13: "m", TAU: "tauh", 21: "g"},
}
"""Token of a PDG code without its sign; tauh stands for a tau until its decay is known."""
BASE = 5  # of a key's digits, one digit per token: a label has at most four leaves of a kind
_TOKEN = re.compile("|".join(sorted(TOKENS, key=len, reverse=True)))  # longest first

NEUTRAL: dict[Pair, float] = {
    **{(quark, -quark): 0.125 for quark in (5, 4, 3)},
    **{(quark, -quark): 0.0625 for quark in (2, 1)},
    **{(21, 21): 0.125, (11, -11): 0.0625, (13, -13): 0.0625, (15, -15): 0.25},
}
"""Branching ratios of a neutral X or Y."""
_UP_DOWN = [(up, -down) for up in (2, 4) for down in (1, 3, 5)]
CHARGED_X: dict[Pair, float] = dict.fromkeys(_UP_DOWN, 1 / 6)
CHARGED_Y: dict[Pair, float] = {
    **dict.fromkeys(_UP_DOWN, 0.625 / 6),
    **{(-11, 12): 0.0625, (-13, 14): 0.0625, (-15, 16): 0.25},
}
NEUTRAL_SHARE = {"res2p": 4 / 7, "res34p": 0.5}  # of X (192 of 336 public jobs), of Y pairs
TAU_DECAYS = {"taue": 0.178, "taum": 0.174, "tauh": 0.648}  # PDG 2024: 17.82%, 17.39% to leptons
_WHOLE = 0.77  # rough chance that a jet with three or more of four visible leaves has all of them


def tokens_of(name: str) -> Counter[str]:
    """Leaves or quarks that a JetClass-II label names, with how often it names them.

    >>> sorted(tokens_of("X_YY_bbtauhtaue").items())
    [('b', 2), ('taue', 1), ('tauh', 1)]
    >>> tokens_of("QCD_light")
    Counter()
    """
    letters = name.rsplit("_", 1)[1]
    return Counter() if letters == "light" else Counter(_TOKEN.findall(letters))


def key_of(tokens: Iterable[str]) -> int:
    """The number of a multiset of tokens, for looking up many jets: the sum of ``BASE ** index``.

    >>> key_of(["b", "c", "b"])  # two b and one c
    7
    """
    return sum(BASE ** TOKENS.index(token) for token in tokens)


# Resonance label of a multiset of tokens; combinations that the paper's table lacks are absent.
LABEL_OF_KEY = {
    key_of(tokens_of(name).elements()): name
    for name in (*PARTS["res2p"].labels, *PARTS["res34p"].labels)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in which X decays."""

    weight: float  # probability among all X of its family
    charged: bool  # whether X (of two leaves) or Y and Y' (of four) carry charge
    leaves: tuple[int, ...]  # two or four PDG codes; of four the first two belong to Y

    @property
    def has_neutrinos(self) -> bool:
        """Whether X loses momentum to neutrinos, of its own or of a tau."""
        return any(abs(code) in (*NEUTRINOS, TAU) for code in self.leaves)


@lru_cache(maxsize=2)
def all_modes(family: str) -> tuple[Mode, ...]:
    """Every decay of X in ``res2p`` or ``res34p``; the weights sum to 1."""
    share, modes = NEUTRAL_SHARE[family], []
    pairs, charged_table = (1, CHARGED_X) if family == "res2p" else (2, CHARGED_Y)
    for charged, weight, table in ((False, share, NEUTRAL), (True, 1 - share, charged_table)):
        for first, *rest in product(table, repeat=pairs):
            ratio = prod(table[pair] for pair in (first, *rest))
            # Y' is the antiparticle of a charged Y: charge is conserved
            second = [-code if charged else code for pair in rest for code in pair]
            modes.append(Mode(weight=weight * ratio, charged=charged, leaves=(*first, *second)))
    return tuple(modes)


def modes_for(family: str, labels: tuple[str, ...]) -> tuple[Mode, ...]:
    """The decays that can give one of the labels, as often as the branching ratios say."""
    return tuple(mode for mode in all_modes(family) if set(labels) & set(outcomes(mode)))


@lru_cache(maxsize=512)
def outcomes(mode: Mode) -> Mapping[str, float]:
    """Labels that a matched jet of this decay can have, with rough probabilities for planning.

    All visible leaves lie in the jet, or three of four.

    >>> dict(outcomes(Mode(weight=1.0, charged=False, leaves=(5, -5))))
    {'X_bb': 1.0}
    """
    choices = [
        tuple(TAU_DECAYS.items()) if abs(code) == TAU else ((TOKEN_OF_CODE[abs(code)], 1.0),)
        for code in mode.leaves
    ]
    found: dict[str, float] = {}
    for choice in product(*choices):  # every combination of tau decays
        chance, tokens = prod(share for _, share in choice), tuple(token for token, _ in choice)
        inside = [(chance, tokens)]
        if len(tokens) - tokens.count("v") == 4:
            inside = [(chance * _WHOLE, tokens)]
            inside += [(chance * (1 - _WHOLE) / 4, three) for three in combinations(tokens, 3)]
        for part, seen in inside:
            if label := LABEL_OF_KEY.get(key_of(seen)):
                found[label] = found.get(label, 0.0) + part
    return found


def selected_share(modes: tuple[Mode, ...], labels: tuple[str, ...]) -> float:
    """Rough share, 0 to 1, of the matched jets of these decays that have one of the labels."""
    chances = ((m.weight, label, share) for m in modes for label, share in outcomes(m).items())
    hits = sum(weight * share for weight, label, share in chances if label in labels)
    return hits / sum(mode.weight for mode in modes)
