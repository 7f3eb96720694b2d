"""Simulated data sets: many chunks, made by an executor, joined into balanced tables.

Classes have equally many jets and one pT spectrum (`jetscale.jets.production.spectrum`). The same
job gives the same bytes again, in one process, in many, or on a cluster: chunks are used in their
own order. Running a job needs the extra ``simulate``.
"""

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.errors import DataError, MissingExtra, StudyError, unknown
from jetscale.executor import Executor
from jetscale.jets.generator.conditions import DEFAULT, Conditions, Window
from jetscale.jets.generator.processes import family_of, process_named, sources_of
from jetscale.jets.generator.pythia import SoftPool
from jetscale.jets.generator.seeds import chunk_seed
from jetscale.jets.production import chunks, spectrum
from jetscale.jets.production.ordering import Source, batch_sizes, new_source
from jetscale.jets.schema import JETCLASS, PARTS, ROLES, part_named
from jetscale.jets.shards import open_shards, shard_writer
from jetscale.jets.shards.manifest import Manifest

Progress = Callable[[int, int], None]  # called with the jets done and the jets wanted

CORPORA = ("jetclass", "jetclass2")
PACKAGES = ("pythia8mc", "fastjet", "awkward")

OverlayKey = tuple[int, str, Window]  # seed, role and window
Overlays = dict[OverlayKey, tuple[SoftPool, float]]
"""Soft events that all chunks of a seed, role and window share, and the CPU seconds they took."""


def make_overlays(executor: Executor, keys: Iterable[OverlayKey]) -> Overlays:
    """Soft events for several jobs, made at the same time; they take as long as a small chunk."""
    return dict(executor.map(_overlay, list(keys)))


def _overlay(key: OverlayKey) -> tuple[OverlayKey, tuple[SoftPool, float]]:
    return key, chunks.make_overlay(*key)


def _harvest(pool: SoftPool, chunk: chunks.Chunk) -> tuple[chunks.Chunk, chunks.Harvest]:
    return chunk, chunks.simulate_chunk(chunk, pool)


