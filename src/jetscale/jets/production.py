"""Simulated data sets: many chunks in worker processes, joined into balanced tables.

A `Production` is one job: so many jets of one corpus (or part) for one role. Its tables hold at
most 10,000 jets each. Every table of ``jetclass`` has equally many jets of each class and, in every
class, equally many in each pT bin (see `jetscale.jets.spectrum`); the order is shuffled. The same
job gives the same bytes again, whatever the number of workers: chunks are used in their own order,
however they arrive.

Importing this module needs no optional package; running a job needs the extra ``simulate``.
"""

import hashlib
import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.errors import DataError, MissingExtra, SweepError, unknown
from jetscale.jets import chunks, spectrum
from jetscale.jets.processes import process_named, settings_of, sources_of
from jetscale.jets.schema import CORPORA, PARTS, ROLES
from jetscale.jets.simulate import SoftPool

Ints = NDArray[np.int64]
Progress = Callable[[int, int], None]

BATCH_JETS = 10_000  # per table
PACKAGES = ("pythia8mc", "fastjet", "awkward")
_CHUNK_EVENTS = (100, 2000)  # at least, at most
_FIRST_GUESS = 0.8  # jets per event that pass thinning, until chunks have told
_AHEAD = 2  # batches of surplus jets that a class may keep


@dataclass(slots=True)
class _Source:
    """One class or part within a job: its stock of jets and the chunks under way."""

    name: str
    events: int
    stock: spectrum.Stock
    started: int = 0
    used: int = 0
    running: deque[Future[chunks.Harvest]] = field(default_factory=deque)
    counts: Counter[str] = field(default_factory=Counter)
    arrived: Ints = field(default_factory=lambda: np.zeros(spectrum.BINS, dtype=np.int64))
    quota: Ints = field(default_factory=lambda: np.zeros(spectrum.BINS, dtype=np.int64))
    """Jets per bin of the table being filled."""

    @property
    def ready(self) -> bool:
        return bool((self.stock.counts >= self.quota).all())

    @property
    def progress(self) -> int:
        return int(np.minimum(self.stock.counts, self.quota).sum())

    def chunks_wanted(self) -> int:
        """How many more chunks the table probably takes."""
        if self.ready:
            return 0
        first = _FIRST_GUESS * self.events * spectrum.target()
        per_chunk = (self.arrived + first) / (self.used + 1)
        return int(np.ceil(((self.quota - self.stock.counts) / per_chunk).max()))

    def use(self, harvest: chunks.Harvest) -> None:
        self.used += 1
        self.counts.update(harvest.counts)
        bins = spectrum.bin_of(harvest.table["jet_pt"].to_numpy())
        self.arrived += np.bincount(bins, minlength=spectrum.BINS)
        self.stock.add(harvest.table, _AHEAD * self.quota)


