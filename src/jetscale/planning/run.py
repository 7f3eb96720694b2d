"""Runs: from a study to every training it takes.

Pretraining runs come first: a fine-tuning run starts from the trunk of the pretraining run with
the same mixture, size and seed. Neither torch nor Ray is needed to plan.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from jetscale.digests import digest
from jetscale.errors import StudyError, unknown
from jetscale.objectives.protocol import try_scores
from jetscale.planning.cost import budget_of, check_parametrization, plan_cost
from jetscale.planning.identity import follow, pretraining_identity, recipe_of
from jetscale.study import Mixture, ModelSize, Recipe, Study
from jetscale.study.rates import STARTS, Start
from jetscale.words import short

Kind = Literal["pretrain", "finetune"]
SHORTEST = 4  # letters of a key that stand for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One planned training, with everything that decides its result and what it will cost.

    Its names are those of `jetscale.training.spec.RunResult` and `jetscale.store.record.Record`.
    """

    key: str
    """Digest of the recipe and of the run's own fields: the only identity of a run."""
    kind: Kind
    """``pretrain`` or ``finetune``."""
    mixture: Mixture
    """What the trunk is pretrained on."""
    size: ModelSize
    """Width, layers and heads."""
    recipe: Recipe = field(repr=False)
    """The recipe as this run follows it: with the rate law of its own start."""
    examples: int
    """Distinct jets D."""
    epochs: int
    """Passes over the D jets."""
    seed: int
    """Training seed: first weights and order of the batches."""
    subset: int
    """Which order of the training pool the D jets are the first of."""
    trunk: str | None
    """Key of the pretraining run this one starts from; None from random weights."""
    pretraining_examples: int
    """Distinct jets of that pretraining run, as planned; 0 from random weights."""
    params: int
    """Trainable parameters N."""
    params_non_embedding: int
    """Those of the blocks alone."""
    steps: int
    """Optimiser steps."""
    flops: float
    """Expected training FLOPs; the record holds the exact number."""

    @property
    def start(self) -> Start:
        """What it starts from, which decides its rate law."""
        if self.kind == "pretrain":
            return "pretraining"
        return "scratch" if self.mixture.is_scratch else "pretrained"

    @property
    def peak_rate(self) -> float:
        """Largest learning rate of the trunk."""
        return self.recipe.optimiser.law(self.start).at(self.size.width, self.steps)

    @property
    def name(self) -> str:
        """For people, never parsed: ``qcd+bsm N=20.6k D=4000 seed 1``."""
        what = ("pretrain " if self.kind == "pretrain" else "") + self.mixture.name
        return f"{what} N={short(self.params)} D={self.examples} seed {self.seed}"

    def is_called(self, wanted: str) -> bool:
        """Whether a text is its name, its key, or the first letters of its key, at least four."""
        return wanted == self.name or (len(wanted) >= SHORTEST and self.key.startswith(wanted))

    @property
    def by_command(self) -> bool:
        """Whether a program of the user's trains it, not jetscale's engine."""
        return self.recipe.trainer is not None

    def own_fields(self) -> dict[str, Any]:
        """What tells this run from others of its recipe; costs are derived and stay out."""
        return {
            "kind": self.kind,
            "mixture": {"name": self.mixture.name, "parts": dict(self.mixture.parts)},
            "size": asdict(self.size),
            "examples": self.examples,
            "seed": self.seed,
            "subset": self.subset,
        }


def plan_runs(study: Study) -> tuple[Run, ...]:
    """All runs of a study: pretraining first within each chain, then data sizes in order.

    Raises what `jetscale.planning.identity.recipe_of` raises, and StudyError where the architecture
    or the objective does not work on made-up jets, or the architecture lacks the parametrization.
    """
    if study.recipe.trainer is None:
        check_parametrization(study)
        try_scores(study.recipe.model.objective, study.classes)
    recipe, jets = recipe_of(study), study.recipe.data.pretraining_jets
    # once for all runs of a start: a study may have ten thousand
    recipes = {start: study.recipe.at(start) for start in STARTS}
    recorded = {start: follow(recipe, recipes[start]) for start in STARTS}
    out: list[Run] = []
    for mixture in study.mixtures:
        fixed = {"recipe": recorded, "pretraining": pretraining_identity(study, mixture)}
        if not mixture.is_scratch:
            fixed |= budget_of(study)
        for size in study.ladder:
            for seed, subset in study.replicates():
                trunk = None
                if not mixture.is_scratch:
                    place = mixture, size, jets, seed
                    trunk = _plan_run(study, recipes["pretraining"], fixed, "pretrain", *place)
                    out.append(trunk)
                told = recipes["scratch" if mixture.is_scratch else "pretrained"]
                for examples in sorted(study.data_sizes):
                    at = mixture, size, examples, seed, subset, trunk
                    out.append(_plan_run(study, told, fixed, "finetune", *at))
    for wanted in study.keep if isinstance(study.keep, tuple) else ():
        find_run(out, wanted, f"study {study.name!r}: keep")
    return tuple(out)


def find_run(runs: Sequence[Run], wanted: str, where: str) -> Run:
    """The fine-tuning run with this key, beginning of a key, or name.

    StudyError, said of ``where``, for none, several, and for a pretraining run.
    """
    found = [run for run in runs if run.is_called(wanted)]
    if len(found) > 1:
        keys = ", ".join(run.key for run in found[:4])
        raise StudyError(f"{where}: {wanted!r} is {len(found)} runs; give the key of one: {keys}")
    if not found:
        if wanted and any(run.key.startswith(wanted) for run in runs):
            raise StudyError(f"{where}: {wanted!r} may begin several keys; give {SHORTEST} letters")
        names = [run.name for run in runs if run.kind == "finetune"]
        raise StudyError(f"{where}: {unknown('run', wanted, names)}")
    if found[0].kind == "pretrain":
        what = f"{found[0].name!r} is pretraining, whose trunk has no classes of the task"
        raise StudyError(f"{where}: {what}; choose a fine-tuning run")
    return found[0]


def _plan_run(
    study: Study,
    recipe: Recipe,
    fixed: dict[str, Any],
    kind: Kind,
    mixture: Mixture,
    size: ModelSize,
    examples: int,
    seed: int,
    subset: int = 0,
    trunk: Run | None = None,
) -> Run:
    pretraining = kind == "pretrain"
    classes = len(study.labels(mixture) if pretraining else study.classes)
    run = Run(
        key="",
        kind=kind,
        mixture=mixture,
        size=size,
        examples=examples,
        seed=seed,
        subset=subset,
        recipe=recipe,
        trunk=trunk.key if trunk else None,
        pretraining_examples=trunk.examples if trunk else 0,
        **plan_cost(study, size, classes, examples, pretraining=pretraining),
    )
    fixed = fixed | {"recipe": fixed["recipe"][run.start]}
    if trunk is not None and trunk.recipe != run.recipe:
        # the weights that it starts from depend on a recipe that is not its own
        fixed |= {"trunk": trunk.key}
    return replace(run, key=digest(fixed | run.own_fields()))
