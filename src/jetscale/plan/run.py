"""Runs: from a study to every training it takes.

Pretraining runs come first: a fine-tuning run starts from the trunk of the pretraining run with
the same mixture, size and seed. Neither torch nor Ray is needed to plan.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from jetscale.digests import digest
from jetscale.plan.cost import plan_cost
from jetscale.plan.identity import pretraining_identity, recipe_of
from jetscale.study import Mixture, ModelSize, Study
from jetscale.words import short

Kind = Literal["pretrain", "finetune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One planned training, with everything that decides its result and what it will cost.

    Its names are those of `jetscale.training.spec.RunResult` and `jetscale.store.records.Record`.
    """

    key: str
    """Digest of the recipe and of the run's own fields: the only identity of a run."""
    kind: Kind
    """``pretrain`` or ``finetune``."""
    mixture: Mixture
    """What the trunk is pretrained on."""
    size: ModelSize
    """Width, layers and heads."""
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
    def name(self) -> str:
        """For people, never parsed: ``qcd+bsm N=20.6k D=4000 seed 1``."""
        kind = "pretrain " if self.kind == "pretrain" else ""
        return (
            f"{kind}{self.mixture.name} N={short(self.params)} D={self.examples} seed {self.seed}"
        )

    def own_fields(self) -> dict[str, Any]:
        """What tells this run from others of its recipe; costs are derived and stay out."""
        return {
            "kind": self.kind,
            "mixture": {"name": self.mixture.name, "parts": dict(self.mixture.parts)},
            "size": {
                "width": self.size.width,
                "layers": self.size.layers,
                "heads": self.size.heads,
            },
            "examples": self.examples,
            "seed": self.seed,
            "subset": self.subset,
        }


def plan_runs(study: Study) -> tuple[Run, ...]:
    """All runs of a study: pretraining first within each chain, then data sizes in order.

    Raises:
        DataError: A shard folder of the study is not there or damaged.
        StudyError: The architecture or objective is not known.
    """
    recipe = recipe_of(study)
    out: list[Run] = []
    for mixture in study.mixtures:
        fixed = {"recipe": recipe, "pretraining": pretraining_identity(study, mixture)}
        labels = len(study.labels(mixture))
        for size in study.ladder:
            for seed, subset in study.replicates():
                trunk = None
                if not mixture.is_scratch:
                    trunk = _pretraining_run(study, fixed, mixture, size, seed, labels)
                    out.append(trunk)
                for examples in sorted(study.data_sizes):
                    out.append(
                        _finetuning_run(study, fixed, mixture, size, seed, subset, examples, trunk)
                    )
    return tuple(out)


def _pretraining_run(
    study: Study,
    fixed: dict[str, Any],
    mixture: Mixture,
    size: ModelSize,
    seed: int,
    classes: int,
) -> Run:
    jets = study.recipe.data.pretraining_jets
    run = Run(
        key="",
        kind="pretrain",
        mixture=mixture,
        size=size,
        examples=jets,
        epochs=study.recipe.schedule.pretraining_epochs,
        seed=seed,
        subset=0,
        trunk=None,
        pretraining_examples=0,
        **plan_cost(study, size, classes, jets, pretraining=True),
    )
    return replace(run, key=digest(fixed | run.own_fields()))


def _finetuning_run(
    study: Study,
    fixed: dict[str, Any],
    mixture: Mixture,
    size: ModelSize,
    seed: int,
    subset: int,
    examples: int,
    trunk: Run | None,
) -> Run:
    run = Run(
        key="",
        kind="finetune",
        mixture=mixture,
        size=size,
        examples=examples,
        epochs=study.recipe.schedule.epochs,
        seed=seed,
        subset=subset,
        trunk=trunk.key if trunk else None,
        pretraining_examples=trunk.examples if trunk else 0,
        **plan_cost(study, size, len(study.classes), examples, pretraining=False),
    )
    return replace(run, key=digest(fixed | run.own_fields()))
