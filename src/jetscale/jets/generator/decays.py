"""How the new particles of JetClass-II decay, and which decays can give a wanted label.

X decays to two leaves (part ``res2p``), or to Y Y' and these to four (``res34p``). Branching ratios
and the neutral and charged shares are those of the public cards (arXiv 2405.12972). Every
combination is one `Mode`; a selection of labels keeps the modes that can give one of them, each
with its own weight, so that labels come as often as the branching ratios say and little is made in
vain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import prod

from jetscale.jets.generator.tokens import NEUTRINOS, TAU, TOKEN_OF_CODE, key_of, tokens_of
from jetscale.jets.schema import PARTS

Pair = tuple[int, int]

NEUTRAL: dict[Pair, float] = {
    **{(quark, -quark): 0.125 for quark in (5, 4, 3)},
    **{(quark, -quark): 0.0625 for quark in (2, 1)},
    (21, 21): 0.125,
    (11, -11): 0.0625,
    (13, -13): 0.0625,
    (15, -15): 0.25,
}
"""Branching ratios of a neutral X or Y."""
_UP_DOWN = [(up, -down) for up in (2, 4) for down in (1, 3, 5)]
CHARGED_X: dict[Pair, float] = dict.fromkeys(_UP_DOWN, 1 / 6)
CHARGED_Y: dict[Pair, float] = {
    **dict.fromkeys(_UP_DOWN, 0.625 / 6),
    (-11, 12): 0.0625,
    (-13, 14): 0.0625,
    (-15, 16): 0.25,
}
NEUTRAL_SHARE = {"res2p": 4 / 7, "res34p": 0.5}
"""Of X in res2p (192 of 336 public jobs), of the Y pairs in res34p."""
TAU_DECAYS = {"taue": 0.178, "taum": 0.174, "tauh": 0.648}
"""Branching ratios of the tau (Particle Data Group)."""
_WHOLE = 0.77  # rough chance that a jet with three or more of four visible leaves has all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in which X decays.

    Attributes
    ----------
    weight
        Probability among all X of its family.
    charged
        Whether X (of two leaves) or Y and Y' (of four) carry charge.
    leaves
        Two or four PDG codes; the first two of four belong to Y, the others to Y'.
    """

    weight: float
    charged: bool
    leaves: tuple[int, ...]

    @property
    def has_neutrinos(self) -> bool:
        """Whether X loses momentum to neutrinos, of its own or of a tau."""
        return any(abs(code) in (*NEUTRINOS, TAU) for code in self.leaves)


@lru_cache(maxsize=2)
def all_modes(family: str) -> tuple[Mode, ...]:
    """Every decay of X in ``res2p`` or ``res34p``; the weights sum to 1."""
    share = NEUTRAL_SHARE[family]
    tables: list[tuple[float, bool, tuple[dict[Pair, float], ...]]]
    if family == "res2p":
        tables = [(share, False, (NEUTRAL,)), (1 - share, True, (CHARGED_X,))]
    else:
        tables = [(share, False, (NEUTRAL,) * 2), (1 - share, True, (CHARGED_Y,) * 2)]
    modes = []
    for weight, charged, ratios in tables:
        for pairs in product(*ratios):
            ratio = prod(table[pair] for table, pair in zip(ratios, pairs, strict=True))
            first, *rest = pairs
            second = [conjugate(pair) if charged else pair for pair in rest]
            leaves = tuple(code for pair in (first, *second) for code in pair)
            modes.append(Mode(weight=weight * ratio, charged=charged, leaves=leaves))
    return tuple(modes)


def modes_for(family: str, labels: tuple[str, ...]) -> tuple[Mode, ...]:
    """The decays that can give one of the labels."""
    wanted = set(labels)
    return tuple(mode for mode in all_modes(family) if wanted & set(outcomes(mode)))


def conjugate(pair: Pair) -> Pair:
    """Codes of the antiparticles; gluons are their own."""
    a, b = (code if code == 21 else -code for code in pair)
    return a, b


@lru_cache(maxsize=512)
def outcomes(mode: Mode) -> Mapping[str, float]:
    """Labels that a matched jet of this decay can have, with rough probabilities for planning.

    All visible leaves lie in the jet, or three of four.
    """
    found: dict[str, float] = {}
    for chance, tokens in _token_sets(mode):
        visible = [token for token in tokens if token != "v"]
        sets = [(chance, tokens)]
        if len(visible) == 4:
            sets = [(chance * _WHOLE, tokens)]
            sets += [(chance * (1 - _WHOLE) / 4, three) for three in combinations(tokens, 3)]
        for part, inside in sets:
            label = _labels_by_key().get(key_of(inside))
            if label:
                found[label] = found.get(label, 0.0) + part
    return found


def selected_share(modes: tuple[Mode, ...], labels: tuple[str, ...]) -> float:
    """Rough share of the matched jets of these decays that have one of the labels."""
    wanted, total = set(labels), sum(mode.weight for mode in modes)
    hits = sum(
        mode.weight * chance
        for mode in modes
        for label, chance in outcomes(mode).items()
        if label in wanted
    )
    return hits / total


def _token_sets(mode: Mode) -> Iterator[tuple[float, tuple[str, ...]]]:
    """What the leaves count as, with the probability of each combination of tau decays."""
    options = [
        tuple(TAU_DECAYS.items()) if abs(code) == TAU else ((TOKEN_OF_CODE[abs(code)], 1.0),)
        for code in mode.leaves
    ]
    for choice in product(*options):
        yield prod(chance for _, chance in choice), tuple(token for token, _ in choice)


@lru_cache(maxsize=1)
def _labels_by_key() -> dict[int, str]:
    names = (*PARTS["res2p"].labels, *PARTS["res34p"].labels)
    return {key_of(tokens_of(name).elements()): name for name in names}
