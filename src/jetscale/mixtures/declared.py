"""Shards of declared corpora: calls of users' functions, here or in other processes.

A request, one shard folder, is cut into calls of a fixed number of examples, each with a seed of
its own, so the examples do not depend on how many processes make them.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from jetscale.digests import digest
from jetscale.errors import DataError
from jetscale.executor import Executor
from jetscale.jets.shards import write_shards
from jetscale.mixtures.quota import shards_wanted
from jetscale.study import Corpus, Declared, Study

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and how much in all."""

ROWS_PER_CALL = 5_000  # examples that a simulator makes in one call
PROBED = 16  # examples that are made twice, to see whether a simulator follows its seed


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a simulator, and its place among all."""

    corpus: Corpus
    classes: tuple[str, ...]
    rows: int
    seed: int
    number: int

    def __str__(self) -> str:
        return f"simulation of {self.corpus.name!r}, call {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRequest:
    """One shard folder to be made by a declared simulator."""

    name: str  # ``train`` or ``pretrain-PART``
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
        name = f"{self.role}-{self.corpus.name}-{digest([self.identity, self.rows])}"
        return home / "shards" / name

    def calls(self) -> Iterator[Call]:
        """The calls of the simulator."""
        for number, first in enumerate(range(0, self.rows, ROWS_PER_CALL)):
            rows = min(ROWS_PER_CALL, self.rows - first)
            # no seed serves two roles, parts or calls: they must not share examples
            seed = int(digest([self.identity, number])[:15], 16)
            yield Call(self.corpus, self.classes, rows, seed, number)


def declared_requests(study: Study, source: Declared) -> list[DeclaredRequest]:
    """What the simulators must make: three downstream roles, and the largest need of every part."""
    return [
        DeclaredRequest(
            name=name,
            role=role,
            corpus=source.corpus_of(part) if part else source.downstream,
            classes=source.part(part).labels if part else source.classes,
            rows=rows,
            seed=source.seed,
        )
        for name, role, part, rows in shards_wanted(study, source.train_examples)
    ]


def call_simulators(
    requests: list[DeclaredRequest], home: Path, executor: Executor, progress: Progress
) -> None:
    """Make shards by calling users' functions.

    Raises DataError where one does not make what it should, or not the same again, SweepError where
    a process died.
    """
    _check_repeatable(requests, executor)
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


def _check_repeatable(requests: list[DeclaredRequest], executor: Executor) -> None:
    """Raise DataError where a simulator, called twice alike, makes different examples."""
    first = {request.corpus.name: next(request.calls()) for request in requests}
    probes = [replace(call, rows=min(call.rows, PROBED)) for call in first.values()]
    with closing(_in_order(executor, [probe for probe in probes for _ in range(2)])) as tables:
        for probe, one, other in zip(probes, tables, tables, strict=False):  # two by two
            if not one.equals(other):
                raise DataError(
                    f"simulator of {probe.corpus.name!r}: a second call with seed {probe.seed} "
                    f"made other {probe.corpus.noun}s; take all random numbers from the seed"
                )


def _in_order(executor: Executor, calls: list[Call]) -> Generator[pa.Table, None, None]:
    """The tables of all calls in the order of the calls; those that come early wait."""
    early: dict[int, pa.Table] = {}
    expected = 0
    numbered = [replace(call, number=number) for number, call in enumerate(calls)]
    with closing(executor.map(_make_table, numbered)) as results:
        for number, table in results:
            early[number] = table
            while expected in early:
                yield early.pop(expected)
                expected += 1


def _make_table(call: Call) -> tuple[int, pa.Table]:
    tables = call.corpus.make(call.classes, call.rows, call.seed)
    return call.number, pa.concat_tables(list(tables))
