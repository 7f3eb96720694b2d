"""Where the constituents of a batch and their pairs are, and the four features of each pair.

The features of a pair are those of ParticleTransformer (arXiv 2202.03772, equation 3), natural
logarithms of

    Delta = sqrt(Delta eta^2 + Delta phi^2)    k_T = min(p_T) Delta    z = min(p_T) / (sum p_T)
    m^2 = 2 p_Ta p_Tb (cosh Delta eta - cos Delta phi)

in GeV, GeV^2 and radians. What a model is given, p_T and angles relative to the jet, fixes them
exactly for massless constituents. Published code takes rapidities and the masses from
four-vectors; these also depend on the jet's own pseudorapidity, which is no input of a model. Where
constituents are close, the difference of their energies and momenta in single precision says less
than this form. A number below 1e-8, as those of a pair of one with itself, counts as 1e-8.

Shape suffixes: N constituents of the batch, P pairs of the batch, B jets of a group, L its padded
length.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jetscale.models.batch import View, move

SMALLEST = 1e-8
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A length group: its constituents, and pairs of them, among its (B L) tokens and pairs."""

    view: View
    constituents: int
    tokens: Tensor | None  # tokens that are constituents; None where all are
    pairs: int
    places: Tensor  # place of each pair (jet, i, j) in (B, L, L)
    mirrored: Tensor  # place of (jet, j, i)

    def pad(self, rows: Tensor) -> Tensor:
        """(B L, ...) rows of the tokens, zero for padding, from rows of the constituents."""
        if self.tokens is None:
            return rows
        padded = rows.new_zeros(self.view.jets * self.view.length, rows.shape[1])
        return padded.index_copy(0, self.tokens, rows)

    def unpad(self, rows: Tensor) -> Tensor:
        """Rows of the constituents from (B L, ...) rows of the tokens."""
        return rows if self.tokens is None else rows[self.tokens]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the constituents of a batch and their pairs are.

    A pair of i with j is listed once, with i >= j, and that of one with itself too.
    """

    tokens: Tensor  # (N,) tokens of the batch that are constituents
    first: Tensor  # (P,) constituent i
    second: Tensor  # (P,) constituent j
    groups: tuple[Group, ...]

    def split(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The rows of the constituents of each group."""
        return torch.split(rows, [group.constituents for group in self.groups])


@lru_cache(maxsize=8)
def _triangle(longest: int) -> tuple[Ints, Ints]:
    """All (i, j) with j <= i < longest, by i: those of n constituents come first."""
    i, j = np.tril_indices(longest)
    return i, j


def places_of(views: Sequence[View], device: torch.device) -> Places:
    """The constituents and pairs of a batch in length groups."""
    i_all, j_all = _triangle(2 ** math.ceil(math.log2(max(view.length for view in views))))
    lengths = np.concatenate([view.lengths for view in views])
    counts, starts = lengths * (lengths + 1) // 2, np.cumsum(lengths) - lengths
    i = np.concatenate([i_all[:count] for count in counts])
    j = np.concatenate([j_all[:count] for count in counts])
    start, groups, tokens = 0, [], []

    def there(array: Ints) -> Tensor:
        return move(torch.from_numpy(array), device)

    first = 0
    for view in views:
        here = view.lengths * (view.lengths + 1) // 2
        mine = slice(first, first + int(here.sum()))
        row = np.repeat(np.arange(view.jets) * view.length, here)
        real = np.flatnonzero(np.arange(view.length) < view.lengths[:, None])
        group = Group(
            view=view,
            constituents=len(real),
            tokens=None if view.bias is None else there(real),
            pairs=mine.stop - first,
            places=there((row + i[mine]) * view.length + j[mine]),
            mirrored=there((row + j[mine]) * view.length + i[mine]),
        )
        groups.append(group)
        tokens.append(start + real)
        start, first = start + view.jets * view.length, mine.stop
    jet = np.repeat(starts, counts)
    return Places(
        tokens=there(np.concatenate(tokens)),
        first=there(jet + i),
        second=there(jet + j),
        groups=tuple(groups),
    )


def pair_features(pt_N: Tensor, eta_N: Tensor, phi_N: Tensor, places: Places) -> Tensor:
    """(P, 4) ln k_T, ln z, ln Delta and ln m^2 of each pair; p_T in GeV."""
    pt, eta, phi = (x[places.first] for x in (pt_N, eta_N, phi_N))
    other_pt, other_eta, other_phi = (x[places.second] for x in (pt_N, eta_N, phi_N))
    deta = eta - other_eta
    dphi = torch.remainder(phi - other_phi + math.pi, 2 * math.pi) - math.pi
    delta, least = torch.hypot(deta, dphi), torch.minimum(pt, other_pt)
    # cosh x - cos y = 2 sinh^2(x / 2) + 2 sin^2(y / 2), without a difference of two near ones
    opening = torch.sinh(deta / 2).square() + torch.sin(dphi / 2).square()
    numbers = (least * delta, least / (pt + other_pt), delta, 4 * pt * other_pt * opening)
    return torch.stack(numbers, dim=1).clamp_(min=SMALLEST).log_()
