"""A study: which mixtures, model sizes, data sizes and seeds are compared under one recipe.

A sweep file in ``sweeps/`` has a function ``study()`` that returns one `Study`. Everything is a
frozen value, checked when it is made. The identity of a run is a hash of these values alone, never
of a path, a machine or a date.
"""

from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from typing import Any

from jetscale.jets.generator.processes import family_of
from jetscale.jets.schema import CORPORA, JETCLASS
from jetscale.study.checks import check_name, plain, positive_int, require, sequence
from jetscale.study.ladder import ModelSize
from jetscale.study.mixture import Mixture
from jetscale.study.recipe import Recipe
from jetscale.study.source import Folders, Simulated

RESERVED = ("shards", "streams", "artifacts")  # folders beside those of the studies


def _no_recipe() -> Any:
    """Nothing; a study without a recipe is refused when it is made."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A grid of mixture x model size x data size x seed with everything else fixed."""

    name: str
    source: Simulated | Folders
    mixtures: tuple[Mixture, ...]
    ladder: tuple[ModelSize, ...]
    data_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    recipe: Recipe = field(default_factory=_no_recipe)
    subsets: int = 1
    """Independent orders of the training pool; seed number i uses order i modulo subsets."""
    controls: InitVar[Recipe | None] = None
    """The name of ``recipe`` in sweep files of version 0.1."""

    def __post_init__(self, controls: Recipe | None) -> None:
        if controls is not None:
            plain(self, "recipe", controls)
        owner = f"study {self.name!r}"
        check_name("study", self.name)
        require(self.name not in RESERVED, f"{owner}: that name is a folder of its own; rename it")
        for name, kind in (("mixtures", Mixture), ("ladder", ModelSize)):
            values = sequence(owner, name, getattr(self, name))
            good = all(isinstance(value, kind) for value in values)
            require(good, f"{owner}: {name} must be values of type {kind.__name__}")
            plain(self, name, values)
        for name, what in (("data_sizes", "a data size"), ("seeds", "a seed")):
            values = sequence(owner, name, getattr(self, name))
            numbers = tuple(positive_int(owner, what, value) for value in values)
            plain(self, name, numbers)
        plain(self, "subsets", positive_int(owner, "subsets", self.subsets))
        for what, entries in (
            ("mixture", [mixture.name for mixture in self.mixtures]),
            ("model size", [size.name for size in self.ladder]),
            ("data size", list(self.data_sizes)),
            ("seed", list(self.seeds)),
        ):
            require(bool(entries), f"{owner}: needs at least one {what}")
            twice = next((v for i, v in enumerate(entries) if v in entries[:i]), None)
            require(twice is None, f"{owner}: {what} {twice!r} is listed twice")
        self._check_source()

    def _check_source(self) -> None:
        largest = max(self.data_sizes)
        for name, kinds in (("source", (Simulated, Folders)), ("recipe", (Recipe,))):
            good = isinstance(getattr(self, name), kinds)
            names = " or ".join(kind.__name__ for kind in kinds)
            require(good, f"study {self.name!r}: {name} must be a {names}")
        if isinstance(self.source, Simulated):
            for part in {part for mixture in self.mixtures for part in mixture.parts}:
                family_of(part)  # before any jet is made
            pool = self.source.train_jets
            require(
                largest <= pool,
                f"study {self.name!r}: data size {largest} is larger than the training pool of "
                f"{pool} jets; raise train_jets or drop the size",
            )
            return
        for mixture in self.mixtures:
            for part in mixture.parts:
                require(
                    self.source.folder_of(part) is not None,
                    f"study {self.name!r}: mixture {mixture.name!r} needs part {part!r}, which has "
                    "no folder in source.pretrain",
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the downstream task, in label order."""
        return CORPORA[self.source.corpus] if isinstance(self.source, Folders) else JETCLASS

    @property
    def pretrained(self) -> tuple[Mixture, ...]:
        """The mixtures that need pretraining."""
        return tuple(mixture for mixture in self.mixtures if not mixture.is_scratch)

    def replicates(self) -> Iterator[tuple[int, int]]:
        """(seed, subset) pairs of the grid."""
        for i, seed in enumerate(self.seeds):
            yield seed, i % self.subsets
