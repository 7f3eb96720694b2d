"""A study: which mixtures, model sizes, data sizes and seeds are compared, and what is held fixed.

A sweep file in ``sweeps/`` has a function ``study()`` that returns one `Study`. Everything is a
frozen value, checked when it is made. The identity of a run is a hash of these values alone, never
of a path, a machine or a date.
"""

import hashlib
import json
import re
import runpy
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from jetscale.errors import StudyError, unknown
from jetscale.jets.schema import features_of, part_named

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def digest(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StudyError(message)


def _positive_int(owner: str, name: str, value: object) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and value > 0
    _require(good, f"{owner}: {name} is {value!r}, needs a whole number above zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """One rung of the ladder: a transformer with ``layers`` blocks of ``width`` and ``heads``."""

    width: int
    layers: int
    heads: int

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads"):
            _positive_int("model size", name, getattr(self, name))
        _require(
            self.width % self.heads == 0,
            f"model size: width {self.width} is not a multiple of {self.heads} heads",
        )

    @property
    def name(self) -> str:
        """Short name, as in ``d32-l2-h4``."""
        return f"d{self.width}-l{self.layers}-h{self.heads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Parts with weights; no parts at all means training from scratch."""

    name: str
    parts: Mapping[str, float] = field(default_factory=dict)
    """Part name to weight; weights are normalised to sum to one."""

    def __post_init__(self) -> None:
        _require(
            bool(_NAME.fullmatch(self.name)),
            f"mixture name {self.name!r}: use letters, digits and + . _ - only",
        )
        for part, weight in self.parts.items():
            part_named(part)
            _require(
                weight > 0, f"mixture {self.name!r}: weight of {part!r} is {weight}, needs > 0"
            )
        total = sum(self.parts.values())
        shares = {part: self.parts[part] / total for part in sorted(self.parts)}
        object.__setattr__(self, "parts", shares)

    @property
    def is_scratch(self) -> bool:
        """True for the empty mixture: no pretraining."""
        return not self.parts

    @property
    def labels(self) -> tuple[str, ...]:
        """Pretraining class names: the labels of all parts, in corpus order."""
        parts = sorted((part_named(name) for name in self.parts), key=lambda part: part.first)
        return tuple(label for part in parts for label in part.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Everything that must not vary between mixtures."""

    pretraining_jets: int
    """Distinct jets each mixture is pretrained on."""
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
    stream_seed: int = 1
    """Seed of the order of all streams; independent of the training seeds."""

    def __post_init__(self) -> None:
        features_of(self.features)
        for name in (
            "pretraining_jets",
            "validation_jets",
            "test_jets",
            "constituents",
            "batch_size",
            "epochs",
            "pretraining_epochs",
            "stream_seed",
        ):
            _positive_int("controls", name, getattr(self, name))
        for name in ("learning_rate", "head_multiplier", "clip"):
            _require(
                getattr(self, name) > 0, f"controls: {name} is {getattr(self, name)}, needs > 0"
            )
        for name in ("beta1", "beta2", "warmup", "weight_decay"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"controls: {name} is {value}, needs 0 <= value < 1")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for records and digests."""
        return asdict(self)

    def differences(self, other: "Controls") -> dict[str, tuple[Any, Any]]:
        """Fields that differ, as ``{name: (mine, theirs)}``."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """Jets made on this machine by Pythia; one seed decides them all."""

    train_jets: int
    """Downstream training pool; data sizes are prefixes of streams drawn from it."""
    seed: int = 1
    """Seed of the generators; every role, class and worker gets its own seed derived from it."""

    def __post_init__(self) -> None:
        _positive_int("simulated source", "train_jets", self.train_jets)
        _positive_int("simulated source", "seed", self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Jets already on disk as shard folders (see `jetscale ingest` and `jetscale simulate`)."""

    train: str
    validation: str
    test: str
    pretrain: Mapping[str, str] = field(default_factory=dict)
    """Part name to shard folder."""

    def __post_init__(self) -> None:
        for part in self.pretrain:
            part_named(part)
        roles = [("train", self.train), ("validation", self.validation), ("test", self.test)]
        roles += [(f"pretrain {part}", folder) for part, folder in self.pretrain.items()]
        for (role_a, a), (role_b, b) in combinations(roles, 2):
            _require(
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
        _require(
            bool(_NAME.fullmatch(self.name)),
            f"study name {self.name!r}: use letters, digits and + . _ - only",
        )
        for name in ("mixtures", "ladder", "data_sizes", "seeds"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            _require(bool(values), f"study {self.name!r}: {name} is empty")
        names = [mixture.name for mixture in self.mixtures]
        for label, values in (
            ("mixture", names),
            ("model size", [size.name for size in self.ladder]),
            ("data size", list(self.data_sizes)),
            ("seed", list(self.seeds)),
        ):
            twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
            _require(twice is None, f"study {self.name!r}: {label} {twice!r} is listed twice")
        for value in self.data_sizes:
            _positive_int(f"study {self.name!r}", "a data size", value)
        for value in self.seeds:
            _positive_int(f"study {self.name!r}", "a seed", value)
        _positive_int(f"study {self.name!r}", "subsets", self.subsets)
        self._check_source()

    def _check_source(self) -> None:
        largest = max(self.data_sizes)
        if isinstance(self.source, Simulated):
            pool = self.source.train_jets
            _require(
                largest <= pool,
                f"study {self.name!r}: data size {largest} is larger than the training pool of "
                f"{pool} jets; raise train_jets or drop the size",
            )
            return
        for mixture in self.mixtures:
            for part in mixture.parts:
                _require(
                    part in self.source.pretrain,
                    f"study {self.name!r}: mixture {mixture.name!r} needs part {part!r}, which has "
                    "no folder in source.pretrain",
                )

    def mixture(self, name: str) -> Mixture:
        """The mixture of that name; raises StudyError for an unknown one."""
        found = next((m for m in self.mixtures if m.name == name), None)
        if found is None:
            raise StudyError(unknown("mixture", name, [m.name for m in self.mixtures]))
        return found

    @property
    def pretrained(self) -> tuple[Mixture, ...]:
        """The mixtures that need pretraining."""
        return tuple(mixture for mixture in self.mixtures if not mixture.is_scratch)

    def replicates(self) -> Iterator[tuple[int, int]]:
        """(seed, subset) pairs of the grid."""
        for i, seed in enumerate(self.seeds):
            yield seed, i % self.subsets


def load_study(path: Path) -> Study:
    """The Study that ``study()`` in a sweep file returns.

    Raises
    ------
    StudyError
        The file is missing, has no ``study`` function, fails, or names an unknown field.
    """
    if not path.is_file():
        near = (
            sorted(p.as_posix() for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        )
        raise StudyError(unknown("sweep file", path.as_posix(), near))
    try:
        result = runpy.run_path(str(path), run_name="jetscale_sweep")["study"]()
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    except KeyError as error:
        raise StudyError(f"{path}: no function {error} that returns a Study") from error
    except TypeError as error:
        raise StudyError(f"{path}: {_explain_type_error(error)}") from error
    except Exception as error:
        raise StudyError(f"{path}: {type(error).__name__}: {error}") from error
    if not isinstance(result, Study):
        raise StudyError(f"{path}: study() returned {type(result).__name__}, needs a Study")
    return result


def _explain_type_error(error: TypeError) -> str:
    """The nearest field name when a value was given one it does not have."""
    match = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    owners = {c.__name__: c for c in (Study, Mixture, Controls, ModelSize, Simulated, Folders)}
    if match is None or match[1] not in owners:
        return str(error)
    known = [f.name for f in fields(owners[match[1]])]
    return unknown(f"{match[1]} field", match[2], known)
