"""Simulated data sets: many chunks in worker processes, joined into balanced tables.

A `Production` is one job: so many jets of one corpus (or part) for one role. Its tables hold at
most 10,000 jets each. Every table of ``jetclass`` has equally many jets of each class and, in every
class, equally many in each pT bin (see `jetscale.jets.production.spectrum`); the order is shuffled.
The same job gives the same bytes again, whatever the number of workers: chunks are used in their
own order, however they arrive.

Importing this module needs no optional package; running a job needs the extra ``simulate``.
"""

import hashlib
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.errors import DataError, MissingExtra, StudyError, SweepError, unknown
from jetscale.jets.generator.conditions import DEFAULT, Conditions
from jetscale.jets.generator.processes import family_of, process_named, sources_of
from jetscale.jets.generator.pythia import SoftPool
from jetscale.jets.generator.seeds import chunk_seed
from jetscale.jets.production import chunks, spectrum
from jetscale.jets.production.ordering import Source, batch_sizes, new_source
from jetscale.jets.production.workers import Workers, simulation_workers
from jetscale.jets.schema import JETCLASS, PARTS, ROLES, part_named

Progress = Callable[[int, int], None]

PACKAGES = ("pythia8mc", "fastjet", "awkward")


@dataclass(kw_only=True)
class Production:
    """A simulation job; make it with `produce`, read `tables` to the end, then `provenance`."""

    corpus: str
    role: str
    part: str | None
    jets: int
    seed: int
    workers: int
    conditions: Conditions = DEFAULT
    overlay_seconds: float = 0.0
    """CPU time of the soft events that all chunks share."""
    _sources: list[Source] = field(default_factory=list)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the chunks used and of the overlay, summed over workers."""
        return self.overlay_seconds + sum(source.cpu_seconds for source in self._sources)

    def tables(
        self, progress: Progress | None = None, workers: Workers | None = None
    ) -> Generator[pa.Table, None, None]:
        """Tables of at most 10,000 jets, ``jets`` in all; workers opened here end when it closes.

        Parameters
        ----------
        progress
            Called with the jets done and the jets wanted, after every chunk and every table.
        workers
            Processes shared with other jobs; None opens some for this one.

        Raises
        ------
        SweepError
            A worker died.
        """
        try:
            with nullcontext(workers) if workers else simulation_workers(self.workers) as shared:
                pool, self.overlay_seconds = shared.overlay(self.seed, self.role, self.conditions)
                report = progress or (lambda done, wanted: None)
                yield from self._tables(shared.executor, pool, report)
        except BrokenProcessPool:
            raise SweepError(
                f"a simulation worker died, perhaps for lack of memory; {self.workers} workers "
                "were running, try fewer"
            ) from None

    def _tables(
        self, executor: ProcessPoolExecutor, pool: SoftPool, progress: Progress
    ) -> Iterator[pa.Table]:
        names = sources_of(self.corpus, self.part)
        sizes = batch_sizes(self.jets, len(names))
        window = self.conditions.range
        self._sources = [new_source(name, sizes[:, i], window) for i, name in enumerate(names)]
        delivered = 0
        for number, batch in enumerate(sizes):
            for source, n in zip(self._sources, batch.tolist(), strict=True):
                source.quota = spectrum.quotas(n, window)
            while not all(source.ready for source in self._sources):
                self._start_chunks(executor, pool)
                self._use_chunks()
                progress(delivered + sum(s.progress for s in self._sources), self.jets)
            drawn = [source.stock.draw(source.quota) for source in self._sources]
            delivered += int(batch.sum())
            progress(delivered, self.jets)
            yield self._shuffled(pa.concat_tables(drawn), number)

    def _start_chunks(self, executor: ProcessPoolExecutor, pool: SoftPool) -> None:
        """Keep every worker busy, first with the source that is furthest from its quota."""
        while len(self._all_running()) < self.workers + 1:
            source = max(self._sources, key=Source.lacking)
            if source.lacking() < 1:
                return
            chunk = chunks.Chunk(
                source=source.name,
                seed=chunk_seed(self.seed, self.role, source.name, source.started),
                events=source.size(source.started),
                conditions=self.conditions,
            )
            source.running.append(executor.submit(chunks.simulate_chunk, chunk, pool))
            source.started += 1

    def _all_running(self) -> list[Future[chunks.Harvest]]:
        return [chunk for source in self._sources for chunk in source.running if not chunk.done()]

    def _use_chunks(self) -> None:
        """Wait for a chunk that can be used, and use finished ones in the order of their numbers.

        A source whose quota is full leaves its chunks waiting: the jets of a table must not depend
        on which chunks happened to be early.
        """
        heads = [s.running[0] for s in self._sources if s.running and not s.ready]
        wait(heads or self._all_running(), return_when=FIRST_COMPLETED)
        for source in self._sources:
            while not source.ready and source.running and source.running[0].done():
                source.use(source.running.popleft().result())

    def _shuffled(self, table: pa.Table, number: int) -> pa.Table:
        text = f"jetscale order {self.seed} {self.corpus} {self.part} {self.role} {number}"
        digest = hashlib.sha256(text.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return table.take(pa.array(rng.permutation(len(table)))).combine_chunks()

    def provenance(self) -> dict[str, Any]:
        """How the jets were made, for a manifest: settings, seeds, versions, counts, CPU time."""
        return {
            "generator": "jetscale simulation",
            "corpus": self.corpus,
            "part": self.part,
            "labels": list(part_named(self.part).labels) if self.part else list(JETCLASS),
            "conditions": asdict(self.conditions),
            "role": self.role,
            "jets": self.jets,
            "seed": self.seed,
            "versions": {name: version(name) for name in ("jetscale", *PACKAGES, "numpy")},
            "overlay": {"events": chunks.OVERLAY_EVENTS, "mean": chunks.OVERLAY_MEAN},
            "pt_bins": {
                "edges": list(self.conditions.range.edges),
                "shares": spectrum.target(self.conditions.range).tolist(),
            },
            "cpu_seconds": round(self.cpu_seconds, 2),
            "overlay_seconds": round(self.overlay_seconds, 2),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "sources": {source.name: self._source_provenance(source) for source in self._sources},
        }

    def _source_provenance(self, source: Source) -> dict[str, Any]:
        process = process_named(source.name, self.conditions.window)
        kept = source.counts["accepted"] - source.stock.dropped - int(source.stock.counts.sum())
        return {
            "family": process.family,
            "settings": [list(lines) for lines in process.variants],
            "decays": [[*mode.leaves, round(mode.weight, 6)] for mode in process.modes],
            "pt_range": [process.pt.low, process.pt.high, process.pt.slope],
            "first_seed": chunk_seed(self.seed, self.role, source.name, 0),
            "chunks": source.used,
            "cpu_seconds": round(source.cpu_seconds, 2),
            **dict(source.counts),
            "thinned": source.counts["accepted"] - kept,
            "kept": kept,
        }


def check_packages() -> None:
    """Raise MissingExtra for the first simulation package that is not installed."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra(package, "simulate")


