"""What a study compares: mixtures to pretrain on, and the model sizes of its ladder."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jetscale.jets.schema import spell
from jetscale.study.checks import check_fields, check_name, number, plain, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Parts with weights; no parts at all means training from scratch.

    A part is ``qcd``, ``res2p`` or ``res34p``; a selection of labels of JetClass-II such as
    ``"X_bb,X_cc"`` or ``"X_YY_*tau*"``; a name of your own from `Folders.pretrain` or a declared
    corpus; or some labels of that one, as ``"mysim:signal,tau*"``. `Study.parts` tells what it
    holds.
    """

    name: str
    parts: Mapping[str, float] = field(default_factory=dict)
    """Part name to weight; weights are normalised to sum to one."""

    def __post_init__(self) -> None:
        check_name("mixture", self.name)
        owner = f"mixture {self.name!r}"
        weights, spelled = {}, one_spelling(owner, self.parts)
        for part, given in sorted(spelled.items(), key=lambda pair: pair[1]):  # as they were given
            weight = weights[part] = number(owner, f"weight of {part!r}", self.parts[given])
            require(weight > 0, f"{owner}: weight of {part!r} is {weight}, needs > 0")
        total = sum(weights.values())
        plain(self, "parts", {part: weight / total for part, weight in weights.items()})

    @property
    def is_scratch(self) -> bool:
        """True for the empty mixture: no pretraining."""
        return not self.parts


def one_spelling(owner: str, parts: Mapping[str, object]) -> dict[str, str]:
    """Parts as written everywhere, and as given; StudyError for one part in two spellings.

    >>> one_spelling("mixture 'm'", {"X_cc, X_bb": 1.0, "mysim: tau*": 1.0})
    {'X_bb,X_cc': 'X_cc, X_bb', 'mysim:tau*': 'mysim: tau*'}
    """
    found: dict[str, str] = {}
    good = isinstance(parts, Mapping) and all(isinstance(part, str) for part in parts)
    require(good, f"{owner}: parts are {parts!r}, needs names of parts, as in {{'qcd': ...}}")
    for given in parts:
        corpus, patterns = spell(given)
        name = f"{corpus}:{','.join(patterns)}" if corpus else ",".join(patterns)
        other = found.setdefault(name, given)
        require(other == given, f"{owner}: {other!r} and {given!r} are the same; keep one")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """One rung of the ladder: a transformer with ``layers`` blocks of ``width`` and ``heads``."""

    width: int
    layers: int
    heads: int

    def __post_init__(self) -> None:
        check_fields(self, "model size")
        good, width = self.width % self.heads == 0, self.width
        require(good, f"model size: width {width} is not a multiple of {self.heads} heads")

    @property
    def name(self) -> str:
        """Short name, as in ``d32-l2-h4``."""
        return f"d{self.width}-l{self.layers}-h{self.heads}"