@dataclass(kw_only=True)
class Production:
    """A checked simulation job; nothing runs until its `tables` are read, then ask `provenance`.

    Raises DataError for a wrong name, part or number, MissingExtra without Pythia or FastJet.
    """

    corpus: str
    """``jetclass`` (all ten classes, balanced) or ``jetclass2`` (needs ``part``)."""
    role: str
    """One of `jetscale.jets.schema.ROLES`; roles never share an event."""
    jets: int
    """Jets in all; what ten does not divide goes to the first classes."""
    seed: int
    part: str | None = None
    """For ``jetclass2``: ``qcd``, ``res2p``, ``res34p``, or labels of one of these (see
    `jetscale.jets.schema.part_named`). Labels come as often as the branching ratios say."""
    conditions: Conditions = DEFAULT
    """Kinematic window and pile-up; ``jetclass`` jets are simulated in their own window."""
    overlay_seconds: float = field(default=0.0, init=False)
    """CPU time of the soft events that all chunks share."""
    _sources: dict[str, Source] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        corpus, part, window = self.corpus, self.part, self.conditions.window
        for what, value, known in (("corpus", corpus, CORPORA), ("role", self.role, ROLES)):
            if value not in known:
                raise DataError(unknown(what, value, known))
        if corpus == "jetclass" and part is not None:
            raise DataError(f"part {part!r}: corpus 'jetclass' has no parts; leave it out")
        if corpus == "jetclass2":
            if part is None:
                *names, last = sorted(PARTS)
                parts = f"{', '.join(names)} or {last}"
                raise DataError(f"corpus {corpus!r} needs a part: give --part {parts}, or labels")
            try:
                family_of(part)
            except StudyError as error:
                raise DataError(str(error)) from None
        if corpus == "jetclass" and window != "jetclass":
            why = "is for parts of jetclass2: tops of 200 GeV do not fit into one jet"
            fix = "simulate corpus 'jetclass' in window 'jetclass'"
            raise DataError(f"window {window!r} {why}; {fix}")
        for what, number in (("jets", self.jets), ("seed", self.seed)):
            if number < 1:
                raise DataError(f"simulation: {what} is {number}, needs 1 or more")
        check_packages()

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the chunks used and of the overlay."""
        return self.overlay_seconds + sum(source.cpu_seconds for source in self._sources.values())

    def tables(
        self, executor: Executor, overlays: Overlays | None = None, progress: Progress | None = None
    ) -> Generator[pa.Table, None, None]:
        """Tables of at most 10,000 jets, ``jets`` in all.

        Soft events in ``overlays`` are shared with other jobs; those of this job are added if they
        are missing. Raises SweepError if a worker died, again and again on the same chunk.
        """
        window = self.conditions.range
        key = (self.seed, self.role, window)
        overlays = {} if overlays is None else overlays
        if key not in overlays:
            overlays |= make_overlays(executor, [key])
        pool, self.overlay_seconds = overlays[key]
        names = sources_of(self.corpus, self.part)
        sizes = batch_sizes(self.jets, len(names))
        found = zip(names, sizes.T, strict=True)
        self._sources = {name: new_source(name, wanted, window) for name, wanted in found}
        report = progress or (lambda done, wanted: None)
        sources, delivered = list(self._sources.values()), 0
        harvests = executor.map(partial(_harvest, pool), _Orders(self))
        with closing(harvests):  # chunks that are still under way are not wanted any more
            for number, batch in enumerate(sizes):
                for source, n in zip(sources, batch.tolist(), strict=True):
                    source.quota = spectrum.quotas(n, window)
                    source.use_waiting()
                while not all(source.ready for source in sources):
                    chunk, harvest = next(harvests)
                    self._sources[chunk.source].waiting[chunk.number] = harvest
                    self._sources[chunk.source].use_waiting()
                    report(delivered + sum(source.progress for source in sources), self.jets)
                drawn = pa.concat_tables(source.stock.draw(source.quota) for source in sources)
                delivered += int(batch.sum())
                report(delivered, self.jets)
                text = f"jetscale order {self.seed} {self.corpus} {self.part} {self.role} {number}"
                seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
                order = np.random.default_rng(seed).permutation(len(drawn))
                yield drawn.take(pa.array(order)).combine_chunks()

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
            "sources": {name: self._source_provenance(s) for name, s in self._sources.items()},
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


class _Orders(Iterator[chunks.Chunk]):
    """The chunks of a job, of the source that is furthest from its quota first.

    It runs dry while chunks under way will probably do, and gives more when they did not.
    """

    def __init__(self, job: Production) -> None:
        self._job = job

    def __next__(self) -> chunks.Chunk:
        job = self._job
        source = max(job._sources.values(), key=Source.lacking)
        if source.lacking() < 1:
            raise StopIteration
        number, source.started = source.started, source.started + 1
        return chunks.Chunk(
            source=source.name,
            seed=chunk_seed(job.seed, job.role, source.name, number),
            events=source.size(number),
            number=number,
            conditions=job.conditions,
        )


def check_packages() -> None:
    """Raise MissingExtra for the first simulation package that is not installed."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra(package, "simulate")


def simulate_shards(
    folder: Path,
    executor: Executor,
    *,
    corpus: str,
    role: str,
    jets: int,
    seed: int,
    part: str | None = None,
    conditions: Conditions = DEFAULT,
    overlays: Overlays | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Simulate jets and write them, with their provenance, as one shard folder.

    Names and errors are those of `Production`; StorageError if the folder cannot be written.
    """
    job = Production(
        corpus=corpus, role=role, jets=jets, seed=seed, part=part, conditions=conditions
    )
    with shard_writer(folder, corpus=corpus, role=role) as writer:
        with closing(job.tables(executor, overlays, progress)) as tables:  # on any failure, too
            for table in tables:
                writer.write(table)
        writer.provenance.update(job.provenance())
    return open_shards(folder)
