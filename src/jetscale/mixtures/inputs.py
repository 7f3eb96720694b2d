"""The jets a study reads: shard folders made or checked, and the streams planned from them.

Simulated shards are named by what decides their content, so two studies with the same source share
them and a finished folder is never made again.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from jetscale.digests import digest
from jetscale.errors import DataError
from jetscale.executor import Executor
from jetscale.jets import generator
from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.production.production import check_packages, make_overlays
from jetscale.jets.production.simulation import simulate_shards
from jetscale.jets.schema import check_columns, part_named
from jetscale.jets.shards import open_shards
from jetscale.mixtures.stream import Source, StreamPlan, open_stream
from jetscale.plan.cost import pretraining_examples
from jetscale.plan.identity import part_pools
from jetscale.study import Folders, Mixture, Simulated, Study

Progress = Callable[[str, int, int], None]  # what, done, total


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRequest:
    """One simulated shard folder: a role of the downstream corpus, or a pretraining part."""

    role: str
    part: str | None
    jets: int
    seed: int
    conditions: Conditions

    @property
    def name(self) -> str:
        """``train`` or ``pretrain-qcd``."""
        return f"{self.role}-{self.part}" if self.part else self.role

    def folder(self, home: Path) -> Path:
        """Where the shards live: named by content."""
        what = [self.role, self.part, self.jets, self.seed, asdict(self.conditions)]
        identity = digest([generator.VERSION, *what])
        slug = f"{self.role}-{part_named(self.part).slug}" if self.part else self.role
        return home / "shards" / f"{slug}-{identity}"


def shard_requests(study: Study, source: Simulated) -> list[ShardRequest]:
    """What must be simulated: three downstream roles, and the largest need of every part."""
    recipe = study.recipe
    jets = {
        "train": source.train_jets,
        "validation": recipe.evaluation.validation_jets,
        "test": recipe.evaluation.test_jets,
    }
    requests = [
        ShardRequest(
            role=role, part=None, jets=number, seed=source.seed, conditions=source.downstream
        )
        for role, number in jets.items()
    ]
    requests += [
        ShardRequest(
            role="pretrain",
            part=part,
            jets=number,
            seed=source.seed,
            conditions=source.pretraining,
        )
        for part, number in part_pools(study).items()
    ]
    return requests


def ensure_shards(
    study: Study, home: Path, executor: Executor, progress: Progress
) -> dict[str, Path]:
    """Shard folder of every role (``train``...) and pretraining part (``pretrain-qcd``...).

    Raises
    ------
    DataError
        A folder has another role or corpus than the study uses it for, too few jets, or is damaged.
    MissingExtra
        Jets must be simulated and the simulation packages are not installed.
    """
    if isinstance(study.source, Folders):
        return given_folders(study, study.source)
    requests = shard_requests(study, study.source)
    missing = [request for request in requests if not request.folder(home).is_dir()]
    if missing:
        _simulate(missing, home, executor, progress)
    folders = {request.name: request.folder(home) for request in requests}
    for request in requests:
        open_shards(folders[request.name], role=request.role)
    return folders


def _simulate(
    requests: list[ShardRequest], home: Path, executor: Executor, progress: Progress
) -> None:
    total, made = sum(request.jets for request in requests), 0
    check_packages()

    def report(done: int, wanted: int) -> None:
        progress("simulating jets", made + done, total)

    report(0, total)
    overlays = make_overlays(executor, {(r.seed, r.role, r.conditions.range) for r in requests})
    for request in requests:
        simulate_shards(
            request.folder(home),
            executor,
            corpus="jetclass2" if request.part else "jetclass",
            role=request.role,
            part=request.part,
            jets=request.jets,
            seed=request.seed,
            conditions=request.conditions,
            overlays=overlays,
            progress=report,
        )
        made += request.jets


def given_folders(study: Study, source: Folders) -> dict[str, Path]:
    """Folders of a study by role and part, checked for role, corpus, columns and number of jets.

    Raises
    ------
    DataError
        One of them does not fit the study, or is damaged.
    """
    recipe, folders = study.recipe, {}
    needs = {
        "train": max(study.data_sizes),
        "validation": recipe.evaluation.validation_jets,
        "test": recipe.evaluation.test_jets,
    }
    for role, need in needs.items():
        folders[role] = Path(getattr(source, role))
        manifest = open_shards(folders[role], role=role, corpus=source.corpus)
        check_columns(manifest.columns, recipe.data.features, str(manifest.folder))
        _check_enough(study, folders[role], manifest.rows, need, f"{role} jets")
    for part, need in part_pools(study).items():
        folder = folders[f"pretrain-{part}"] = Path(str(source.folder_of(part)))
        manifest = open_shards(folder, role="pretrain", corpus=part_named(part).corpus)
        check_columns(manifest.columns, recipe.data.features, str(manifest.folder))
        rows = sum(manifest.label_counts.get(label, 0) for label in part_named(part).labels)
        _check_enough(study, folder, rows, need, f"{part} jets")
    return folders


def _check_enough(study: Study, folder: Path, rows: int, need: int, what: str) -> None:
    if rows < need:
        raise DataError(
            f"study {study.name!r} takes {need} {what}, {folder} has {rows}; lower the size in the "
            "sweep file or add jets"
        )


def stream_plans(study: Study, shards: dict[str, Path]) -> list[StreamPlan]:
    """The streams of a study: train orders, validation, test, and one per pretrained mixture.

    Raises
    ------
    DataError
        A shard folder holds fewer jets than a stream takes.
    """
    recipe = study.recipe
    largest = max(study.data_sizes)
    sizes = {f"train-{i}": ("train", largest) for i in range(study.subsets)}
    sizes |= {
        "validation": ("validation", recipe.evaluation.validation_jets),
        "test": ("test", recipe.evaluation.test_jets),
    }
    plans = [
        StreamPlan(
            name=name,
            sources={role: Source(folder=shards[role], labels=study.classes, weight=1.0)},
            rows=rows,
            labels=study.classes,
            features=recipe.data.features,
            constituents=recipe.data.constituents,
            scale_pt=recipe.data.scale_pt,
            seed=_order_seed(study, name),
        )
        for name, (role, rows) in sizes.items()
    ]
    return plans + [_mixture_plan(study, mixture, shards) for mixture in study.pretrained]


def _mixture_plan(study: Study, mixture: Mixture, shards: dict[str, Path]) -> StreamPlan:
    return StreamPlan(
        name=pretraining_stream(mixture),
        sources={
            part: Source(
                folder=shards[f"pretrain-{part}"], labels=part_named(part).labels, weight=weight
            )
            for part, weight in mixture.parts.items()
            if f"pretrain-{part}" in shards  # a tiny weight may be less than one jet
        },
        rows=study.recipe.data.pretraining_pool,
        labels=mixture.labels,
        features=study.recipe.data.features,
        constituents=study.recipe.data.constituents,
        scale_pt=study.recipe.data.scale_pt,
        seed=_order_seed(study, "pretrain"),
    )


def pretraining_stream(mixture: Mixture) -> str:
    """Name of the stream a mixture is pretrained on."""
    return f"pretrain-{mixture.name}"


def _order_seed(study: Study, name: str) -> int:
    return int(digest([study.recipe.data.stream_seed, name])[:8], 16)


def check_budgets(study: Study, streams: Mapping[str, Path]) -> None:
    """Refuse an equal-FLOPs budget that some mixture cannot spend, before any model is trained.

    Raises
    ------
    StudyError
        The jets of a mixture are too small.
    """
    if study.recipe.data.pretraining_budget == "jets":
        return
    for mixture in study.pretrained:
        blocks = open_stream(streams[pretraining_stream(mixture)]).iter_blocks()
        lengths = np.concatenate([block.lengths for block in blocks])
        for size in study.ladder:
            pretraining_examples(study, mixture, size, lengths)
