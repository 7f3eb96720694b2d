"""Shards of declared corpora: calls of users' functions, here or in other processes.

A request is one shard folder. It is cut into calls of a fixed number of examples, each with a seed
of its own, so the examples do not depend on how many processes make them. A folder is named by what
decides its content, and a finished one is never made again.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from jetscale.digests import digest
from jetscale.executor import Executor
from jetscale.jets.shards import open_shards, write_shards
from jetscale.plan.identity import part_pools
from jetscale.study import Corpus, Declared, Study

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and how much in all."""

Call = tuple[Corpus, tuple[str, ...], int, int]
"""Corpus, classes, rows and seed of one call of a simulator."""

ROWS_PER_CALL = 5_000
"""Examples that a simulator makes in one call."""


def ensure_declared(
    study: Study, source: Declared, home: Path, executor: Executor, progress: Progress
) -> dict[str, Path]:
    """Shard folder of every role and pretraining part; what is not there is made.

    Raises:
        DataError: A simulator fails or does not make what it should, or a folder is damaged.
        SweepError: A process died.
    """
    requests = declared_requests(study, source)
    missing = [request for request in requests if not request.folder(home).is_dir()]
    if missing:
        call_simulators(missing, home, executor, progress)
    for request in requests:
        open_shards(request.folder(home), role=request.role)
    return {request.name: request.folder(home) for request in requests}


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

    def calls(self) -> Iterator[Call]:
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
    downstream = [
        DeclaredRequest(
            name=role,
            role=role,
            corpus=source.downstream,
            classes=source.classes,
            rows=number,
            seed=source.seed,
        )
        for role, number in rows.items()
    ]
    pretraining = [
        DeclaredRequest(
            name=f"pretrain-{part}",
            role="pretrain",
            corpus=source.corpus_of(part),
            classes=source.part(part).labels,
            rows=number,
            seed=source.seed,
        )
        for part, number in part_pools(study).items()
    ]
    return downstream + pretraining


def call_simulators(
    requests: list[DeclaredRequest], home: Path, executor: Executor, progress: Progress
) -> None:
    """Make shards by calling users' functions."""
    calls = [call for request in requests for call in request.calls()]
    total, made = sum(request.rows for request in requests), 0
    what = f"simulating {requests[0].corpus.noun}s"
    progress(what, 0, total)
    with closing(_in_order(executor, calls)) as tables:

        def of_request(request: DeclaredRequest) -> Iterator[pa.Table]:
            nonlocal made
            for table in islice(tables, sum(1 for _ in request.calls())):
                yield table
                made += table.num_rows
                progress(what, made, total)

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


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A call and its place among all."""

    number: int
    call: Call

    def __str__(self) -> str:
        return f"simulation of {self.call[0].name!r}, call {self.number}"


def _in_order(executor: Executor, calls: list[Call]) -> Generator[pa.Table, None, None]:
    """The tables of all calls in the order of the calls; those that come early wait."""
    early: dict[int, pa.Table] = {}
    items = [_Numbered(number, call) for number, call in enumerate(calls)]
    expected = 0
    with closing(executor.map(_make_numbered, items)) as results:
        for number, table in results:
            early[number] = table
            while expected in early:
                yield early.pop(expected)
                expected += 1


def _make_numbered(item: _Numbered) -> tuple[int, pa.Table]:
    return item.number, make_table(item.call)


def make_table(call: Call) -> pa.Table:
    """The examples of one call of a declared simulator."""
    corpus, classes, rows, seed = call
    return pa.concat_tables(list(corpus.make(classes, rows, seed)))
