"""One jet pT spectrum for every class and part, by exact quotas.

Left alone, pT would tell the class. So every class has the same number of jets in each pT bin of
its window, a target rounded by largest remainder: in JetClass an exponential with a scale of 130
GeV, as published jets fall; in JetClass-II all bins are equal.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.jets.arrays import Floats, Ints
from jetscale.jets.generator.conditions import JETCLASS_WINDOW, Window


def target(window: Window = JETCLASS_WINDOW) -> Floats:
    """Shares of jets per pT bin; they sum to 1."""
    edges = np.array(window.edges)
    if window.scale is None:
        return np.full(len(edges) - 1, 1 / (len(edges) - 1))
    below = np.exp(-(edges - edges[0]) / window.scale)
    return np.asarray((below[:-1] - below[1:]) / (1 - below[-1]))


def quotas(n: int, window: Window = JETCLASS_WINDOW) -> Ints:
    """Whole numbers of jets per bin that sum to n and follow the target."""
    wanted = n * target(window)
    whole = np.floor(wanted).astype(np.int64)
    missing = n - int(whole.sum())
    whole[np.argsort(whole - wanted, kind="stable")[:missing]] += 1
    return whole


def bin_of(pt: NDArray[np.floating], window: Window = JETCLASS_WINDOW) -> Ints:
    """Bin number of each jet; float32 rounding to the upper edge stays in the last bin."""
    return np.asarray(np.clip(np.digitize(pt, window.edges) - 1, 0, len(window.edges) - 2))


def rank_in_bin(bins: Ints) -> Ints:
    """How many earlier entries share the bin, for each entry."""
    order = np.argsort(bins, kind="stable")
    counts = np.bincount(bins)
    rank = np.empty(len(bins), dtype=np.int64)
    rank[order] = np.arange(len(bins)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank


class Stock:
    """Jets of one source waiting to be drawn, in the order they came.

    Starts from an empty ``table``; ``remaining`` is what will be drawn in all, per bin of the
    window. Jets beyond that are dropped at once.
    """

    def __init__(self, table: pa.Table, remaining: Ints, window: Window = JETCLASS_WINDOW) -> None:
        self._table = table
        self._window = window
        self._remaining = remaining.copy()
        self.counts = np.zeros(len(remaining), dtype=np.int64)
        """Jets held per bin."""
        self.dropped = 0
        """Jets that came when their bin was full."""

    def add(self, table: pa.Table, limit: Ints) -> None:
        """Keep the jets whose bin holds fewer than ``limit`` and than what remains to be drawn."""
        bins = bin_of(table["jet_pt"].to_numpy(), self._window)
        room = np.minimum(limit, self._remaining) - self.counts
        keep = rank_in_bin(bins) < room[bins]
        self.dropped += int((~keep).sum())
        self.counts += np.bincount(bins[keep], minlength=len(self.counts))
        self._table = pa.concat_tables([self._table, table.filter(pa.array(keep))])

    def draw(self, wanted: Ints) -> pa.Table:
        """The first ``wanted`` jets of each bin, which must be there; they leave the stock."""
        table = self._table.combine_chunks()
        bins = bin_of(table["jet_pt"].to_numpy(), self._window)
        chosen = rank_in_bin(bins) < wanted[bins]
        self._table = table.filter(pa.array(~chosen))
        self._remaining -= wanted
        self.counts -= wanted
        return table.filter(pa.array(chosen))
