"""Mixtures: what a model is pretrained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jetscale.jets.schema import spell
from jetscale.study.checks import check_name, number, plain, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Parts with weights; no parts at all means training from scratch.

    A part is ``qcd``, ``res2p`` or ``res34p``; a selection of labels of JetClass-II such as
    ``"X_bb,X_cc"`` or ``"X_YY_*tau*"``; a name of your own from `Folders.pretrain` or a declared
    corpus; or some labels of that one, as ``"mysim:signal,tau*"``. What a part holds is known to
    the study (`Study.parts`), because class names of your own lie in a manifest.
    """

    name: str
    parts: Mapping[str, float] = field(default_factory=dict)
    """Part name to weight; weights are normalised to sum to one."""

    def __post_init__(self) -> None:
        check_name("mixture", self.name)
        owner = f"mixture {self.name!r}"
        spelling = one_spelling(owner, self.parts)
        weights = {
            part: number(owner, f"weight of {part!r}", self.parts[given])
            for part, given in sorted(spelling.items(), key=lambda pair: pair[1])
        }
        for part, weight in weights.items():
            require(weight > 0, f"{owner}: weight of {part!r} is {weight}, needs > 0")
        total = sum(weights.values())
        plain(self, "parts", {part: weight / total for part, weight in weights.items()})

    @property
    def is_scratch(self) -> bool:
        """True for the empty mixture: no pretraining."""
        return not self.parts


def one_spelling(owner: str, parts: Mapping[str, object]) -> dict[str, str]:
    """Parts as they are written everywhere, and as they were given.

    >>> one_spelling("mixture 'm'", {"X_cc, X_bb": 1.0, "mysim: tau*": 1.0})
    {'X_bb,X_cc': 'X_cc, X_bb', 'mysim:tau*': 'mysim: tau*'}

    Raises:
        StudyError: One part is given under two spellings.
    """
    found: dict[str, str] = {}
    for given in parts:
        corpus, patterns = spell(given)
        name = f"{corpus}:{','.join(patterns)}" if corpus else ",".join(patterns)
        other = found.setdefault(name, given)
        require(other == given, f"{owner}: {other!r} and {given!r} are the same; keep one")
    return found
