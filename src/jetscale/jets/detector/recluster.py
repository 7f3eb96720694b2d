"""FastJet: candidates to anti-kT jets, their substructure, and the columns of the schema.

Jets have R = 0.8, as in JetClass (arXiv 2202.03772). Substructure is the soft drop mass (beta 0,
z_cut 0.1; arXiv 1402.2657) and N-subjettiness tau1 to tau4 (beta 1, R0 0.8; arXiv 1011.2268).
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.arrays import Floats, Ints, edges_of, rows_of
from jetscale.jets.detector.detector import Candidates
from jetscale.jets.generator.conditions import JETCLASS_WINDOW, Window
from jetscale.jets.generator.pythia import require
from jetscale.jets.schema import PART_FLAGS

RADIUS = 0.8
Z_CUT = 0.1
_WHOLE_JET = 3.0  # Cambridge/Aachen radius that keeps a jet in one piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Jets:
    """n jets; jet i owns the candidates ``rows[start[i]:start[i + 1]]``, hardest first."""

    event: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    energy: Floats
    start: Ints
    rows: Ints

    def __len__(self) -> int:
        return len(self.event)

    @property
    def counts(self) -> Ints:
        """(n,) constituents per jet."""
        return np.diff(self.start)

    def take(self, chosen: Ints) -> "Jets":
        """The jets ``chosen``, in that order."""
        counts = self.counts[chosen]
        own = {k: getattr(self, k)[chosen] for k in ("event", "pt", "eta", "phi", "energy")}
        rows = self.rows[rows_of(self.start[chosen], counts)]
        return Jets(**own, start=edges_of(counts), rows=rows)


@lru_cache(maxsize=1)
def _fastjet() -> Any:
    fastjet = require("fastjet")
    # the first clustering prints a banner of 14 lines
    require("fastjet._swig").ClusterSequence.set_fastjet_banner_stream(None)
    return fastjet


def _vectors(candidates: Candidates, rows: Ints | slice, counts: Ints) -> Any:
    ak, q = require("awkward"), candidates
    momenta = {"px": q.px[rows], "py": q.py[rows], "pz": q.pz[rows], "E": q.energy[rows]}
    return ak.unflatten(ak.zip(momenta), counts)


def find_jets(candidates: Candidates, n_events: int, window: Window = JETCLASS_WINDOW) -> Jets:
    """All anti-kT jets inside the pT and eta window; candidates are sorted by event."""
    low, high = window.pt_range
    ak, fastjet = require("awkward"), _fastjet()
    counts = np.bincount(candidates.event, minlength=n_events)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    cluster = fastjet.ClusterSequence(_vectors(candidates, slice(None), counts), definition)
    found = cluster.inclusive_jets(min_pt=low)
    members = ak.flatten(cluster.constituent_index(min_pt=low), axis=1)
    event = np.repeat(np.arange(n_events), ak.to_numpy(ak.num(found)))
    px, py, pz, energy = (ak.to_numpy(ak.flatten(found[axis])) for axis in ("px", "py", "pz", "E"))
    # FastJet counts constituents within their event, jet after jet in no order
    sizes = ak.to_numpy(ak.num(members)).astype(np.int64)
    rows = ak.to_numpy(ak.flatten(members)) + np.repeat(edges_of(counts)[event], sizes)
    jet = np.repeat(np.arange(len(sizes)), sizes)
    hardest_first = np.lexsort((-np.hypot(candidates.px[rows], candidates.py[rows]), jet))
    pt = np.hypot(px, py)
    eta, phi, start = np.arcsinh(pz / pt), np.arctan2(py, px), edges_of(sizes)
    rows = rows[hardest_first]
    jets = Jets(event=event, pt=pt, eta=eta, phi=phi, energy=energy, start=start, rows=rows)
    return jets.take(np.flatnonzero((pt > low) & (pt < high) & (np.abs(eta) < window.max_eta)))


def soft_drop_masses(candidates: Candidates, jets: Jets) -> Floats:
    """(n,) groomed masses in GeV.

    Soft drop with beta = 0 walks down the Cambridge/Aachen clustering and drops the softer branch
    until the two share pT as min(pT) > z_cut sum(pT). FastJet's groomer takes five times as long.
    """
    fastjet, q = _fastjet(), candidates.take(jets.rows)
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, _WHOLE_JET)
    momenta = np.stack([q.px, q.py, q.pz, q.energy], axis=1).tolist()
    masses = np.zeros(len(jets))
    for i, (first, last) in enumerate(pairwise(jets.start.tolist())):
        constituents = [fastjet.PseudoJet(*p) for p in momenta[first:last]]
        cluster = fastjet.ClusterSequence(constituents, definition)
        jet = max(cluster.inclusive_jets(), key=lambda j: j.pt2())
        while True:
            a, b = fastjet.PseudoJet(), fastjet.PseudoJet()
            if not jet.has_parents(a, b):
                break  # one constituent is left
            pt_a, pt_b = a.pt(), b.pt()
            if min(pt_a, pt_b) > Z_CUT * (pt_a + pt_b):
                break
            jet = a if pt_a > pt_b else b
        masses[i] = max(float(jet.m()), 0.0)  # FastJet gives rounding below 0 a negative mass
    return masses


def subjettiness(candidates: Candidates, jets: Jets) -> Floats:
    """(n, 4) tau1 to tau4, normalised to the jet's summed pT times R0; 0 for too few particles."""
    if not len(jets):
        return np.zeros((0, 4))
    fastjet, particles = _fastjet(), _vectors(candidates, jets.rows, jets.counts)
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, _WHOLE_JET)
    cluster = fastjet.ClusterSequence(particles, definition)
    taus = cluster.njettiness(njets=[1, 2, 3, 4], beta=1.0, R0=RADIUS)
    return np.asarray(require("awkward").to_numpy(taus))


