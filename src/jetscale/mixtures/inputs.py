"""The examples a study reads: shard folders made or checked, and the streams planned from them.

Simulated shards are named by what decides their content, so two studies with the same source share
them and a finished folder is never made again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

from jetscale.digests import digest
from jetscale.errors import DataError, SweepError
from jetscale.jets import generator
from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.production.production import check_packages
from jetscale.jets.production.simulation import simulate_shards
from jetscale.jets.production.workers import simulation_workers
from jetscale.jets.schema import part_named
from jetscale.jets.shards import open_shards, write_shards
from jetscale.mixtures.stream import Source, StreamPlan, open_stream
from jetscale.plan.cost import pretraining_examples
from jetscale.plan.identity import part_pools
from jetscale.study import Corpus, Declared, Folders, Mixture, Simulated, Study

Progress = Callable[[str, int, int], None]  # what, done, total

ROWS_PER_CALL = 5_000
"""Examples that a declared simulator makes in one call; decides their seeds, not the workers do."""


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


def ensure_shards(study: Study, home: Path, workers: int, progress: Progress) -> dict[str, Path]:
    """Shard folder of every role (``train``...) and pretraining part (``pretrain-qcd``...).

    Raises
    ------
    DataError
        A folder has another role or corpus than the study uses it for, too few examples, or is
        damaged; or a declared simulator fails.
    MissingExtra
        Jets must be simulated and the simulation packages are not installed.
    """
    source = study.source
    if isinstance(source, Folders):
        return given_folders(study, source)
    requests: Sequence[ShardRequest | DeclaredRequest]
    if isinstance(source, Declared):
        requests = declared_requests(study, source)
        absent = [request for request in requests if not request.folder(home).is_dir()]
        if absent:
            _call_simulators(absent, home, workers, progress)
    else:
        requests = shard_requests(study, source)
        missing = [request for request in requests if not request.folder(home).is_dir()]
        if missing:
            _simulate(missing, home, workers, progress)
    folders = {request.name: request.folder(home) for request in requests}
    for request in requests:
        open_shards(folders[request.name], role=request.role)
    return folders


def _simulate(requests: list[ShardRequest], home: Path, workers: int, progress: Progress) -> None:
    """Make jets with Pythia, all requests on the same worker processes."""
    total, made = sum(request.jets for request in requests), 0
    check_packages()

    def report(before: int, done: int, _wanted: int) -> None:
        progress("simulating jets", before + done, total)

    with simulation_workers(workers) as shared:
        for request in requests:
            shared.start_overlay(request.seed, request.role, request.conditions)
        for request in requests:
            simulate_shards(
                request.folder(home),
                corpus="jetclass2" if request.part else "jetclass",
                role=request.role,
                part=request.part,
                jets=request.jets,
                seed=request.seed,
                workers=workers,
                conditions=request.conditions,
                shared=shared,
                progress=partial(report, made),
            )
            made += request.jets


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRequest:
    """One shard folder to be made by a declared simulator."""

    name: str
    """``train`` or ``pretrain-PART``."""
    role: str
    corpus: Corpus
    classes: tuple[str, ...]
    rows: int
    seed: int

    @property
    def identity(self) -> str:
        """Digest of what decides the examples, the number of them left out."""
        return digest([self.corpus.identity, self.role, self.classes, self.seed, ROWS_PER_CALL])

    def folder(self, home: Path) -> Path:
        """Where the shards live: named by content."""
        return (
            home / "shards" / f"{self.role}-{self.corpus.name}-{digest([self.identity, self.rows])}"
        )

    def calls(self) -> Iterator[tuple[Corpus, tuple[str, ...], int, int]]:
        """Corpus, classes, rows and seed of every call of the simulator."""
        for call, first in enumerate(range(0, self.rows, ROWS_PER_CALL)):
            # no seed serves two roles, parts or calls: they must not share examples
            seed = int(digest([self.identity, call])[:15], 16)
            yield self.corpus, self.classes, min(ROWS_PER_CALL, self.rows - first), seed


def declared_requests(study: Study, source: Declared) -> list[DeclaredRequest]:
    """What the simulators must make: three downstream roles, and the largest need of every part."""
    evaluation = study.recipe.evaluation
    rows = {
        "train": source.train_examples,
        "validation": evaluation.validation_jets,
        "test": evaluation.test_jets,
    }
    wanted = [
        (role, role, source.downstream, source.classes, number) for role, number in rows.items()
    ]
    wanted += [
        (
            f"pretrain-{part}",
            "pretrain",
            source.corpus_of(part),
            source.part(part).labels,
            number,
        )
        for part, number in part_pools(study).items()
    ]
    return [
        DeclaredRequest(
            name=name, role=role, corpus=corpus, classes=classes, rows=number, seed=source.seed
        )
        for name, role, corpus, classes, number in wanted
    ]


def _call_simulators(
    requests: list[DeclaredRequest], home: Path, workers: int, progress: Progress
) -> None:
    """Make shards by calling users' functions, in other processes where there is enough to do."""
    calls = [call for request in requests for call in request.calls()]
    total, made = sum(request.rows for request in requests), 0
    what = f"simulating {requests[0].corpus.noun}s"
    progress(what, 0, total)
    with ProcessPoolExecutor(min(workers, len(calls)), mp_context=get_context("spawn")) as pool:
        tables = pool.map(_call, calls) if workers > 1 and len(calls) > 1 else map(_call, calls)

        def of_request(request: DeclaredRequest) -> Iterator[pa.Table]:
            nonlocal made
            for table in islice(tables, sum(1 for _ in request.calls())):
                yield table
                made += table.num_rows
                progress(what, made, total)

        try:
            for request in requests:
                write_shards(
                    request.folder(home),
                    of_request(request),
                    corpus=request.corpus.name,
                    role=request.role,
                    classes=request.corpus.classes,
                    schema=request.corpus.schema,
                    provenance={"seed": request.seed, **request.corpus.identity},
                )
        except BrokenProcessPool as error:
            raise SweepError(f"{what}: a process died; try fewer workers or rows") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is not begun need not be made