@dataclass(kw_only=True)
class Production:
    """A simulation job; make it with `produce`, read `tables` to the end, then `provenance`."""

    corpus: str
    role: str
    part: str | None
    jets: int
    seed: int
    workers: int
    cpu_seconds: float = 0.0
    """Of the chunks used and of the overlay, summed over workers."""
    _sources: list[_Source] = field(default_factory=list)

    def tables(self, progress: Progress | None = None) -> Iterator[pa.Table]:
        """Tables of at most 10,000 jets, ``jets`` in all.

        Parameters
        ----------
        progress
            Called with the jets done and the jets wanted after every chunk.

        Raises
        ------
        SweepError
            A worker died, or Ctrl-C was pressed.
        """
        executor = _workers(self.workers)
        try:
            pool, seconds = executor.submit(chunks.make_overlay, self.seed, self.role).result()
            self.cpu_seconds = seconds
            yield from self._tables(executor, pool, progress or (lambda done, wanted: None))
        except BrokenProcessPool:
            raise SweepError(
                f"a simulation worker died, perhaps for lack of memory; {self.workers} workers "
                "were running, try fewer"
            ) from None
        except KeyboardInterrupt:
            raise SweepError("simulation stopped by Ctrl-C; run it again to start over") from None
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _tables(
        self, executor: ProcessPoolExecutor, pool: SoftPool, progress: Progress
    ) -> Iterator[pa.Table]:
        names = sources_of(self.corpus, self.part)
        sizes = batch_sizes(self.jets, len(names))
        self._sources = [_new_source(name, sizes[:, i]) for i, name in enumerate(names)]
        delivered = 0
        for number, batch in enumerate(sizes):
            for source, n in zip(self._sources, batch.tolist(), strict=True):
                source.quota = spectrum.quotas(n)
            while not all(source.ready for source in self._sources):
                self._start_chunks(executor, pool)
                self._use_chunks()
                progress(delivered + sum(s.progress for s in self._sources), self.jets)
            drawn = [source.stock.draw(source.quota) for source in self._sources]
            delivered += int(batch.sum())
            yield self._shuffled(pa.concat_tables(drawn), number)

    def _start_chunks(self, executor: ProcessPoolExecutor, pool: SoftPool) -> None:
        """Keep every worker busy, first with the source that is furthest from its quota."""
        while len(self._all_running()) < self.workers + 1:
            lack = {s.name: s.chunks_wanted() - len(s.running) for s in self._sources}
            source = max(self._sources, key=lambda s: lack[s.name])
            if lack[source.name] < 1:
                return
            chunk = chunks.Chunk(
                source=source.name,
                seed=chunks.chunk_seed(self.seed, self.role, source.name, source.started),
                events=source.events,
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
                harvest = source.running.popleft().result()
                source.use(harvest)
                self.cpu_seconds += harvest.cpu_seconds

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
            "role": self.role,
            "jets": self.jets,
            "seed": self.seed,
            "versions": {name: version(name) for name in ("jetscale", *PACKAGES, "numpy")},
            "overlay": {"events": chunks.OVERLAY_EVENTS, "mean": chunks.OVERLAY_MEAN},
            "pt_bins": {"edges": spectrum.EDGES.tolist(), "shares": spectrum.target().tolist()},
            "cpu_seconds": round(self.cpu_seconds, 2),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "sources": {source.name: self._source_provenance(source) for source in self._sources},
        }

    def _source_provenance(self, source: _Source) -> dict[str, Any]:
        process = process_named(source.name)
        kept = source.counts["accepted"] - source.stock.dropped - int(source.stock.counts.sum())
        return {
            "settings": [list(settings_of(process, i)) for i in range(len(process.variants))],
            "pt_range": [process.pt.low, process.pt.high, process.pt.slope],
            "first_seed": chunks.chunk_seed(self.seed, self.role, source.name, 0),
            "chunks": source.used,
            "events_per_chunk": source.events,
            **dict(source.counts),
            "thinned": source.counts["accepted"] - kept,
            "kept": kept,
        }


def produce(
    *, corpus: str, role: str, jets: int, seed: int, workers: int, part: str | None = None
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
        ``qcd``, ``res2p`` or ``res34p``, for ``jetclass2``.

    Raises
    ------
    DataError
        A name is unknown or a number is not positive.
    MissingExtra
        Pythia, FastJet or awkward is not installed.
    """
    for what, value, known in (("corpus", corpus, tuple(CORPORA)), ("role", role, ROLES)):
        if value not in known:
            raise DataError(unknown(what, value, known))
    if corpus == "jetclass" and part is not None:
        raise DataError(f"part {part!r}: corpus 'jetclass' has no parts; leave it out")
    if corpus != "jetclass" and part not in PARTS:
        raise DataError(unknown("part", str(part), PARTS))
    for what, number in (("jets", jets), ("seed", seed), ("workers", workers)):
        if number < 1:
            raise DataError(f"simulation: {what} is {number}, needs 1 or more")
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra(package, "simulate")
    return Production(corpus=corpus, role=role, part=part, jets=jets, seed=seed, workers=workers)


def _workers(number: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of its parent
    return ProcessPoolExecutor(number, mp_context=context, initializer=chunks.start_worker)


def batch_sizes(jets: int, sources: int) -> Ints:
    """(tables, sources) jets of each source in each table.

    Tables hold at most 10,000 jets; sources are equal to within the remainder, which goes to the
    first ones in the last table.
    """
    full = BATCH_JETS // sources
    whole, rest = divmod(jets, full * sources)
    sizes = np.full((whole, sources), full, dtype=np.int64)
    if not rest:
        return sizes
    last = rest // sources + (np.arange(sources) < rest % sources)
    return np.concatenate([sizes, last[None]])


def _new_source(name: str, sizes: Ints) -> _Source:
    total = sum((spectrum.quotas(int(n)) for n in sizes), np.zeros(spectrum.BINS, dtype=np.int64))
    wanted = 100 + int(1.2 * sizes.sum() / _FIRST_GUESS)
    events = -(-min(max(wanted, _CHUNK_EVENTS[0]), _CHUNK_EVENTS[1]) // 50) * 50
    return _Source(
        name=name, events=events, stock=spectrum.Stock(chunks.SCHEMA.empty_table(), total)
    )
