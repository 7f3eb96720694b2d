"""Where the jets of a study come from: simulated here, or folders that are there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from jetscale.errors import unknown
from jetscale.jets.generator.conditions import DEFAULT, Conditions
from jetscale.jets.schema import CORPORA, part_named
from jetscale.study.checks import plain, positive_int, require
from jetscale.study.mixture import check_parts


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

    def __post_init__(self) -> None:
        for name in ("train_jets", "seed"):
            plain(self, name, positive_int("simulated source", name, getattr(self, name)))
        for name in ("downstream", "pretraining"):
            good = isinstance(getattr(self, name), Conditions)
            require(good, f"simulated source: {name} must be Conditions")
        require(
            self.downstream.window == "jetclass",
            f"simulated source: downstream window is {self.downstream.window!r}; jets of the ten "
            "JetClass classes are simulated in window 'jetclass'",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Jets already on disk as shard folders (see `jetscale ingest` and `jetscale simulate`)."""

    train: str
    validation: str
    test: str
    pretrain: Mapping[str, str] = field(default_factory=dict)
    """Part name to shard folder; a selection of labels may lie in the folder of a larger part."""
    corpus: str = "jetclass"
    """Corpus of the downstream jets; its classes are the task."""

    def folder_of(self, part: str) -> str | None:
        """The smallest folder that holds the labels of a part, None where there is none."""
        labels = set(part_named(part).labels)
        found = {name: set(part_named(name).labels) for name in self.pretrain}
        enough = [name for name in found if labels <= found[name]]
        return self.pretrain[min(enough, key=lambda name: len(found[name]))] if enough else None

    def __post_init__(self) -> None:
        require(self.corpus in CORPORA, f"folders: {unknown('corpus', self.corpus, CORPORA)}")
        classes = CORPORA[self.corpus]
        require(
            len(classes) > 1,
            f"folders: corpus {self.corpus!r} has one class, nothing to tell apart; use a "
            "labelled one",
        )
        check_parts("folders", self.pretrain)
        roles = [("train", self.train), ("validation", self.validation), ("test", self.test)]
        roles += [(f"pretrain {part}", folder) for part, folder in self.pretrain.items()]
        for (role_a, a), (role_b, b) in combinations(roles, 2):
            require(
                Path(a).resolve() != Path(b).resolve(),
                f"folders: {a} is used as {role_a} and as {role_b}; roles must not share jets",
            )