def produce(
    *,
    corpus: str,
    role: str,
    jets: int,
    seed: int,
    workers: int,
    part: str | None = None,
    conditions: Conditions = DEFAULT,
) -> Production:
    """A checked simulation job; nothing runs until its tables are read.

    Parameters
    ----------
    corpus
        ``jetclass`` (all ten classes, balanced) or ``jetclass2`` (needs ``part``).
    role
        One of `jetscale.jets.schema.ROLES`; roles never share an event.
    jets
        Jets in all; what ten does not divide goes to the first classes.
    seed, workers
        Seed of the job, and worker processes; the jets do not depend on the latter.
    part
        For ``jetclass2``: ``qcd``, ``res2p``, ``res34p``, or labels of one of these (see
        `jetscale.jets.schema.part_named`). Labels come as often as the branching ratios say.
    conditions
        Kinematic window and pile-up; ``jetclass`` jets are simulated in their own window.

    Raises
    ------
    DataError
        A name is unknown, labels belong to more than one family, or a number is not positive.
    MissingExtra
        Pythia, FastJet or awkward is not installed.
    """
    for what, value, known in (
        ("corpus", corpus, ("jetclass", "jetclass2")),
        ("role", role, ROLES),
    ):
        if value not in known:
            raise DataError(unknown(what, value, known))
    _check_part(corpus, part)
    if corpus == "jetclass" and conditions.window != "jetclass":
        raise DataError(
            f"window {conditions.window!r} is for parts of jetclass2: tops of 200 GeV do not fit "
            "into one jet; simulate corpus 'jetclass' in window 'jetclass'"
        )
    for what, number in (("jets", jets), ("seed", seed), ("workers", workers)):
        if number < 1:
            raise DataError(f"simulation: {what} is {number}, needs 1 or more")
    check_packages()
    return Production(
        corpus=corpus,
        role=role,
        part=part,
        jets=jets,
        seed=seed,
        workers=workers,
        conditions=conditions,
    )


def _check_part(corpus: str, part: str | None) -> None:
    if corpus == "jetclass":
        if part is not None:
            raise DataError(f"part {part!r}: corpus 'jetclass' has no parts; leave it out")
    elif part is None:
        *names, last = sorted(PARTS)
        raise DataError(f"corpus {corpus!r} needs a part: {', '.join(names)} or {last}")
    else:
        try:
            family_of(part)
        except StudyError as error:
            raise DataError(str(error)) from None