def _call(call: tuple[Corpus, tuple[str, ...], int, int]) -> pa.Table:
    """The examples of one call of a declared simulator."""
    corpus, classes, rows, seed = call
    return pa.concat_tables(list(corpus.make(classes, rows, seed)))


def given_folders(study: Study, source: Folders) -> dict[str, Path]:
    """Folders of a study by role and part, checked for role, corpus, columns and number.

    Raises
    ------
    DataError
        One of them does not fit the study, or is damaged.
    """
    recipe, folders = study.recipe, {}
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
            wanted = source.part(what)
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
    classes = study.classes
    plans = [
        StreamPlan(
            name=name,
            sources={role: Source(folder=shards[role], labels=classes, weight=1.0)},
            rows=rows,
            labels=classes,
            features=recipe.data.features,
            constituents=recipe.data.constituents,
            scale_pt=recipe.data.scale_pt,
            seed=_order_seed(study, name),
        )
        for name, (role, rows) in sizes.items()
    ]
    return plans + [_mixture_plan(study, mixture, shards) for mixture in study.pretrained]


def _mixture_plan(study: Study, mixture: Mixture, shards: dict[str, Path]) -> StreamPlan:
    parts = study.parts(mixture)
    return StreamPlan(
        name=pretraining_stream(mixture),
        sources={
            part: Source(
                folder=shards[f"pretrain-{part}"], labels=parts[part].labels, weight=weight
            )
            for part, weight in mixture.parts.items()
            if f"pretrain-{part}" in shards  # a tiny weight may be less than one jet
        },
        rows=study.recipe.data.pretraining_pool,
        labels=study.labels(mixture),
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
        classes = len(study.labels(mixture))
        for size in study.ladder:
            pretraining_examples(study, mixture, size, lengths, classes)
