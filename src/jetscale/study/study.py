"""A study: which mixtures, model sizes, data sizes and seeds are compared, and what is held fixed.

A sweep file in ``sweeps/`` has a function ``study()`` that returns one `Study`. Everything is a
frozen value, checked when it is made. The identity of a run is a hash of these values alone, never
of a path, a machine or a date.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from jetscale.errors import unknown
from jetscale.jets.generator.conditions import DEFAULT, Conditions
from jetscale.jets.generator.selection import family_of
from jetscale.jets.schema import CORPORA, JETCLASS, JETCLASS2, features_of, part_named
from jetscale.study.checks import check_name, number, plain, positive_int, require, sequence

BUDGETS = ("jets", "flops")
RESERVED = ("shards", "streams")  # folders beside those of the studies


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """One rung of the ladder: a transformer with ``layers`` blocks of ``width`` and ``heads``."""

    width: int
    layers: int
    heads: int

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads"):
            plain(self, name, positive_int("model size", name, getattr(self, name)))
        require(
            self.width % self.heads == 0,
            f"model size: width {self.width} is not a multiple of {self.heads} heads",
        )

    @property
    def name(self) -> str:
        """Short name, as in ``d32-l2-h4``."""
        return f"d{self.width}-l{self.layers}-h{self.heads}"


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
        _check_named_once(owner, self.parts)
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


def _check_named_once(owner: str, parts: Mapping[str, object]) -> None:
    """Refuse one part under two spellings."""
    seen: dict[tuple[str, ...], str] = {}
    for name in parts:
        other = seen.setdefault(part_named(name).labels, name)
        require(other == name, f"{owner}: {other!r} and {name!r} are the same labels; keep one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Everything that must not vary between mixtures."""

    pretraining_jets: int
    """Distinct jets each mixture is pretrained on; see ``pretraining_budget``."""
    validation_jets: int
    """Downstream jets for choosing settings."""
    test_jets: int
    """Downstream jets for the reported scores."""
    features: str = "kinpid"
    """Feature set: kin, kinpid or full."""
    constituents: int = 128
    """Leading constituents kept per jet."""
    batch_size: int = 16
    """Jets per optimiser step."""
    epochs: int = 2
    """Passes over the D jets of a cell; optimiser steps = epochs x ceil(D / batch_size)."""
    pretraining_epochs: int = 2
    """Passes over the pretraining jets."""
    learning_rate: float = 1e-2
    """Peak rate at width 16; others get learning_rate x (16 / width)^width_exponent."""
    width_exponent: float = 0.75
    """Exponent of the width rule."""
    head_multiplier: float = 5.0
    """Rate of the output head relative to the trunk."""
    beta1: float = 0.9
    """AdamW first-moment decay."""
    beta2: float = 0.98
    """AdamW second-moment decay."""
    weight_decay: float = 0.01
    """AdamW decoupled weight decay, on matrices only."""
    clip: float = 1.0
    """Largest gradient norm."""
    warmup: float = 0.1
    """Share of the steps with linearly rising rate, at least 2 steps; cosine to zero after."""
    pretraining_budget: str = "jets"
    """Equal between mixtures: ``jets``, or ``flops``. With ``flops`` every mixture trains on
    as many jets as cost what ``pretraining_jets`` typical jets cost, at most twice their number."""
    scale_pt: float | None = None
    """Scale four-vectors to this jet pT in GeV before the first two features, as Sophon does with
    500 (arXiv 2405.12972); None leaves them as they are."""
    stream_seed: int = 1
    """Seed of the order of all streams; independent of the training seeds."""

    def __post_init__(self) -> None:
        features_of(self.features)
        for f in fields(self):
            if f.type is int or f.type is float:
                check = positive_int if f.type is int else number
                plain(self, f.name, check("controls", f.name, getattr(self, f.name)))
        require(
            self.pretraining_budget in BUDGETS,
            f"controls: {unknown('pretraining_budget', self.pretraining_budget, BUDGETS)}",
        )
        if self.scale_pt is not None:
            plain(self, "scale_pt", number("controls", "scale_pt", self.scale_pt))
            require(self.scale_pt > 0, f"controls: scale_pt is {self.scale_pt}, needs > 0")
        for name in ("learning_rate", "head_multiplier", "clip"):
            value = getattr(self, name)
            require(value > 0, f"controls: {name} is {value}, needs > 0")
        for name in ("beta1", "beta2", "warmup", "weight_decay"):
            value = getattr(self, name)
            require(0 <= value < 1, f"controls: {name} is {value}, needs 0 <= value < 1")

    @property
    def pretraining_pool(self) -> int:
        """Jets of each pretraining stream: equal FLOPs may take more jets than equal jets."""
        return self.pretraining_jets * (2 if self.pretraining_budget == "flops" else 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for records and digests."""
        return asdict(self)


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
        _check_named_once("folders", self.pretrain)
        roles = [("train", self.train), ("validation", self.validation), ("test", self.test)]
        roles += [(f"pretrain {part}", folder) for part, folder in self.pretrain.items()]
        for (role_a, a), (role_b, b) in combinations(roles, 2):
            require(
                Path(a).resolve() != Path(b).resolve(),
                f"folders: {a} is used as {role_a} and as {role_b}; roles must not share jets",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A grid of mixture x model size x data size x seed with everything else fixed."""

    name: str
    source: Simulated | Folders
    mixtures: tuple[Mixture, ...]
    ladder: tuple[ModelSize, ...]
    data_sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    controls: Controls
    subsets: int = 1
    """Independent orders of the training pool; seed number i uses order i modulo subsets."""

    def __post_init__(self) -> None:
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
        for name, kinds in (("source", (Simulated, Folders)), ("controls", (Controls,))):
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
