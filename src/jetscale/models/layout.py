"""How the jets of a batch are laid out for attention; numpy only.

Jets are sorted by length and cut into a few groups of equal size. Each group is padded to its own
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

MAX_GROUPS = 8
JETS_PER_GROUP = 8
TOKENS_PER_GROUP = 256
"""Padded tokens that one more group must save: its calls cost about as much as these tokens do
(one CPU thread, widths 8-32; see ``benchmarks/training.md``)."""


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


def choose_groups(ordered: Ints, tokens_per_group: int = TOKENS_PER_GROUP) -> int:
    """Number of groups that costs least for jets of ``ordered`` lengths, ascending, in tokens."""
    n = len(ordered)
    best, cost = 1, n * int(ordered[-1]) + tokens_per_group
    groups = 2
    while groups <= min(MAX_GROUPS, n // JETS_PER_GROUP):
        edges = np.arange(groups + 1) * n // groups
        ends = edges[1:]
        tokens = int(ordered[ends - 1] @ (ends - edges[:-1])) + groups * tokens_per_group
        if tokens < cost:
            best, cost = groups, tokens
        groups *= 2
    return best


def arrange(
    starts: Ints, lengths: Ints, *, groups: int | None = None, pad_to: int | None = None
) -> Layout:
    """Lay out the jets that begin at rows ``starts`` of ``Ragged.values`` and have ``lengths``.

    Both are (n,), or (K, n) for a stack. ``groups`` None chooses their number; ``pad_to`` pads all
    jets to this length, in one group.
    """
    order, n = np.argsort(lengths, axis=-1, kind="stable"), lengths.shape[-1]
    starts, lengths = (np.take_along_axis(a, order, -1) for a in (starts, lengths))
    if pad_to is not None:
        groups = 1
    elif groups is None:
        longest = lengths if lengths.ndim == 1 else lengths.max(0)
        groups = choose_groups(longest, TOKENS_PER_GROUP * n // lengths.size)
    index, parts = [], []
    for i in range(groups):
        part = slice(i * n // groups, (i + 1) * n // groups)
        mine = lengths[..., part]
        group = Group(length=pad_to or int(mine[..., -1].max()), lengths=mine.ravel())
        column = np.arange(group.length)
        if not group.is_full:
            column = np.minimum(column, mine[..., None] - 1)
        tokens = starts[..., part, None] + column
        index.append(tokens.reshape(*lengths.shape[:-1], -1))
        parts.append(group)
    flat = index[0] if groups == 1 else np.concatenate(index, axis=-1)
    return Layout(order=order, index=flat, groups=tuple(parts))
