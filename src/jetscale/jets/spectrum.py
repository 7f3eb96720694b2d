"""One jet pT spectrum for every class and part, by exact quotas.

Classes that lose neutrinos have softer jets; left alone, pT would tell the class. Every batch of n
jets of every class therefore has the same number of jets in each 50 GeV bin: n times a fixed
target, rounded by largest remainder. The target is a falling exponential with a scale of 130 GeV,
which is how the published JetClass jets fall between 500 and 1000 GeV.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EDGES = np.arange(500.0, 1001.0, 50.0)  # GeV
SCALE = 130.0  # GeV
BINS = len(EDGES) - 1


def target() -> Floats:
    """(BINS,) shares of jets per pT bin; they sum to 1."""
    below = np.exp(-(EDGES - EDGES[0]) / SCALE)
    shares: Floats = (below[:-1] - below[1:]) / (1 - below[-1])
    return shares


def quotas(n: int) -> Ints:
    """(BINS,) whole numbers of jets per bin that sum to n and follow the target."""
    wanted = n * target()
    whole = np.floor(wanted).astype(np.int64)
    missing = n - int(whole.sum())
    whole[np.argsort(whole - wanted, kind="stable")[:missing]] += 1
    return whole


def bin_of(pt: NDArray[np.floating]) -> Ints:
    """Bin number of each jet; float32 rounding to the upper edge stays in the last bin."""
    bins: Ints = np.clip(np.digitize(pt, EDGES) - 1, 0, BINS - 1)
    return bins


def rank_in_bin(bins: Ints) -> Ints:
    """How many earlier entries share the bin, for each entry."""
    order = np.argsort(bins, kind="stable")
    counts = np.bincount(bins, minlength=BINS)
    rank = np.empty(len(bins), dtype=np.int64)
    rank[order] = np.arange(len(bins)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank


class Stock:
    """Jets of one source waiting to be drawn, in the order they came.

    Starts from an empty ``table``; ``remaining`` is what will be drawn in all, per bin. Jets beyond
    that are dropped at once.
    """

    def __init__(self, table: pa.Table, remaining: Ints) -> None:
        self._table = table
        self._remaining = remaining.copy()
        self.counts = np.zeros(BINS, dtype=np.int64)
        """Jets held per bin."""
        self.dropped = 0
        """Jets that came when their bin was full."""

    def add(self, table: pa.Table, limit: Ints) -> None:
        """Keep the jets whose bin holds fewer than ``limit`` and than what remains to be drawn."""
        bins = bin_of(table["jet_pt"].to_numpy())
        room = np.minimum(limit, self._remaining) - self.counts
        keep = rank_in_bin(bins) < room[bins]
        self.dropped += int((~keep).sum())
        self.counts += np.bincount(bins[keep], minlength=BINS)
        self._table = pa.concat_tables([self._table, table.filter(pa.array(keep))])

    def draw(self, wanted: Ints) -> pa.Table:
        """The first ``wanted`` jets of each bin, which must be there; they leave the stock."""
        table = self._table.combine_chunks()
        bins = bin_of(table["jet_pt"].to_numpy())
        chosen = rank_in_bin(bins) < wanted[bins]
        self._table = table.filter(pa.array(~chosen))
        self._remaining -= wanted
        self.counts -= wanted
        return table.filter(pa.array(chosen))
