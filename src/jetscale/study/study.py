"""A study: which mixtures, model sizes, data sizes and seeds are compared under one recipe.

Everything is a frozen value, checked when it is made. The identity of a run is a hash of these
values alone, never of a path, a machine or a date.
"""

from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field
from itertools import combinations
from typing import TypeVar, cast

from jetscale.errors import StudyError, unknown
from jetscale.jets.example import Feature, Schema
from jetscale.jets.schema import JETS, Part, is_jetclass2
from jetscale.objectives.protocol import needs_labels
from jetscale.study.checks import check_fields, check_name, plain, positive_int, require, sequence
from jetscale.study.command import FIELDS
from jetscale.study.mixture import Mixture, ModelSize
from jetscale.study.recipe import Recipe
from jetscale.study.source import SOURCES, Folders, Simulated, Source

T = TypeVar("T")
KEEP = ("best", "all", "none")
RESERVED = ("shards", "streams", "files", "artifacts")  # folders beside those of the studies


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A grid of mixture x model size x data size x seed with everything else fixed."""

    name: str
    source: Source
    mixtures: tuple[Mixture, ...]
    ladder: tuple[ModelSize, ...]
    data_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    recipe: Recipe = field(default_factory=lambda: cast(Recipe, None))  # none at all is refused
    subsets: int = 1
    """Independent orders of the training pool; seed number i uses order i modulo subsets."""
    workers_per_run: int = 8
    """Data-parallel workers that a run may get at most; only one that all would wait for gets more
    than one. How many it is changes no identity, and results by rounding, which a training at
    too high a rate amplifies. A run that a command trains has one."""
    stacking: bool = True
    """Whether a worker trains small runs of one shape in lock step, in a stack. Their weights are
    those they have alone, to the last bit on one machine, and losses agree to eight digits; False
    trains every run alone."""
    runs_per_gpu: int = 1
    """Runs of one worker that share a GPU, each with a CPU of its own; for small models."""
    keep: str | tuple[str, ...] = "best"
    """Whose weights are kept, apart from trunks: ``best``, of each mixture the fine-tuning run with
    the lowest validation loss, which a better one replaces; ``all``, ``none``, or the names or keys
    of runs. It changes no identity."""
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
            plain(self, name, tuple(positive_int(owner, what, value) for value in values))
        check_fields(self, owner)
        self._check_keep(owner)
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

    def _check_keep(self, owner: str) -> None:
        if isinstance(self.keep, str):
            fix = "names of runs go into a tuple, as in ('...',)"
            require(self.keep in KEEP, f"{owner}: {unknown('keep', self.keep, KEEP)}; {fix}")
            return
        names = sequence(owner, "keep", self.keep)
        good = all(isinstance(name, str) for name in names)
        require(good, f"{owner}: keep is {self.keep!r}, needs {', '.join(KEEP)} or names of runs")
        plain(self, "keep", names)

    def _check_source(self) -> None:
        owner = f"study {self.name!r}"
        for name, kinds in (("source", SOURCES), ("recipe", (Recipe,))):
            names = " or ".join(kind.__name__ for kind in kinds)
            require(isinstance(getattr(self, name), kinds), f"{owner}: {name} must be a {names}")
        largest, pool = max(self.data_sizes), self.source.pool
        size = "train_jets" if isinstance(self.source, Simulated) else "train_examples"
        large = f"data size {largest} is larger than the training pool of {pool}"
        fix = f"raise source.{size} or drop the size from data_sizes"
        require(pool is None or largest <= pool, f"{owner}: {large}; {fix}")
        if not isinstance(self.source, Folders):
            _ = self.features
        for mixture in self.mixtures:
            if isinstance(self.source, Folders) and not all(map(is_jetclass2, mixture.parts)):
                # what lies in them is looked at when runs are planned
                self._look_up(mixture, self.source.folder_of)
            else:
                self.parts(mixture)
        self._check_trainer()

    def _check_trainer(self) -> None:
        """Raise StudyError for a command that does not hand trunks from run to run."""
        trainer = self.recipe.trainer
        if trainer is not None and self.pretrained:
            for name in ("save_trunk", "trunk"):
                what = f"mixture {self.pretrained[0].name!r} is pretrained"
                lacks = f"the command has no {{{name}}}, {FIELDS[name]}; add it"
                require(name in trainer.fields, f"study {self.name!r}: {what}, and {lacks}")

    def _look_up(self, mixture: Mixture, find: Callable[[str], T]) -> dict[str, T]:
        """What ``find`` knows of every part of a mixture."""
        try:
            return {name: find(name) for name in mixture.parts}
        except StudyError as error:
            raise StudyError(f"study {self.name!r}: mixture {mixture.name!r}: {error}") from error

    @property
    def schema(self) -> Schema:
        """What an example is: its columns, its model inputs, its noun."""
        return self.source.schema

    @property
    def noun(self) -> str:
        """The word for one example: ``jet``, unless the field is another one."""
        return self.schema.noun

    @property
    def features(self) -> tuple[Feature, ...]:
        """The model inputs of the recipe's feature set, in order; StudyError for an unknown set."""
        good = self.recipe.data.scale_pt is None or self.schema == JETS
        none = f"scale_pt is for jets, a {self.noun} has no pT; leave it out"
        require(good, f"study {self.name!r}: {none}")
        return self.schema.features_of(self.recipe.data.features)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the downstream task, in label order; StudyError if there is one alone."""
        classes = self.source.classes
        what = f"the downstream {self.noun}s have one class, {classes[0]!r}"
        fix = "so there is nothing to tell apart; use labelled ones"
        require(len(classes) > 1, f"study {self.name!r}: {what}, {fix}")
        return classes

    def parts(self, mixture: Mixture) -> dict[str, Part]:
        """The parts of a mixture by name, with the labels that each matched.

        StudyError for an unknown part, parts that share examples, or labels too few for the task.
        """
        owner = f"study {self.name!r}: mixture {mixture.name!r}"
        parts = self._look_up(mixture, self.source.part)
        for a, b in combinations(parts.values(), 2):
            shared = [label for label in a.labels if label in b.labels][:3]
            # equal labels of two folders of a user's own are other examples
            good = a.origin != b.origin or not shared
            require(good, f"{owner}: parts {a.name!r} and {b.name!r} share {shared}")
        labels = {label for part in parts.values() for label in part.labels}
        bare = [part.name for part in parts.values() if part.corpus == "unlabelled"]
        if (bare or len(labels) == 1) and self.needs_labels:
            what = f"part {bare[0]!r} has no labels" if bare else f"its parts hold {labels} alone"
            fix = "use labelled parts with two labels or more, or an objective that needs none"
            raise StudyError(f"{owner}: {what}, so there is nothing to tell apart; {fix}")
        return parts

    def labels(self, mixture: Mixture) -> tuple[str, ...]:
        """Labels of a mixture's parts, one of a name, in corpus order; raises as `parts`."""
        parts = self.parts(mixture).values()
        chosen = {(part.corpus, label) for part in parts for label in part.labels}
        classes = {part.corpus: part.classes for part in parts}
        known = ((corpus, label) for corpus in sorted(classes) for label in classes[corpus])
        return tuple(dict.fromkeys(label for corpus, label in known if (corpus, label) in chosen))

    @property
    def needs_labels(self) -> bool:
        """Whether pretraining tells classes apart; what a command does with its jets is its own."""
        objective = self.recipe.model.at("pretraining").objective
        return self.recipe.trainer is None and needs_labels(objective)

    @property
    def pretrained(self) -> tuple[Mixture, ...]:
        """The mixtures that need pretraining."""
        return tuple(mixture for mixture in self.mixtures if not mixture.is_scratch)

    def replicates(self) -> Iterator[tuple[int, int]]:
        """(seed, subset) pairs of the grid."""
        return ((seed, i % self.subsets) for i, seed in enumerate(self.seeds))