def constituent_columns(candidates: Candidates, jets: Jets) -> dict[str, NDArray[Any]]:
    """Flat constituent columns of the schema, jet after jet; split them at ``jets.start``.

    As in the published files, tracks have the pseudorapidity of their calorimeter hit: momenta do
    not add up to the jet's, and curling tracks may lie far outside of it.
    """
    q = candidates.take(jets.rows)
    jet_eta, jet_phi = (np.repeat(axis, jets.counts) for axis in (jets.eta, jets.phi))
    eta, charged = q.listed_eta, q.charge != 0
    pz = np.where(charged, np.hypot(q.px, q.py) * np.sinh(eta), q.pz)
    energy = np.where(charged, np.sqrt(np.maximum(q.energy**2 + pz**2 - q.pz**2, 0)), q.energy)
    dphi = np.arctan2(q.py, q.px) - jet_phi
    floats = {
        "part_px": q.px,
        "part_py": q.py,
        "part_pz": pz,
        "part_energy": energy,
        "part_deta": np.where(jet_eta > 0, 1.0, -1.0) * (eta - jet_eta),
        "part_dphi": (dphi + np.pi) % (2 * np.pi) - np.pi,
        "part_d0val": q.d0,
        "part_d0err": q.d0_error,
        "part_dzval": q.dz,
        "part_dzerr": q.dz_error,
    }
    flags = {name: q.kind == kind for kind, name in enumerate(PART_FLAGS)}
    return _singles(floats) | {"part_charge": q.charge.astype(np.int32)} | flags


def jet_columns(candidates: Candidates, jets: Jets) -> dict[str, NDArray[Any]]:
    """Jet columns of the schema, without the label."""
    tau = subjettiness(candidates, jets)
    floats = {
        "jet_pt": jets.pt,
        "jet_eta": jets.eta,
        "jet_phi": jets.phi,
        "jet_energy": jets.energy,
        "jet_sdmass": soft_drop_masses(candidates, jets),
        **{f"jet_tau{i + 1}": tau[:, i] for i in range(4)},
    }
    return _singles(floats) | {"jet_nparticles": jets.counts.astype(np.int32)}


def _singles(columns: dict[str, Floats]) -> dict[str, NDArray[Any]]:
    return {name: values.astype(np.float32) for name, values in columns.items()}
