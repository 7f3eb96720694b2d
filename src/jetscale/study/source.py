"""Where the examples of a study come from: simulated jets, a declared simulator, or folders.

Each source has the ``classes`` of the downstream task in label order, the ``schema`` of an example,
the ``pool`` from which data sizes are drawn, and tells what a ``part`` of a mixture holds.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import ClassVar

import jetscale.jets.schema as jets
from jetscale.errors import DataError, unknown
from jetscale.jets.example import Schema
from jetscale.jets.generator.conditions import DEFAULT, Conditions
from jetscale.jets.generator.processes import family_of
from jetscale.jets.schema import Part, is_jetclass2, match, part_named, split_own
from jetscale.jets.shards.manifest import Manifest, open_shards
from jetscale.study.checks import check_fields, plain, require, sequence
from jetscale.study.corpus import Corpus
from jetscale.study.mixture import one_spelling

SWEEP_FOLDER: ContextVar[Path] = ContextVar("that of the sweep file that is being loaded")


def sweep_folder() -> Path:
    """The folder of the sweep file that is being loaded, else the working directory."""
    return SWEEP_FOLDER.get(Path()).absolute()


def _found(folder: str) -> str:
    """The whole path of a folder: a worker on another node starts in another working directory."""
    here, beside = Path(folder).absolute(), sweep_folder() / folder
    return str(here if here.exists() and not beside.exists() else beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """Jets made on this machine by Pythia; one seed decides them all."""

    train_jets: int
    """Downstream training pool; data sizes are prefixes of streams drawn from it."""
    seed: int = 1
    """Seed of the generators; every role, class and worker gets its own seed derived from it."""
    downstream: Conditions = DEFAULT
    """Pile-up of the downstream jets; their window is that of JetClass."""
    pretraining: Conditions = DEFAULT
    """Window and pile-up of the pretraining jets of all mixtures."""
    classes: ClassVar[tuple[str, ...]] = jets.JETCLASS
    schema: ClassVar[Schema] = jets.JETS

    @property
    def pool(self) -> int:
        """Jets from which the data sizes are drawn."""
        return self.train_jets

    def part(self, name: str) -> Part:
        """What a part of a mixture holds; StudyError for one that cannot be simulated."""
        family_of(name)
        return part_named(name)

    def __post_init__(self) -> None:
        check_fields(self, "simulated source")
        for name in ("downstream", "pretraining"):
            good = isinstance(getattr(self, name), Conditions)
            require(good, f"simulated source: {name} must be Conditions")
        window = self.downstream.window
        fix = "jets of the ten JetClass classes are simulated in window 'jetclass'"
        good = window == "jetclass"
        require(good, f"simulated source: downstream window is {window!r}; {fix}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Examples made by functions of your own; one seed decides them all."""

    downstream: Corpus
    """Its classes are the task."""
    train_examples: int
    """Downstream training pool; data sizes are prefixes of streams drawn from it."""
    pretraining: Sequence[Corpus] = ()
    """Corpora whose names are parts of mixtures, with the features of the downstream one."""
    seed: int = 1
    """Seed of the simulators; every role, part and chunk gets its own seed derived from it."""

    def __post_init__(self) -> None:
        check_fields(self, "declared source")
        plain(self, "pretraining", sequence("declared source", "pretraining", self.pretraining))
        first = self.downstream
        for corpus in (first, *self.pretraining):
            require(isinstance(corpus, Corpus), f"declared source: {corpus!r} is not a Corpus")
            other = f"corpus {corpus.name!r} has another noun or other features than {first.name!r}"
            why = "a trunk needs the same inputs before and after"
            require(corpus.schema == first.schema, f"declared source: {other}; {why}")
        for name in (names := [corpus.name for corpus in self.pretraining]):
            require(names.count(name) == 1, f"declared source: corpus {name!r} is listed twice")

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the downstream task, in label order."""
        return tuple(self.downstream.classes)

    @property
    def schema(self) -> Schema:
        """What an example is."""
        return self.downstream.schema

    @property
    def pool(self) -> int:
        """Examples from which the data sizes are drawn."""
        return self.train_examples

    def corpus_of(self, part: str) -> Corpus:
        """The corpus a part is from; StudyError if there is none."""
        own, known = split_own(part)[0], {corpus.name: corpus for corpus in self.pretraining}
        require(own in known, unknown("part", part, known))
        return known[own]

    def part(self, name: str) -> Part:
        """What a part of a mixture holds; StudyError for an unknown one."""
        return self.corpus_of(name).part(name, split_own(name)[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Examples already on disk as shard folders, which `jetscale ingest` or `write_shards` made.

    Relative folders are those beside the sweep file, else those in the working directory. Class
    names and columns are those of their manifests, which are read when they are asked for.
    """

    train: str
    validation: str
    test: str
    pretrain: Mapping[str, str] = field(default_factory=dict)
    """Part name to shard folder. A selection of JetClass-II labels may lie in the folder of a
    larger part. Any other name is yours; ``"mysim:signal"`` takes one label of folder ``mysim``."""
    corpus: str | None = None
    """Corpus that the downstream folders must be of; None takes what they are."""

    def __post_init__(self) -> None:
        one_spelling("folders", self.pretrain)
        for a, b in combinations(filter(is_jetclass2, self.pretrain), 2):
            same = part_named(a).labels == part_named(b).labels
            require(not same, f"folders: {a!r} and {b!r} are the same labels; keep one")
        downstream = {role: getattr(self, role) for role in ("train", "validation", "test")}
        for role, folder in [*downstream.items(), *self.pretrain.items()]:
            require(isinstance(folder, str | Path), f"folders: {role} is {folder!r}, needs a path")
        for role, folder in downstream.items():
            plain(self, role, _found(folder))
        plain(self, "pretrain", {part: _found(folder) for part, folder in self.pretrain.items()})
        roles = [(role, getattr(self, role)) for role in downstream]
        roles += [(f"pretrain {part}", folder) for part, folder in self.pretrain.items()]
        for (role_a, a), (role_b, b) in combinations(roles, 2):
            good, used = Path(a).resolve() != Path(b).resolve(), f"as {role_a} and as {role_b}"
            require(good, f"folders: {a} is used {used}; roles must not share jets")

    def open(self, role: str) -> Manifest:
        """The manifest of a downstream role; DataError if it does not fit the training folder."""
        folder = Path(getattr(self, role))
        manifest = open_shards(folder, role=role, corpus=self.corpus)
        first = manifest if role == "train" else open_shards(Path(self.train))
        for what in ("corpus", "classes", "schema"):
            if getattr(manifest, what) != getattr(first, what):
                must = "train, validation and test must be one task; use folders of the same corpus"
                raise DataError(f"{folder} and {first.folder} differ in {what}: {must}")
        return manifest

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the downstream task, in label order; DataError if no folder tells."""
        return self.open("train").classes

    @property
    def schema(self) -> Schema:
        """What an example is; DataError if no folder tells."""
        return self.open("train").schema

    @property
    def pool(self) -> None:
        """Not known before the folders are opened."""

    def folder_of(self, part: str) -> str:
        """The folder of a part: its own, or the smallest with its labels; StudyError if none."""
        if not is_jetclass2(part):
            own, _ = split_own(part)
            known = (*self.pretrain, *jets.PARTS, *jets.JETCLASS2)
            require(own in self.pretrain, unknown("part or label", part, known))
            return self.pretrain[own]
        labels = set(part_named(part).labels)
        found = {n: set(part_named(n).labels) for n in filter(is_jetclass2, self.pretrain)}
        enough = [name for name in found if labels <= found[name]]
        require(bool(enough), f"part {part!r} has no folder in source.pretrain")
        return self.pretrain[min(enough, key=lambda name: len(found[name]))]

    def part(self, name: str) -> Part:
        """What a part holds, by its manifest; StudyError for no such folder or label."""
        folder = self.folder_of(name)
        if is_jetclass2(name):
            return part_named(name)
        manifest = open_shards(Path(folder), role="pretrain")
        labels = match(name, split_own(name)[1], manifest.present)
        return Part(name=name, corpus=manifest.corpus, labels=labels, classes=manifest.classes)


Source = Simulated | Declared | Folders
SOURCES = (Simulated, Declared, Folders)
