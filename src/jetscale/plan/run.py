"""From a study to the runs it takes: runs, their exact cost, and trials that pack them.

A run is one training run. Pretraining runs come first: a fine-tuning run starts from the trunk
of the pretraining run with the same mixture, size and seed. Runs of one such chain stay together;
a trial is a list of chains that one worker group runs one after another, because starting a group
takes half a minute and a small run takes seconds.

Neither torch nor Ray is needed to plan.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import ceil
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jetscale.digests import digest
from jetscale.errors import StudyError
from jetscale.jets.schema import JETCLASS2, JETS
from jetscale.jets.shards import open_shards
from jetscale.mixtures.quota import quotas
from jetscale.models.transformer import flops
from jetscale.study import Declared, Folders, Mixture, ModelSize, Study
from jetscale.words import short

ARCHITECTURE = "pre-norm transformer, RMSNorm, SwiGLU, mean and attention pooling, version 1"
DATA_VERSION = 3  # raised when the simulation makes other jets from the same seed

Kind = Literal["pretrain", "finetune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run, with everything that decides its result and what it will cost."""

    key: str
    kind: Kind
    mixture: Mixture
    size: ModelSize
    examples: int
    """Distinct jets D."""
    epochs: int
    seed: int
    subset: int
    trunk: str | None
    """Key of the pretraining run this one starts from."""
    params: int
    params_non_embedding: int
    steps: int
    flops: float
    """Expected training FLOPs; the record holds the exact number."""

    @property
    def name(self) -> str:
        """For people, never parsed: ``qcd+bsm N=20.6k D=4000 seed 1``."""
        kind = "pretrain " if self.kind == "pretrain" else ""
        return (
            f"{kind}{self.mixture.name} N={short(self.params)} D={self.examples} seed {self.seed}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Runs that one worker group runs in this order."""

    name: str
    runs: tuple[Run, ...]


@lru_cache
def expected_constituents(
    limit: int,
    typical: float = JETS.typical_length,
    spread: float = JETS.length_spread,
) -> tuple[float, float]:
    """Mean of n and of n^2 for examples cut to ``limit`` constituents.

    From a log-normal multiplicity with median ``typical`` and width ``spread``, which describes
    JetClass-like jets; exact sums replace it once the streams exist.
    """
    quantiles = (np.arange(2000) + 0.5) / 2000
    deviations = np.array([NormalDist().inv_cdf(q) for q in quantiles])
    n = np.clip(typical * np.exp(spread * deviations), 1, limit)
    return float(n.mean()), float((n**2).mean())


def _expected(study: Study) -> tuple[float, float]:
    schema = study.schema
    limit = study.recipe.data.constituents
    return expected_constituents(limit, schema.typical_length, schema.length_spread)


def plan_runs(study: Study) -> tuple[Run, ...]:
    """All runs of a study: pretraining first within each chain, then data sizes in order."""
    fixed = {
        "architecture": ARCHITECTURE,
        "controls": study.recipe.to_dict(),
        "source": source_identity(study),
    }
    out: list[Run] = []
    for mixture in study.mixtures:
        known = fixed | {"pretraining": pretraining_identity(study, mixture)}
        labels = len(study.labels(mixture))
        for size in study.ladder:
            for seed, subset in study.replicates():
                trunk = None
                if not mixture.is_scratch:
                    out.append(_pretraining_run(study, known, mixture, size, seed, labels))
                    trunk = out[-1].key
                for examples in sorted(study.data_sizes):
                    run = _finetuning_run(study, known, mixture, size, seed, subset, examples)
                    out.append(replace(run, trunk=trunk))
    return tuple(out)


def source_identity(study: Study) -> dict[str, Any]:
    """What decides the downstream jets: generator settings, or the content of the shard folders."""
    source = study.source
    if isinstance(source, Folders):
        return {role: source.open(role).digest for role in ("train", "validation", "test")}
    if isinstance(source, Declared):
        return {
            "declared": digest(source.downstream.identity),
            "corpus": source.downstream.name,
            "train_examples": source.train_examples,
            "seed": source.seed,
        }
    plain = asdict(source)
    del plain["pretraining"]  # decides what a mixture is, not what it is compared on
    return {"simulated": DATA_VERSION, **plain}


def pretraining_identity(study: Study, mixture: Mixture) -> dict[str, Any]:
    """What decides the pretraining jets of a mixture, part by part."""
    source = study.source
    if isinstance(source, Folders):
        return {part: open_shards(Path(source.folder_of(part))).digest for part in mixture.parts}
    pools = part_pools(study)
    if isinstance(source, Declared):
        made = {part: digest(source.corpus_of(part).identity) for part in mixture.parts}
        return {part: {"jets": pools.get(part, 0), "declared": made[part]} for part in made}
    conditions = asdict(source.pretraining)
    return {part: {"jets": pools.get(part, 0), **conditions} for part in mixture.parts}


def part_pools(study: Study) -> dict[str, int]:
    """Jets to simulate of every part: the largest need of any mixture."""
    pools: dict[str, int] = {}
    for mixture in study.pretrained:
        for part, need in quotas(mixture.parts, study.recipe.data.pretraining_pool).items():
            pools[part] = max(pools.get(part, 0), need)
    return {part: need for part, need in sorted(pools.items()) if need}


def study_identity(study: Study) -> str:
    """Digest of what all mixtures of a study share; pretraining jets are in the keys of runs."""
    return digest([study.name, ARCHITECTURE, study.recipe.to_dict(), source_identity(study)])


def study_summary(study: Study) -> dict[str, Any]:
    """The grid of a study in plain values."""
    return {
        "mixtures": [mixture.name for mixture in study.mixtures],
        "model_sizes": [size.name for size in study.ladder],
        "data_sizes": list(study.data_sizes),
        "seeds": list(study.seeds),
        **{f"controls.{name}": value for name, value in study.recipe.to_dict().items()},
    }


def _pretraining_run(
    study: Study,
    fixed: dict[str, Any],
    mixture: Mixture,
    size: ModelSize,
    seed: int,
    classes: int,
) -> Run:
    recipe = study.recipe
    run = Run(
        key="",
        kind="pretrain",
        mixture=mixture,
        size=size,
        examples=recipe.data.pretraining_jets,
        epochs=recipe.schedule.pretraining_epochs,
        seed=seed,
        subset=0,
        trunk=None,
        **_cost(study, size, classes, recipe.data.pretraining_jets, "pretrain"),
    )
    return replace(run, key=_key(fixed, run))


def _finetuning_run(
    study: Study,
    fixed: dict[str, Any],
    mixture: Mixture,
    size: ModelSize,
    seed: int,
    subset: int,
    examples: int,
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
        trunk=None,
        **_cost(study, size, len(study.classes), examples, "finetune"),
    )
    return replace(run, key=_key(fixed, run))


def _key(fixed: dict[str, Any], run: Run) -> str:
    """Hash of the semantic fields; costs are derived and stay out."""
    semantic = {
        "kind": run.kind,
        "mixture": {"name": run.mixture.name, "parts": dict(run.mixture.parts)},
        "size": asdict(run.size),
        "examples": run.examples,
        "seed": run.seed,
        "subset": run.subset,
    }
    return digest(fixed | semantic)


def _cost(study: Study, size: ModelSize, classes: int, examples: int, kind: Kind) -> dict[str, Any]:
    recipe = study.recipe
    epochs = recipe.schedule.pretraining_epochs if kind == "pretrain" else recipe.schedule.epochs
    features = len(study.features)
    count = flops.parameters(size, features, classes)
    mean, mean_square = _expected(study)
    seen = examples * epochs
    return {
        "params": count.total,
        "params_non_embedding": count.non_embedding,
        "steps": epochs * ceil(examples / recipe.schedule.batch_size),
        "flops": flops.training_flops(
            size,
            features,
            classes,
            jets=seen,
            constituents=round(seen * mean),
            constituents_squared=round(seen * mean_square),
        ),
    }


def pretraining_examples(
    study: Study, mixture: Mixture, size: ModelSize, lengths: NDArray[np.int64], classes: int
) -> int:
    """Jets a pretraining run uses of a stream of ``classes`` whose jets have ``lengths`` tokens.

    Raises
    ------
    StudyError
        The FLOPs of the whole stream are fewer than the budget.
    """
    recipe = study.recipe
    if recipe.data.pretraining_budget == "jets":
        return recipe.data.pretraining_jets
    shape = (size, len(study.features))
    mean, mean_square = _expected(study)
    jets = recipe.data.pretraining_jets
    # of a typical jet and the whole corpus, so that no mixture enters its own budget
    budget = flops.training_flops(
        *shape,
        len(JETCLASS2),
        jets=jets,
        constituents=round(jets * mean),
        constituents_squared=round(jets * mean_square),
    )
    spent = flops.cumulative_training_flops(*shape, classes, lengths)
    if spent[-1] < budget:
        raise StudyError(
            f"mixture {mixture.name!r}: its {len(lengths)} pretraining jets are small and cost "
            f"{spent[-1] / budget:.2f} of the common FLOPs; use pretraining_budget 'jets'"
        )
    return int(np.searchsorted(spent, budget, side="right"))


def seconds(run: Run) -> float:
    """Expected seconds of one CPU core, evaluation included; measured constants, good to 30%.

    A step of a tiny model is bound by the number of operations, not by their size, hence a cost
    per step and layer beside the cost per FLOP.
    """
    overhead = run.steps * (1.1e-3 + 0.9e-3 * run.size.layers)
    return overhead + run.flops / 12e9 + 0.4


def chains(todo: Iterable[Run]) -> list[list[Run]]:
    """Runs grouped by what must run in order: mixture, size and seed."""
    groups: dict[tuple[str, ModelSize, int], list[Run]] = {}
    for run in todo:
        groups.setdefault((run.mixture.name, run.size, run.seed), []).append(run)
    return list(groups.values())


def pack(
    todo: Sequence[Run],
    slots: int,
    *,
    longest: float = 1800.0,
    cost: Callable[[Run], float] = seconds,
) -> tuple[Trial, ...]:
    """Trials of similar length: longest chain first, each to the shortest trial so far.

    Parameters
    ----------
    todo
        Runs to run, trunks before the runs that need them.
    slots
        Trials that can run at the same time; the number of trials is a multiple of it where there
        are enough chains.
    longest
        Target for the length of a trial in seconds of one slot.
    """
    groups = sorted(chains(todo), key=lambda chain: -sum(map(cost, chain)))
    if not groups:
        return ()
    waves = max(1, ceil(sum(map(cost, todo)) / (longest * slots)))
    bins: list[list[Run]] = [[] for _ in range(min(len(groups), waves * slots))]
    loads = [0.0] * len(bins)
    for chain in groups:
        shortest = loads.index(min(loads))
        bins[shortest] += chain
        loads[shortest] += sum(map(cost, chain))
    return tuple(
        Trial(name=f"trial-{digest([run.key for run in chosen])[:8]}", runs=tuple(chosen))
        for chosen in bins
    )
