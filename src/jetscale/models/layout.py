"""How the jets of a batch are laid out for attention; numpy only.

Jets are sorted by length and cut into a few groups of equal size. Each group is padded to its own
longest jet, and the groups are laid one after another in one token matrix: linear layers act on the
whole matrix, attention on a view of each group, so nothing is gathered or scattered inside the
model. One group padded to a fixed length is the usual padded batch, the reference for the others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_GROUPS = 8
JETS_PER_GROUP = 8
TOKENS_PER_GROUP = 256
"""Padded tokens that one more group must save: its calls cost about as much as these tokens do
(one CPU thread, widths 8-32; see ``benchmarks/training.md``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Jets padded to one length.

    Attributes:
        length: Padded length L.
        lengths: (B,) constituents of each jet.
    """

    length: int
    lengths: NDArray[np.int64]

    @property
    def is_full(self) -> bool:
        """True when no jet is padded."""
        return bool((self.lengths == self.length).all())

    @property
    def tokens(self) -> int:
        """Rows of the token matrix, B x L."""
        return len(self.lengths) * self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The token matrix of a batch of n jets.

    Attributes:
        order: (n,) the jet at each place: positions in the arrays given to `arrange`.
        index: (N,) the row of ``Ragged.values`` behind each token; a padding token repeats the last
            constituent of its jet and is masked in the model.
        groups: Consecutive groups of the jets in ``order``.
    """

    order: NDArray[np.int64]
    index: NDArray[np.int64]
    groups: tuple[Group, ...]


def choose_groups(ordered: NDArray[np.int64], tokens_per_group: int = TOKENS_PER_GROUP) -> int:
    """Number of groups with the least padded tokens, each group costing ``tokens_per_group``.

    Args:
        ordered: (n,) constituents per jet, ascending.
    """
    n = len(ordered)
    best, cost = 1, n * int(ordered[-1]) + tokens_per_group
    groups = 2
    while groups <= min(MAX_GROUPS, n // JETS_PER_GROUP):
        ends = np.arange(1, groups + 1) * n // groups
        tokens = int(ordered[ends - 1] @ np.diff(ends, prepend=0)) + groups * tokens_per_group
        if tokens < cost:
            best, cost = groups, tokens
        groups *= 2
    return best


def arrange(
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    groups: int | None = None,
    pad_to: int | None = None,
) -> Layout:
    """Lay out the jets that begin at rows ``starts`` and have ``lengths`` constituents.

    Args:
        starts, lengths: (n,) first row in ``Ragged.values`` and number of constituents, at least 1,
            of each jet.
        groups: Number of groups; None chooses it with `choose_groups`.
        pad_to: Pad all jets to this length, in one group: the padded reference.
    """
    order = np.argsort(lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    n = len(order)
    if pad_to is not None:
        groups = 1
    elif groups is None:
        groups = choose_groups(lengths)
    index, parts = [], []
    for i in range(groups):
        part = slice(i * n // groups, (i + 1) * n // groups)
        group = Group(length=pad_to or int(lengths[part][-1]), lengths=lengths[part])
        column = np.arange(group.length)
        if not group.is_full:
            column = np.minimum(column, group.lengths[:, None] - 1)
        index.append((starts[part, None] + column).ravel())
        parts.append(group)
    flat = index[0] if groups == 1 else np.concatenate(index)
    return Layout(order=order, index=flat, groups=tuple(parts))
