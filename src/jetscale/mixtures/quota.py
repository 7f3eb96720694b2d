"""How many jets each source gives to a stream, which ones, and at which positions.

Each source draws its rows by a seeded permutation of its own, and one seeded shuffle says which
source fills which position. Any prefix is therefore a random sample of the whole, and prefixes are
nested. A source's permutation depends on the seed, its name and its size only: two mixtures with a
common part draw the same leading jets from it. Drawing takes 1 byte per position of the stream and
8 bytes per eligible jet of one source at a time.
"""

import zlib
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import DataError
from jetscale.study import Study

_POSITIONS, _ROWS = 1, 2  # independent branches of one seed
_CHUNK = 1 << 18

NOT_DRAWN = np.uint32(0xFFFFFFFF)  # the slot of an eligible jet that the stream does not take


def quotas(weights: Mapping[str, float], rows: int) -> dict[str, int]:
    """Whole numbers that sum to ``rows`` and lie within one of the exact shares.

    Largest remainder (Hamilton's method); ties go to the name that sorts first.

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


def part_pools(study: Study) -> dict[str, int]:
    """Jets to simulate of every part: the largest need of any mixture."""
    pools: dict[str, int] = {}
    for mixture in study.pretrained:
        for part, need in quotas(mixture.parts, study.recipe.data.pretraining_pool).items():
            pools[part] = max(pools.get(part, 0), need)
    return {part: need for part, need in sorted(pools.items()) if need}


def shards_wanted(study: Study, train: int) -> list[tuple[str, str, str | None, int]]:
    """Name, role, part and examples of every shard folder of a study; ``train`` are to train on."""
    evaluation = study.recipe.evaluation
    roles = {"train": train, "validation": evaluation.validation_jets, "test": evaluation.test_jets}
    parts = [(f"pretrain-{p}", "pretrain", p, rows) for p, rows in part_pools(study).items()]
    return [*((role, role, None, rows) for role, rows in roles.items()), *parts]


def slots(
    quota: Mapping[str, int], available: Mapping[str, int], seed: int, stream: str
) -> Iterator[tuple[str, NDArray[np.uint32]]]:
    """Where the jets of every source go, one source after another by name.

    Yields the name and, for each of its ``available`` eligible jets, the position in the stream
    (uint32) or `NOT_DRAWN`. The jets of a source lie in the order of its permutation. Raises
    DataError where a source has fewer jets than its quota; no jet is ever repeated.
    """
    for name, wanted in quota.items():
        if wanted > available[name]:
            raise DataError(
                f"stream {stream!r}: needs {wanted} distinct jets of {name!r}, which has "
                f"{available[name]}; ask for fewer jets or add shards"
            )
    names = sorted(quota)
    kind = np.min_scalar_type(len(names))
    source = np.repeat(np.arange(len(names), dtype=kind), [quota[name] for name in names])
    np.random.default_rng([seed, _POSITIONS]).shuffle(source)
    for i, name in enumerate(names):
        rows = np.arange(available[name], dtype=np.uint32)
        np.random.default_rng([seed, _ROWS, zlib.crc32(name.encode())]).shuffle(rows)
        # the k-th position of this source goes to the k-th of its shuffled rows
        found, done = np.full(len(rows), NOT_DRAWN), 0
        for start in range(0, len(source), _CHUNK):
            positions = start + np.flatnonzero(source[start : start + _CHUNK] == i)
            found[rows[done : done + len(positions)]] = positions
            done += len(positions)
        yield name, found
