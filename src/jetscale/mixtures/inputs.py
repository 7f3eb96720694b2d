"""The examples a study reads: shard folders made or checked, and the streams planned from them.

Simulated shards are named by what decides their content, so two studies with the same source share
them and a finished folder is never made again.
"""

from collections.abc import Mapping
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
from jetscale.jets.schema import part_named
from jetscale.jets.shards import open_shards
from jetscale.mixtures.declared import Progress as Progress
from jetscale.mixtures.declared import ensure_declared
from jetscale.mixtures.stream import Source, StreamPlan, open_stream
from jetscale.plan.cost import pretraining_examples
from jetscale.plan.identity import part_pools
from jetscale.study import Declared, Folders, Mixture, Simulated, Study


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

    Raises:
        DataError: A folder has another role or corpus than the study uses it for, too few examples,
            or is damaged; or a declared simulator fails.
        MissingExtra: Jets must be simulated and the simulation packages are not installed.
    """
    source = study.source
    if isinstance(source, Folders):
        return given_folders(study, source)
    if isinstance(source, Declared):
        return ensure_declared(study, source, home, executor, progress)
    requests = shard_requests(study, source)
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
    """Folders of a study by role and part, checked for role, corpus, columns and number.

    Raises:
        DataError: One of them does not fit the study, or is damaged.
        StudyError: A part is unknown or has nothing to tell apart.
    """
    recipe, folders = study.recipe, {}
    parts = {
        name: part for mixture in study.pretrained for name, part in study.parts(mixture).items()
    }
    schema = source.schema
    needs = {
        "train": max(study.data_sizes),
        "validation": recipe.evaluation.validation_jets,
        "test": recipe.evaluation.test_jets,
    }
    found = [(role, role, source.open(role), need) for role, need in needs.items()]
    for part, need in part_pools(study).items():
        manifest = open_shards(Path(source.folder_of(part)), role="pretrain")
        found.append((f"pretrain-{part}", part, manifest, need))
    for name, what, manifest, need in found:
        where = str(manifest.folder)
        if manifest.schema != schema:
            raise DataError(
                f"{where} holds {manifest.schema.noun}s with other features than the training "
                f"folder {source.train}; a trunk needs the same inputs before and after"
            )
        schema.check_columns(manifest.columns, recipe.data.features, where)
        rows = manifest.rows
        if name != what:
            wanted = parts[what]
            if manifest.corpus != wanted.corpus:
                raise DataError(
                    f"{where}: corpus is {manifest.corpus!r}, part {what!r} needs "
                    f"{wanted.corpus!r}; use another folder, or a name of your own for the part"
                )
            rows = sum(manifest.label_counts.get(label, 0) for label in wanted.labels)
        if rows < need:
            raise DataError(
                f"study {study.name!r} takes {need} {what} {schema.noun}s, {where} has {rows}; "
                f"lower the size in the sweep file or add {schema.noun}s"
            )
        folders[name] = manifest.folder
    return folders


def stream_plans(study: Study, shards: dict[str, Path]) -> list[StreamPlan]:
    """The streams of a study: train orders, validation, test, and one per pretrained mixture.

    Raises:
        DataError: A shard folder holds fewer jets than a stream takes.
    """
    data, evaluation = study.recipe.data, study.recipe.evaluation

    def plan(
        name: str, order: str, rows: int, labels: tuple[str, ...], sources: dict[str, Source]
    ) -> StreamPlan:
        return StreamPlan(
            name=name,
            sources=sources,
            rows=rows,
            labels=labels,
            features=data.features,
            constituents=data.constituents,
            scale_pt=data.scale_pt,
            seed=int(digest([data.stream_seed, order])[:8], 16),
        )

    classes, largest = study.classes, max(study.data_sizes)
    sizes = {f"train-{i}": ("train", largest) for i in range(study.subsets)}
    sizes["validation"] = ("validation", evaluation.validation_jets)
    sizes["test"] = ("test", evaluation.test_jets)
    plans = []
    for name, (role, rows) in sizes.items():
        sources = {role: Source(folder=shards[role], labels=classes, weight=1.0)}
        plans.append(plan(name, name, rows, classes, sources))
    for mixture in study.pretrained:
        parts = study.parts(mixture)
        sources = {
            part: Source(
                folder=shards[f"pretrain-{part}"], labels=parts[part].labels, weight=weight
            )
            for part, weight in mixture.parts.items()
            if f"pretrain-{part}" in shards  # a tiny weight may be less than one jet
        }
        # one order for all mixtures: two that share a part draw the same jets of it
        labels, rows = study.labels(mixture), data.pretraining_pool
        plans.append(plan(pretraining_stream(mixture), "pretrain", rows, labels, sources))
    return plans


def pretraining_stream(mixture: Mixture) -> str:
    """Name of the stream a mixture is pretrained on."""
    return f"pretrain-{mixture.name}"


def check_budgets(study: Study, streams: Mapping[str, Path]) -> None:
    """Refuse an equal-FLOPs budget that some mixture cannot spend, before any model is trained.

    Raises:
        StudyError: The jets of a mixture are too small.
    """
    if study.recipe.data.pretraining_budget == "jets":
        return
    for mixture in study.pretrained:
        blocks = open_stream(streams[pretraining_stream(mixture)]).iter_blocks()
        lengths = np.concatenate([block.lengths for block in blocks])
        classes = len(study.labels(mixture))
        for size in study.ladder:
            pretraining_examples(study, mixture, size, lengths, classes)
