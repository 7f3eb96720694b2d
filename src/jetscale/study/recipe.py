"""The recipe of a study: everything that must not vary between its mixtures, in five groups.

A record carries it with the versions of the code; runs of different recipes are never compared.
"""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from math import ceil
from typing import Any, cast

from jetscale.errors import StudyError, unknown
from jetscale.study.checks import check_fields, number, plain, require
from jetscale.study.command import Command
from jetscale.study.rates import STARTS, RateLaw, Rates, Start

BUDGETS = ("jets", "flops")
PRECISIONS = ("float32", "bfloat16")
PARAMETRIZATIONS = ("standard", "complete")
REFERENCE_EXAMPLES = 16_000
"""Examples seen, D x epochs, at which a run has the batch size of its recipe at any exponent."""
MINIMUM_STEPS = 50
"""Optimiser steps below which a run measures its start rather than its data: warm-up takes at least
2 steps, which must be a small part, and the second moment of Adam, with beta2 = 0.98, averages over
about 50 steps, so that fewer are one long correction of an average that has just begun."""
MOST_PASSES = 10_000
"""Passes over its jets that a run may take to make `Schedule.min_steps`."""
_LATER: dict[str, Any] = {"later": True}
"""Marks a setting that came later: at its default it is not part of a recipe's identity, so that
runs made before keep their keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Which jets are used and how they become inputs."""

    pretraining_jets: int
    """Distinct jets each mixture is pretrained on; see ``pretraining_budget``."""
    features: str = "kinpid"
    """Feature set: kin, kinpid or full for jets; other fields name their own."""
    constituents: int = 128
    """Leading constituents kept per jet."""
    pretraining_budget: str = "jets"
    """Equal between mixtures: ``jets``, or ``flops``. With ``flops`` every mixture trains on
    as many jets as cost what ``pretraining_jets`` typical jets cost, at most twice their number."""
    scale_pt: float | None = None
    """Jet pT in GeV to which four-vectors are scaled before the first two features, as Sophon does
    with 500 (arXiv 2405.12972); None leaves them as they are."""
    stream_seed: int = 1
    """Seed of the order of all streams; independent of the training seeds."""

    def __post_init__(self) -> None:
        check_fields(self, "recipe.data")
        budget = self.pretraining_budget
        require(budget in BUDGETS, f"recipe.data: {unknown('pretraining_budget', budget, BUDGETS)}")
        if self.scale_pt is not None:
            plain(self, "scale_pt", number("recipe.data", "scale_pt", self.scale_pt))
            require(self.scale_pt > 0, f"recipe.data: scale_pt is {self.scale_pt}, needs > 0")

    @property
    def pretraining_pool(self) -> int:
        """Jets of each pretraining stream: equal FLOPs may take more jets than equal jets."""
        return self.pretraining_jets * (2 if self.pretraining_budget == "flops" else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is trained, and to do what."""

    architecture: str = "transformer"
    """``transformer``, ``part``, or ``package.module:function`` for a model of your own (see
    `jetscale.models.protocol`)."""
    objective: str = "classify"
    """What runs on the downstream task are trained to do: a registered objective (see
    `jetscale.objectives.protocol`)."""
    pretraining_objective: str | None = field(default=None, metadata=_LATER)
    """What a trunk is pretrained to do; None means the same. ``masked`` needs no labels: the model
    completes jets of which constituents are hidden (see `jetscale.objectives.masked`)."""
    parametrization: str = field(default="standard", metadata=_LATER)
    """How weights and rates follow width and depth: ``standard``, or ``complete``, whose best rate
    is that of every size (see `jetscale.models.parametrization`); it needs width_exponent 0."""

    def __post_init__(self) -> None:
        check_fields(self, "recipe.model")
        told = self.pretraining_objective
        wrong = f"recipe.model: pretraining_objective is {told!r}, needs a text or None"
        require(told is None or isinstance(told, str), wrong)
        if told == self.objective:
            plain(self, "pretraining_objective", None)  # one way to say it has one identity
        good = self.parametrization in PARAMETRIZATIONS
        wrong = unknown("parametrization", self.parametrization, PARAMETRIZATIONS)
        require(good, f"recipe.model: {wrong}")

    def at(self, start: Start) -> "Model":
        """The model of a run with this start: it has one objective, its own.

        A run that starts from a trunk says, too, what that was pretrained to do.

        >>> model = Model(pretraining_objective="masked")
        >>> [model.at(start).objective for start in ("scratch", "pretraining", "pretrained")]
        ['classify', 'masked', 'classify']
        """
        if start == "pretrained":
            return self
        own = self.pretraining_objective if start == "pretraining" else None
        return replace(self, objective=own or self.objective, pretraining_objective=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """AdamW with decoupled weight decay on matrices and one gradient norm over all parameters."""

    learning_rate: float = 1e-2
    """Peak rate at width 16 and 1000 steps (see `jetscale.study.rates.RateLaw`)."""
    width_exponent: float = 0.75
    steps_exponent: float = field(default=0.0, metadata=_LATER)
    rates: Rates | None = field(default=None, metadata=_LATER)
    """Laws of their own for scratch, fine-tuning and pretraining, in place of the three above; what
    `jetscale tune` finds."""
    head_multiplier: float = 5.0
    """Rate of the output head relative to the trunk."""
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest gradient norm."""
    average: float = field(default=0.0, metadata=_LATER)
    """Time constant of a moving average of the weights, as a share of the run's steps; the average
    is evaluated and saved as trunk. 0 takes the weights of the last step."""

    def __post_init__(self) -> None:
        check_fields(self, "recipe.optimiser")
        for name in ("learning_rate", "head_multiplier", "clip"):
            value = getattr(self, name)
            require(value > 0, f"recipe.optimiser: {name} is {value}, needs > 0")
        for name in ("beta1", "beta2", "weight_decay", "average"):
            value = getattr(self, name)
            require(0 <= value < 1, f"recipe.optimiser: {name} is {value}, needs 0 <= value < 1")
        good = self.rates is None or isinstance(self.rates, Rates)
        require(good, f"recipe.optimiser: rates is {self.rates!r}, needs Rates")

    def law(self, start: Start) -> RateLaw:
        """The rate law of a run with this start."""
        if self.rates is not None:
            return cast(RateLaw, getattr(self.rates, start))
        names = ("learning_rate", "width_exponent", "steps_exponent")
        return RateLaw(**{name: getattr(self, name) for name in names})

    def at(self, start: Start) -> "Optimiser":
        """The optimiser of a run with this start: its law in place of ``rates``."""
        return replace(self, rates=None, **asdict(self.law(start)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Batches, passes and the course of the rate: linear warm-up, then cosine to zero."""

    batch_size: int = 16
    """Jets per optimiser step; see ``batch_exponent``."""
    batch_exponent: float = field(default=0.0, metadata=_LATER)
    """Growth of the batch with the jets a run sees: batch_size x (D x epochs / 16,000)^exponent."""
    epochs: int = 2
    """Passes over the D jets of a run; optimiser steps = epochs x ceil(D / batch)."""
    pretraining_epochs: int = 2
    min_steps: int = field(default=0, metadata=_LATER | {"least": 0})
    """Optimiser steps that every run makes at least: with few jets it takes more passes over them,
    the fewest that are enough. Passes then differ between data sizes, not between mixtures."""
    warmup: float = 0.1
    """Share of the steps with linearly rising rate, at least 2 steps."""

    def __post_init__(self) -> None:
        check_fields(self, "recipe.schedule")
        wrong = f"warmup is {self.warmup}, needs 0 <= value < 1"
        require(0 <= self.warmup < 1, f"recipe.schedule: {wrong}")
        exponent = self.batch_exponent
        wrong = (
            f"batch_exponent is {exponent}, needs 0 <= value <= 1; above, more jets take less steps"
        )
        require(0 <= exponent <= 1, f"recipe.schedule: {wrong}")

    def passes(self, examples: int, *, pretraining: bool = False) -> int:
        """Passes over the D ``examples`` of a run: those asked for, or more for `min_steps`.

        The batch is that of the jets seen, so with a ``batch_exponent`` above 0 more passes make
        larger batches. StudyError where no number of passes up to 10,000 is enough.

        >>> schedule = Schedule(epochs=2, min_steps=250)
        >>> [(n, schedule.passes(n)) for n in (500, 1_000, 2_000, 4_000)]
        [(500, 8), (1000, 4), (2000, 2), (4000, 2)]
        """
        asked = self.pretraining_epochs if pretraining else self.epochs
        if (steps := self.steps(examples, asked)) >= self.min_steps:
            return asked
        for epochs in range(ceil(asked * self.min_steps / steps), MOST_PASSES + 1):
            if self.steps(examples, epochs) >= self.min_steps:
                return epochs
        what = f"min_steps {self.min_steps} takes more than {MOST_PASSES} passes over {examples}"
        fix = f"lower min_steps or batch_exponent {self.batch_exponent}"
        raise StudyError(f"recipe.schedule: {what} examples; {fix}")

    def batch(self, examples: int, epochs: int) -> int:
        """Jets per optimiser step of a run of D ``examples``, a whole number of at least 1.

        >>> schedule = Schedule(batch_size=16, batch_exponent=0.5)
        >>> [schedule.batch(examples, epochs=4) for examples in (500, 4_000, 16_000)]
        [6, 16, 32]
        """
        growth = float((examples * epochs / REFERENCE_EXAMPLES) ** self.batch_exponent)
        return max(1, round(self.batch_size * growth))

    def steps(self, examples: int, epochs: int) -> int:
        """Optimiser steps of a run: every epoch ends with the jets that are left over."""
        return epochs * ceil(examples / self.batch(examples, epochs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What every run is scored on, after its last step."""

    validation_jets: int
    """Downstream jets for choosing settings."""
    test_jets: int
    """Downstream jets for the reported scores."""

    def __post_init__(self) -> None:
        check_fields(self, "recipe.evaluation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that must not vary between mixtures.

    >>> evaluation = Evaluation(validation_jets=2_000, test_jets=4_000)
    >>> recipe = Recipe(data=Data(pretraining_jets=12_000), evaluation=evaluation)
    >>> recipe.optimiser.learning_rate
    0.01
    """

    data: Data
    evaluation: Evaluation
    model: Model = field(default_factory=Model)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    precision: str = "float32"
    """Number format of the products of activations with weights in training: ``float32``, or
    ``bfloat16``, which keeps 8 bits of each number. Weights, their optimiser, norms, losses and
    evaluation are float32 with either."""
    trainer: Command | None = field(default=None, metadata=_LATER)
    """A program that trains the runs; None is jetscale's own engine. With a program the groups
    above tell it what they can, and N and FLOPs are those of ``model.architecture``."""

    def __post_init__(self) -> None:
        for name, kind in GROUPS.items():
            good = isinstance(getattr(self, name), kind)
            require(good, f"recipe: {name} must be a {kind.__name__}")
        check_fields(self, "recipe")
        good = self.trainer is None or isinstance(self.trainer, Command)
        require(good, f"recipe: trainer is {self.trainer!r}, needs a Command or None")
        good = self.precision in PRECISIONS
        require(good, f"recipe: {unknown('precision', self.precision, PRECISIONS)}")
        if self.model.parametrization == "complete":
            for exponent in {self.optimiser.law(start).width_exponent for start in STARTS}:
                require(
                    exponent == 0,
                    f"recipe: parametrization 'complete' scales rates with the width itself, and "
                    f"width_exponent {exponent} would do it twice; set it to 0",
                )

    def change(self, **settings: Any) -> "Recipe":
        """The recipe with some settings of its groups replaced, whichever group they are in.

        >>> recipe = Controls(pretraining_jets=10, validation_jets=5, test_jets=5)
        >>> recipe.change(epochs=3, learning_rate=0.02).schedule.epochs
        3
        """
        groups = _by_group(settings).items()
        return replace(self, **{name: replace(getattr(self, name), **v) for name, v in groups})

    @property
    def searched_otherwise(self) -> str:
        """How schedule and objective differ from those of the search of its rates; empty if not."""
        rates, own = self.optimiser.rates, asdict(self.schedule) | asdict(self.model)
        searched = {**_SILENT, **rates.schedule} if rates and rates.schedule else {}
        pairs = [
            (f"{name}={searched[name]}", f"{name}={own[name]}")
            for name in _SEARCHED
            if name in searched and searched[name] != own[name]
        ]
        if not pairs:
            return ""
        theirs, ours = (", ".join(texts) for texts in zip(*pairs, strict=True))
        return f"the rates were searched with {theirs}, the study has {ours}"

    def at(self, start: Start) -> "Recipe":
        """The recipe as a run with this start follows it."""
        return replace(self, optimiser=self.optimiser.at(start), model=self.model.at(start))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as nested plain values; later settings at their defaults are left out."""
        trainer = {} if self.trainer is None else {"trainer": self.trainer.to_dict()}
        groups = {name: _plain(getattr(self, name)) for name in GROUPS}
        return groups | {"precision": self.precision} | trainer


_SILENT = {"batch_exponent": 0.0, "min_steps": 0, "pretraining_objective": None}
"""Settings that a recipe file leaves out at these values."""
_SEARCHED = ("batch_size", "epochs", "pretraining_epochs", *_SILENT)
"""What the best rates depend on beside width and steps."""
_KINDS = (Data, Model, Optimiser, Schedule, Evaluation)
GROUPS: dict[str, Any] = {kind.__name__.lower(): kind for kind in _KINDS}
"""Field of `Recipe` to the group that it holds."""


def _plain(group: Any) -> dict[str, Any]:
    left_out = {f.name for f in fields(group) if f.metadata and getattr(group, f.name) == f.default}
    plain = {name: value for name, value in asdict(group).items() if name not in left_out}
    if "rates" in plain:
        del plain["rates"]["regrets"], plain["rates"]["schedule"]
        for name in ("learning_rate", "width_exponent", "steps_exponent"):  # nothing follows them
            plain.pop(name, None)
    return plain


def _by_group(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Flat settings by the group they belong to; raises StudyError for an unknown one."""
    group_of = {f.name: name for name, group in GROUPS.items() for f in fields(group)}
    chosen: dict[str, dict[str, Any]] = {}
    for setting, value in settings.items():
        require(setting in group_of, unknown("setting of a recipe", setting, group_of))
        chosen.setdefault(group_of[setting], {})[setting] = value
    return chosen


def Controls(**settings: Any) -> Recipe:
    """Recipe of flat ``settings``, as in sweep files of version 0.1; StudyError for a wrong one.

    >>> Controls(pretraining_jets=10, validation_jets=5, test_jets=5, epochs=4).schedule.epochs
    4
    """
    chosen = _by_group(settings)
    for name, group in GROUPS.items():
        for f in fields(group):
            given = f.name in chosen.get(name, {}) or f.default is not MISSING
            require(given, f"recipe.{name}: needs {f.name}")
    return Recipe(**{name: group(**chosen.get(name, {})) for name, group in GROUPS.items()})
