"""Pairs of constituents: which there are in a batch, and the four features of each.

The features of a pair are those of ParticleTransformer (arXiv 2202.03772, equation 3), natural
logarithms of

    Delta = sqrt(Delta eta^2 + Delta phi^2)    k_T = min(p_T) Delta    z = min(p_T) / (sum p_T)
    m^2 = 2 p_Ta p_Tb (cosh Delta eta - cos Delta phi)

in GeV, GeV^2 and radians. What a model is given, p_T and angles relative to the jet, fixes them
exactly for massless constituents. Published code takes rapidities and the masses from
four-vectors; these also depend on the jet's own pseudorapidity, which is no input of a model. Where
constituents are close, the difference of their energies and momenta in single precision says less
than this form. A number below 1e-8, as those of a pair of one with itself, counts as 1e-8.

Shape suffixes: N tokens of the batch including padding, P pairs of the batch.
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
class Pairs:
    """Where the pairs of the constituents of a batch are; padding takes part in none.

    A pair of i with j is listed once, with i >= j, and that of one with itself too.
    """

    tokens: Tensor  # (N',) tokens that are constituents
    first: Tensor  # (P,) token i
    second: Tensor  # (P,) token j
    sizes: list[int]  # pairs of each length group; those of a group follow one another
    places: tuple[Tensor, ...]  # (P of a group,) place of (jet, i, j) in its (B, L, L) biases
    mirrored: tuple[Tensor, ...]  # (P of a group,) place of (jet, j, i)


@lru_cache(maxsize=8)
def _triangle(longest: int) -> tuple[Ints, Ints]:
    """All (i, j) with j <= i < longest, by i: those of n constituents come first."""
    i, j = np.tril_indices(longest)
    return i, j


def pairs_of(views: Sequence[View], device: torch.device) -> Pairs:
    """The pairs of a batch of length groups."""
    i_all, j_all = _triangle(2 ** math.ceil(math.log2(max(view.length for view in views))))
    start, tokens, first, second, places, mirrored = 0, [], [], [], [], []
    for view in views:
        n, jets = view.lengths, np.arange(view.jets)
        counts = n * (n + 1) // 2
        i = np.concatenate([i_all[:count] for count in counts])
        j = np.concatenate([j_all[:count] for count in counts])
        row = np.repeat(jets * view.length, counts)
        first.append(start + row + i)
        second.append(start + row + j)
        places.append((row + i) * view.length + j)
        mirrored.append((row + j) * view.length + i)
        tokens.append(start + np.flatnonzero(np.arange(view.length) < n[:, None]))
        start += view.jets * view.length

    def there(array: Ints) -> Tensor:
        return move(torch.from_numpy(array), device)

    return Pairs(
        tokens=there(np.concatenate(tokens)),
        first=there(np.concatenate(first)),
        second=there(np.concatenate(second)),
        sizes=[len(place) for place in places],
        places=tuple(map(there, places)),
        mirrored=tuple(map(there, mirrored)),
    )


def pair_features(pt_N: Tensor, eta_N: Tensor, phi_N: Tensor, pairs: Pairs) -> Tensor:
    """(P, 4) ln k_T, ln z, ln Delta and ln m^2 of each pair; p_T in GeV."""
    pt, eta, phi = (x[pairs.first] for x in (pt_N, eta_N, phi_N))
    other_pt, other_eta, other_phi = (x[pairs.second] for x in (pt_N, eta_N, phi_N))
    deta = eta - other_eta
    dphi = torch.remainder(phi - other_phi + math.pi, 2 * math.pi) - math.pi
    delta, least = torch.hypot(deta, dphi), torch.minimum(pt, other_pt)
    # cosh x - cos y = 2 sinh^2(x / 2) + 2 sin^2(y / 2), without a difference of two near ones
    opening = torch.sinh(deta / 2).square() + torch.sin(dphi / 2).square()
    numbers = (least * delta, least / (pt + other_pt), delta, 4 * pt * other_pt * opening)
    return torch.stack(numbers, dim=1).clamp_(min=SMALLEST).log_()
