"""How the jets of a batch are laid out for attention; numpy only.

Jets are sorted by length and cut into groups. Each group is padded to its own
longest jet, and the groups are laid one after another in one token matrix: linear layers act on the
whole matrix, attention on a view of each group, so nothing is gathered or scattered inside the
model. One group padded to a fixed length is the usual padded batch, the reference for the others.

The models of a stack share the shape of their batches: the i-th shortest jets of all are padded to
the longest among them. Their arrays are (K, n), and so are those of the layout.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

TOKENS_PER_GROUP = 100
"""Padded tokens that one more group must save where the width of the model is not known."""


def group_cost(width: int, device: str = "cpu") -> int:
    """Padded tokens that one more group must save: its calls cost about as much as these tokens do.

    Tokens of a wide model are dear: measured on one CPU thread, widths 8 to 128 (see
    ``benchmarks/training.md``). On other devices it is the number that was never measured there.

    >>> [group_cost(width) for width in (8, 32, 128)]
    [200, 50, 12]
    """
    return max(1, 1600 // width) if device == "cpu" else 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Jets padded to one length."""

    length: int  # padded length L
    lengths: Ints  # (B,) constituents of each jet; (K B,) of a stack, model by model

    @property
    def is_full(self) -> bool:
        """True when no jet is padded."""
        return bool((self.lengths == self.length).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The token matrix of a batch of n jets."""

    order: Ints  # (n,) the jet at each place: positions in the arrays given to `arrange`
    index: Ints
    """(N,) or (K, N) the row of ``Ragged.values`` behind each token; a padding token repeats the
    last constituent of its jet and is masked in the model."""
    groups: tuple[Group, ...]  # consecutive groups of the jets in ``order``


def choose_groups(ordered: Ints, cost: int = TOKENS_PER_GROUP) -> list[int]:
    """Where each group of jets of ``ordered`` lengths, ascending, ends for the fewest tokens.

    A group counts its padded tokens and ``cost`` more. The best cut in front of length L leaves off
    k jets whose groups count b such that b - k L is least: of these lines only those of the lower
    hull can ever be, and the best moves along it as L grows.

    >>> choose_groups(np.array([10, 10, 11, 90]), cost=20)
    [3, 4]
    """
    ends = [*(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
    hull: list[tuple[int, int]] = [(0, 0)]  # (k, b)
    before = {0: 0}  # end of a group to where it starts
    best = 0
    for end in ends:
        length = int(ordered[end - 1])
        while best + 1 < len(hull) and _crossing(hull[best], hull[best + 1]) <= length:
            best += 1
        k, b = hull[best]
        before[end] = k
        new = (end, b + (end - k) * length + cost)
        while len(hull) > best + 1 and _crossing(hull[-2], hull[-1]) >= _crossing(hull[-1], new):
            hull.pop()
        hull.append(new)
    cuts = [ends[-1]]
    while before[cuts[-1]]:
        cuts.append(before[cuts[-1]])
    return cuts[::-1]


def _crossing(one: tuple[int, int], other: tuple[int, int]) -> float:
    """The length from which it is better to cut at the later of two places."""
    return (other[1] - one[1]) / (other[0] - one[0])


def arrange(
    starts: Ints,
    lengths: Ints,
    *,
    groups: int | None = None,
    pad_to: int | None = None,
    cost: int = TOKENS_PER_GROUP,
) -> Layout:
    """Lay out the jets that begin at rows ``starts`` of ``Ragged.values`` and have ``lengths``.

    Both are (n,), or (K, n) for a stack. ``groups`` cuts jets into so many equal groups; None into
    those that `choose_groups` finds with ``cost``. ``pad_to`` pads all to this length, in one
    group.
    """
    order, n = np.argsort(lengths, axis=-1, kind="stable"), lengths.shape[-1]
    starts, lengths = (np.take_along_axis(a, order, -1) for a in (starts, lengths))
    if pad_to is not None:
        groups = 1
    if groups is None:
        longest = lengths if lengths.ndim == 1 else lengths.max(0)
        ends = choose_groups(longest, cost)
    else:
        ends = [(i + 1) * n // groups for i in range(groups)]
    index, parts = [], []
    for part in map(slice, [0, *ends], ends):
        mine = lengths[..., part]
        group = Group(length=pad_to or int(mine[..., -1].max()), lengths=mine.ravel())
        column = np.arange(group.length)
        if not group.is_full:
            column = np.minimum(column, mine[..., None] - 1)
        tokens = starts[..., part, None] + column
        index.append(tokens.reshape(*lengths.shape[:-1], -1))
        parts.append(group)
    flat = index[0] if len(index) == 1 else np.concatenate(index, axis=-1)
    return Layout(order=order, index=flat, groups=tuple(parts))
