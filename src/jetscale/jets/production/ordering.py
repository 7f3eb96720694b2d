"""How many events to order: table sizes, chunk sizes, and the stock of each source.

The expected need comes in a few large chunks; small ones follow until every pT bin is full, and
grow where the yield is lower than expected. None of it depends on the number of workers.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from jetscale.errors import DataError
from jetscale.jets.arrays import Ints
from jetscale.jets.generator.conditions import JETCLASS_WINDOW, Window
from jetscale.jets.generator.processes import process_named
from jetscale.jets.production import chunks, spectrum

BATCH_JETS = 10_000  # per table
SMALLEST, LARGEST = 100, 2000  # events of a chunk: Pythia's start costs about as much as 100
TRUST = 500  # events' worth of confidence in the expected yield of a process
AHEAD = 2  # tables' worth of surplus jets that a source may keep
GROWTH = 6  # later chunks of one size before they double
PATIENCE = 20_000  # events after which a source must have shown
RAREST = 1 / 2000  # jets per event


@dataclass(slots=True)
class Source:
    """One class or part within a job: its stock of jets and the chunks ordered so far."""

    name: str
    sizes: tuple[int, ...]
    """Events of the first chunks; later ones start with the last of these and grow."""
    stock: spectrum.Stock
    window: Window = JETCLASS_WINDOW
    started: int = 0
    used: int = 0
    cpu_seconds: float = 0.0
    waiting: dict[int, chunks.Harvest] = field(default_factory=dict)
    """Chunks that have arrived, by number, and were not used yet."""
    counts: Counter[str] = field(default_factory=Counter)
    arrived: Ints = field(init=False)
    quota: Ints = field(init=False)
    """Jets per bin of the table being filled."""

    def __post_init__(self) -> None:
        self.arrived = np.zeros(len(self.window.edges) - 1, dtype=np.int64)
        self.quota = np.zeros_like(self.arrived)

    @property
    def ready(self) -> bool:
        """Whether the stock fills the table."""
        return bool((self.stock.counts >= self.quota).all())

    @property
    def progress(self) -> int:
        """Jets of the table that are in stock."""
        return int(np.minimum(self.stock.counts, self.quota).sum())

    def size(self, number: int) -> int:
        """Events of chunk ``number``."""
        if number < len(self.sizes):
            return self.sizes[number]
        doublings = (number - len(self.sizes) + 1) // GROWTH
        return min(LARGEST, self.sizes[-1] << min(doublings, 10))

    def lacking(self) -> int:
        """Events not yet ordered that the table probably takes."""
        if self.ready:
            return 0
        process = process_named(self.name, self.window.name)
        expected = process.jets_per_event * spectrum.target(self.window)
        per_event = (self.arrived + TRUST * expected) / (self.counts["events"] + TRUST)
        wanted = int(np.ceil(((self.quota - self.stock.counts) / per_event).max()))
        return wanted - sum(self.size(number) for number in range(self.used, self.started))

    def use_waiting(self) -> None:
        """Use chunks in the order of their numbers: else the timing of workers would decide."""
        while not self.ready and self.used in self.waiting:
            self.use(self.waiting.pop(self.used))

    def use(self, harvest: chunks.Harvest) -> None:
        """Put the jets of the next chunk into the stock; DataError if they are too rare."""
        self.used += 1
        self.cpu_seconds += harvest.cpu_seconds
        self.counts.update(harvest.counts)
        bins = spectrum.bin_of(harvest.table["jet_pt"].to_numpy(), self.window)
        self.arrived += np.bincount(bins, minlength=len(self.arrived))
        self.stock.add(harvest.table, AHEAD * self.quota)
        events, jets = self.counts["events"], int(self.arrived.sum())
        if events >= PATIENCE and jets < RAREST * events and not self.ready:
            needs = f"a part needs 1 jet in {1 / RAREST:.0f} events: select more labels"
            found = f"{jets} jets in {events} events, too rare to simulate"
            raise DataError(f"part {self.name!r}: {found}; {needs}")


def batch_sizes(jets: int, sources: int) -> Ints:
    """(tables, sources) jets, at most 10,000 a table; the remainder goes to the first sources."""
    full = BATCH_JETS // sources
    whole, rest = divmod(jets, full * sources)
    sizes = np.full((whole, sources), full, dtype=np.int64)
    last = rest // sources + (np.arange(sources) < rest % sources)
    return np.concatenate([sizes, last[None]]) if rest else sizes


def new_source(name: str, wanted: Ints, window: Window = JETCLASS_WINDOW) -> Source:
    """A source that is to give ``wanted`` jets to each table."""
    quotas = [spectrum.quotas(int(n), window) for n in wanted]
    sizes = chunk_sizes(int(wanted.sum()) / process_named(name, window.name).jets_per_event)
    stock = spectrum.Stock(chunks.SCHEMA.empty_table(), np.sum(quotas, axis=0), window)
    return Source(name=name, sizes=sizes, stock=stock, window=window)


def chunk_sizes(events: float) -> tuple[int, ...]:
    """Events of the first chunks of a job that probably takes ``events``; small ones come last."""
    number = max(1, int(np.ceil(events / LARGEST)))
    first = max(SMALLEST, int(np.ceil(events / number)))
    return (*[first] * number, max(SMALLEST, first // 8))
