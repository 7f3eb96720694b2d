"""Jet-level observables in plain NumPy, from the constituents' four-momenta.

How many constituents there are and how soft, how the transverse momentum is shared (leading shares,
dispersion pTD), the mass, and the angular profile (angularities lambda_beta = sum_i z_i dR_i^beta
with z_i = pT_i / sum pT, arXiv 1408.3122; shares of pT in cones; the ellipse of the pT flow).
Distances dR are in pseudorapidity and azimuth to the axis of the summed constituents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jetscale.errors import DataError
from jetscale.jets.arrays import Floats, Ints, edges_of

SOFT_CUTS = (1.0, 2.0, 5.0, 10.0)  # GeV
BETAS = (0.5, 1.0, 2.0, 3.0)
CONES = (0.1, 0.2, 0.4)
LEADING = (1, 2, 3, 5, 10)
TAUS = ("jet_tau1", "jet_tau2", "jet_tau3", "jet_tau4")
_MOMENTA = ("part_px", "part_py", "part_pz", "part_energy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constituents:
    """Four-momenta in GeV, jet after jet; jet i owns ``start[i]:start[i + 1]``, at least one."""

    start: Ints
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def of_table(cls, table: pa.Table) -> Self:
        """The constituents of a table; DataError if their source lacks full four-momenta."""
        if absent := [name for name in _MOMENTA if name not in table.column_names]:
            what = f"jets without {', '.join(absent)} have no observables"
            raise DataError(f"{what}: their source lacks full four-momenta")
        lists = [table[name].combine_chunks() for name in _MOMENTA]
        counts = lists[0].value_lengths().to_numpy(zero_copy_only=False)
        px, py, pz, energy = (part.flatten().to_numpy().astype(np.float64) for part in lists)
        return cls(start=edges_of(counts), px=px, py=py, pz=pz, energy=energy)

    @classmethod
    def of_padded(cls, vectors: NDArray[np.floating], mask: NDArray[np.number | np.bool_]) -> Self:
        """From (n, 4, length) px, py, pz, E and a mask of (n, 1, length) or (n, length)."""
        inside = mask.reshape(len(vectors), -1) != 0
        px, py, pz, energy = (vectors[:, i][inside].astype(np.float64) for i in range(4))
        return cls(start=edges_of(inside.sum(axis=1)), px=px, py=py, pz=pz, energy=energy)

    def sums(self, values: Floats) -> Floats:
        """(n,) sums of a constituent quantity over each jet."""
        total: Floats = np.add.reduceat(values, self.start[:-1]) if len(self) else np.zeros(0)
        return total


def jet_observables(source: pa.Table | Constituents) -> tuple[tuple[str, ...], Floats]:
    """Names of the k observables and their (n, k) values, all finite; momenta and masses in GeV.

    A table with the columns ``jet_tau1`` to ``jet_tau4`` yields tau21, tau32 and tau43 as well.

    >>> vectors = np.array([[[3.0, 1.0], [0.0, 0.0], [0.0, 0.0], [3.0, 1.0]]])  # px, py, pz, E
    >>> names, values = jet_observables(Constituents.of_padded(vectors, np.ones((1, 2))))
    >>> dict(zip(names, values[0].tolist()))["leading_1"]
    0.75
    """
    jets = source if isinstance(source, Constituents) else Constituents.of_table(source)
    counts, pt = np.diff(jets.start), np.hypot(jets.px, jets.py)
    total = jets.sums(pt)
    columns = {"multiplicity": counts.astype(np.float64)}
    for cut in SOFT_CUTS:
        columns[f"below_{cut:g}_gev"] = jets.sums((pt < cut).astype(np.float64))
    columns["pt_dispersion"] = np.sqrt(jets.sums(pt**2)) / total
    jet = np.repeat(np.arange(len(jets)), counts)
    ordered = pt[np.lexsort((-pt, jet))]
    rank = np.arange(len(pt)) - np.repeat(jets.start[:-1], counts)
    for n in LEADING:
        columns[f"leading_{n}"] = jets.sums(np.where(rank < n, ordered, 0.0)) / total

    px, py, pz, energy = (jets.sums(v) for v in (jets.px, jets.py, jets.pz, jets.energy))
    z = pt / np.repeat(total, counts)
    deta = np.arcsinh(jets.pz / pt) - np.repeat(np.arcsinh(pz / np.hypot(px, py)), counts)
    dphi = np.arctan2(jets.py, jets.px) - np.repeat(np.arctan2(py, px), counts)
    dphi = (dphi + np.pi) % (2 * np.pi) - np.pi  # azimuth has a seam at pi
    distance = np.hypot(deta, dphi)
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0))  # float32 inputs round below 0
    columns |= {"mass": mass, "mass_over_pt": mass / np.hypot(px, py)}
    for beta in BETAS:
        columns[f"angularity_{beta:g}"] = jets.sums(z * distance**beta)
    for cone in CONES:
        columns[f"pt_within_{cone:g}"] = jets.sums(np.where(distance < cone, z, 0.0))
    # reduceat fails on no jets at all
    farthest = np.maximum.reduceat(distance, jets.start[:-1]) if len(jets) else np.zeros(0)
    columns |= {"largest_distance": farthest, "mean_distance": jets.sums(distance) / counts}
    # Eigenvalues of the 2 x 2 tensor sum z (deta, dphi)(deta, dphi) differ by hypot(ee - pp, 2 ep)
    # and sum to its trace ee + pp: their asymmetry is 1 for a line and 0 for a disc.
    ee, pp, ep = (jets.sums(z * v) for v in (deta**2, dphi**2, deta * dphi))
    trace = np.maximum(ee + pp, 1e-12)
    columns |= {"elongation": np.hypot(ee - pp, 2 * ep) / trace, "eta_share": ee / trace}
    if isinstance(source, pa.Table) and set(TAUS) <= set(source.column_names):
        columns |= tau_ratios({name: source[name].to_numpy() for name in TAUS})
    return tuple(columns), np.stack(list(columns.values()), axis=1).astype(np.float64)


def tau_ratios(taus: Mapping[str, NDArray[np.floating]]) -> dict[str, Floats]:
    """tau21, tau32 and tau43; 0 where the lower tau is 0 (too few constituents)."""
    tau = [np.asarray(taus[name], dtype=np.float64) for name in TAUS]
    return {
        f"tau{k + 1}{k}": np.where(lower > 0, upper / np.where(lower > 0, lower, 1), 0.0)
        for k, (lower, upper) in enumerate(pairwise(tau), 1)
    }
