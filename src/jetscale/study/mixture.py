"""Mixtures: what a model is pretrained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

from jetscale.jets.schema import JETCLASS2, part_named
from jetscale.study.checks import check_name, number, plain, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Parts with weights; no parts at all means training from scratch.

    A part is ``qcd``, ``res2p``, ``res34p`` or a selection of labels such as ``"X_bb,X_cc"`` or
    ``"X_YY_*tau*"`` (see `jetscale.jets.schema.part_named`); parts of a mixture share no label.
    """

    name: str
    parts: Mapping[str, float] = field(default_factory=dict)
    """Part name to weight; weights are normalised to sum to one."""

    def __post_init__(self) -> None:
        check_name("mixture", self.name)
        owner = f"mixture {self.name!r}"
        check_parts(owner, self.parts)
        weights = {
            part_named(part).name: number(owner, f"weight of {part!r}", weight)
            for part, weight in sorted(self.parts.items())
        }
        for part, weight in weights.items():
            require(weight > 0, f"{owner}: weight of {part!r} is {weight}, needs > 0")
        for a, b in combinations(weights, 2):
            shared = set(part_named(a).labels) & set(part_named(b).labels)
            require(not shared, f"{owner}: parts {a!r} and {b!r} share {sorted(shared)[:3]}")
        total = sum(weights.values())
        plain(self, "parts", {part: weight / total for part, weight in weights.items()})

    @property
    def is_scratch(self) -> bool:
        """True for the empty mixture: no pretraining."""
        return not self.parts

    @property
    def labels(self) -> tuple[str, ...]:
        """Pretraining class names: the labels of all parts, in corpus order."""
        chosen = {label for name in self.parts for label in part_named(name).labels}
        return tuple(label for label in JETCLASS2 if label in chosen)


def check_parts(owner: str, parts: Mapping[str, object]) -> None:
    """Refuse one part under two spellings."""
    seen: dict[tuple[str, ...], str] = {}
    for name in parts:
        other = seen.setdefault(part_named(name).labels, name)
        require(other == name, f"{owner}: {other!r} and {name!r} are the same labels; keep one")
