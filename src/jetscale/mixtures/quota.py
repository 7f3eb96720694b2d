"""How many jets each source gives to a stream, which ones, and at which positions.

Shares are turned into whole numbers by largest remainder, so a stream of D jets has exactly D
distinct jets in the asked proportions. Each source draws its rows by a seeded permutation of its
own, and one seeded shuffle says which source fills which position. Any prefix is therefore a
random sample of the whole (independent and identically distributed up to the finite pool), and
prefixes are nested. A source's permutation depends on the seed, the source's name and its size
only: two mixtures with a common part draw the same leading jets from it.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import DataError

_POSITIONS, _ROWS = 1, 2  # independent branches of one seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What one source gives to a stream: eligible row ``rows[i]`` goes to ``positions[i]``.

    Attributes
    ----------
    rows
        (k,) int64, distinct, in the order in which the stream meets them.
    positions
        (k,) int64, ascending positions in the stream.
    """

    rows: NDArray[np.int64]
    positions: NDArray[np.int64]


def quotas(weights: Mapping[str, float], rows: int) -> dict[str, int]:
    """Whole numbers that sum to ``rows`` and lie within one of the exact shares.

    Largest remainder (Hamilton's method); ties go to the name that sorts first.

    Examples
    --------
    >>> quotas({"a": 0.6, "b": 0.3, "c": 0.1}, 11)
    {'a': 7, 'b': 3, 'c': 1}
    """
    names = sorted(weights)
    share = np.array([weights[name] for name in names], float)
    share *= rows / share.sum()
    whole = np.floor(share)
    missing = rows - int(whole.sum())
    whole[np.argsort(whole - share, kind="stable")[:missing]] += 1
    return {name: int(count) for name, count in zip(names, whole, strict=True)}


def draw(
    quota: Mapping[str, int], available: Mapping[str, int], seed: int, stream: str
) -> dict[str, Draw]:
    """Rows and positions of every source of a stream.

    Parameters
    ----------
    quota
        Jets wanted per source.
    available
        Eligible jets per source.
    seed
        Seed of the order.
    stream
        Name of the stream, for the message.

    Raises
    ------
    DataError
        A source has fewer jets than its quota; no jet is ever repeated.
    """
    for name, wanted in quota.items():
        if wanted > available[name]:
            raise DataError(
                f"stream {stream!r}: needs {wanted} distinct jets of {name!r}, which has "
                f"{available[name]}; ask for fewer jets or add shards"
            )
    names = sorted(quota)
    source = np.repeat(np.arange(len(names)), [quota[name] for name in names])
    np.random.default_rng([seed, _POSITIONS]).shuffle(source)
    return {
        name: Draw(
            rows=_permutation(available[name], name, seed)[: quota[name]],
            positions=np.flatnonzero(source == i),
        )
        for i, name in enumerate(names)
    }


def _permutation(n: int, name: str, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([seed, _ROWS, zlib.crc32(name.encode())])
    return rng.permutation(n)
