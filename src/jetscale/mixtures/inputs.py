"""The examples a study reads: shard folders made or checked, and the streams planned from them.

Simulated shards are named by their content: studies share them and none is made twice.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from jetscale.digests import digest
from jetscale.errors import DataError
from jetscale.executor import Executor
from jetscale.jets import generator
from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.production.production import check_packages, make_overlays, simulate_shards
from jetscale.jets.schema import part_named
from jetscale.jets.shards import open_shards
from jetscale.jets.shards.manifest import check_roles
from jetscale.mixtures import declared
from jetscale.mixtures.declared import DeclaredRequest, Progress
from jetscale.mixtures.quota import shards_wanted
from jetscale.mixtures.stream import Source, StreamPlan
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
    return [
        ShardRequest(
            role=role,
            part=part,
            jets=jets,
            seed=source.seed,
            conditions=source.pretraining if part else source.downstream,
        )
        for _, role, part, jets in shards_wanted(study, source.train_jets)
    ]


def jets_to_simulate(study: Study, home: Path | None = None) -> int:
    """How many jets a study simulates, those that lie in a results folder left out."""
    if not isinstance(study.source, Simulated):
        return 0
    requests = shard_requests(study, study.source)
    return sum(r.jets for r in requests if home is None or not r.folder(home).is_dir())


def ensure_shards(
    study: Study, home: Path, executor: Executor, progress: Progress
) -> dict[str, Path]:
    """Shard folder of every role (``train``...) and pretraining part (``pretrain-qcd``...).

    Raises DataError where a folder has another role or corpus, too few examples or damage, or a
    declared simulator fails; MissingExtra without the packages to simulate with; SweepError where a
    process died.
    """
    requests: list[ShardRequest] | list[DeclaredRequest]
    if isinstance(study.source, Folders):
        return given_folders(study, study.source)
    if isinstance(study.source, Declared):
        requests = declared.declared_requests(study, study.source)
        if missing := [r for r in requests if not r.folder(home).is_dir()]:
            declared.call_simulators(missing, home, executor, progress)
    else:
        requests = shard_requests(study, study.source)
        if absent := [r for r in requests if not r.folder(home).is_dir()]:
            _simulate(absent, home, executor, progress)
    for request in requests:
        open_shards(request.folder(home), role=request.role)
    return _told_apart(study, {request.name: request.folder(home) for request in requests})


def shard_folders(study: Study, home: Path) -> list[Path]:
    """The folders that `ensure_shards` makes where they are not there; none that are given."""
    if isinstance(study.source, Folders):
        return []
    if isinstance(study.source, Declared):
        return [r.folder(home) for r in declared.declared_requests(study, study.source)]
    return [request.folder(home) for request in shard_requests(study, study.source)]


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

    Raises DataError for one that does not fit or is damaged, StudyError for an unknown part.
    """
    parts = {name: part for m in study.pretrained for name, part in study.parts(m).items()}
    schema, folders = source.schema, {}
    wanted = shards_wanted(study, max(study.data_sizes))
    manifests = [
        open_shards(Path(source.folder_of(part)), role=role) if part else source.open(role)
        for _, role, part, _ in wanted
    ]
    check_roles(manifests)
    sizes = {"train": "data_sizes", "pretrain": "pretraining_jets or the weight of the part"}
    sizes |= {role: f"{role}_jets" for role in ("validation", "test")}
    for (name, role, part, need), manifest in zip(wanted, manifests, strict=True):
        where, rows = manifest.folder, manifest.rows
        if manifest.schema != schema:
            raise DataError(
                f"{where} holds {manifest.schema.noun}s with other features than the training "
                f"folder {source.train}; a trunk needs the same inputs before and after"
            )
        schema.check_columns(manifest.columns, study.recipe.data.features, str(where))
        if part:
            if manifest.corpus != parts[part].corpus:
                raise DataError(
                    f"{where}: corpus is {manifest.corpus!r}, part {part!r} needs "
                    f"{parts[part].corpus!r}; use another folder, or a name of your own for the "
                    "part"
                )
            rows = sum(manifest.label_counts.get(label, 0) for label in parts[part].labels)
        if rows < need:
            raise DataError(
                f"study {study.name!r} takes {need} {part or name} {schema.noun}s, {where} has "
                f"{rows}; lower {sizes[role]} in the sweep file or add {schema.noun}s"
            )
        folders[name] = where
    return _told_apart(study, folders)


def _told_apart(study: Study, folders: dict[str, Path]) -> dict[str, Path]:
    """The folders; DataError where the examples that are trained on turn out to be of one class."""
    present = {name: set(open_shards(folder).present) for name, folder in folders.items()}
    found = {"training pool": present["train"]}
    for mixture in study.pretrained if study.needs_labels else ():
        parts = study.parts(mixture).values()
        labels = (present.get(f"pretrain-{part.name}", set()) & set(part.labels) for part in parts)
        found[f"mixture {mixture.name!r}"] = set().union(*labels)
    for what in (name for name, classes in found.items() if len(classes) < 2):
        raise DataError(
            f"study {study.name!r}: the {study.noun}s of its {what} are all of {found[what]}, so "
            "there is nothing to tell apart; take two classes or more"
        )
    return folders


def stream_plans(study: Study, shards: dict[str, Path]) -> list[StreamPlan]:
    """The streams of a study: train orders, validation, test, and one per pretrained mixture."""
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
            part: Source(folder=folder, labels=parts[part].labels, weight=weight)
            for part, weight in mixture.parts.items()
            # a tiny weight may be less than one jet
            if (folder := shards.get(f"pretrain-{part}"))
        }
        # one order for all mixtures: two that share a part draw the same jets of it
        labels, rows = study.labels(mixture), data.pretraining_pool
        plans.append(plan(pretraining_stream(mixture), "pretrain", rows, labels, sources))
    return plans


def pretraining_stream(mixture: Mixture) -> str:
    """Name of the stream a mixture is pretrained on."""
    return f"pretrain-{mixture.name}"
