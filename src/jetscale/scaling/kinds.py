"""Which runs err together: the cells, trunks and runs of one mixture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from jetscale.scaling.engine.laws import Array

BETWEEN_SIZES = 3  # E, A and alpha: what differences between model sizes determine
_MOST_TRUNKS = 60  # beyond, some of them say how much trunks differ


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of effect: which runs share a unit."""

    labels: NDArray[np.intp]  # (n,) unit of each run, numbered from 0
    sizes: Array  # runs of each unit

    @classmethod
    def of(cls, labels: NDArray[np.intp]) -> "Kind":
        """Number of runs of each unit from their labels."""
        return cls(labels, np.bincount(labels).astype(float))

    def sums(self, values: Array) -> Array:
        """Sums (..., units) over the runs of each unit of values (..., n)."""
        order = np.argsort(self.labels, kind="stable")
        first = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)
        return np.asarray(np.add.reduceat(values[..., order], first, axis=-1))


def share_trunks(runs: pd.DataFrame) -> bool:
    """True where several cells of a mixture start from one pretrained trunk."""
    if "trunk" not in runs:
        return False
    return bool((runs.groupby(["mixture", "trunk"], sort=False)["cell"].nunique() > 1).any())


def too_few(runs: pd.DataFrame) -> str:
    """Why the trunks of a mixture cannot be told from its law, or an empty string."""
    count = len(np.unique(_codes([runs["params"], _trunk(runs)])))
    if count > BETWEEN_SIZES:
        return ""
    return f"{count} trunks cannot be told from the law: intervals leave out how trunks differ"


def cells_of(runs: pd.DataFrame) -> Kind:
    """Return the cells of the runs of a mixture, numbered in their order."""
    return Kind.of(np.unique(runs["cell"].to_numpy(), return_inverse=True)[1])


def trunks_of(runs: pd.DataFrame) -> Kind | None:
    """Return the trunks that several runs share, or None where none can be told from the law.

    Units are numbered in the order of cell and seed, so that they match between mixtures.
    """
    if too_few(runs):
        return None
    order = np.lexsort((runs["seed"], runs["cell"]))
    labels = np.empty(len(runs), dtype=np.intp)
    labels[order] = pd.factorize(_codes([runs["params"], _trunk(runs)])[order])[0]
    kind = Kind.of(labels)
    return kind if len(kind.sizes) < len(runs) else None


def part_of(trunks: Kind) -> NDArray[np.bool_]:
    """Which runs (n,) belong to the trunks that say how much trunks differ: all, if not many."""
    count = len(trunks.sizes)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_TRUNKS)).round().astype(int))
    return np.isin(trunks.labels, chosen)


def _codes(columns: Sequence[ArrayLike]) -> NDArray[np.intp]:
    codes = np.zeros(len(np.asarray(columns[0])), dtype=np.intp)
    for column in columns:
        values = pd.factorize(np.asarray(column))[0]
        codes = codes * (values.max() + 1) + values
    return codes


def _trunk(runs: pd.DataFrame) -> pd.Series:
    """The trunk of each run; without such a column, runs of one size and seed share one."""
    return runs["trunk"] if "trunk" in runs else runs["seed"]
