"""A parametrised detector: particles in, reconstructed candidates out, a whole batch at once.

Follows Delphes (arXiv 1307.6346) with the card of the published JetClass. As in the published jets
a track keeps its true momentum, in the direction it has closest to the beam axis, until a tower
scales it; the momentum resolution enters only where impact-parameter resolutions are looked up.
Tracks scaled to nothing are dropped: the published files do not list them either. Lengths in mm,
momenta and energies in GeV.
"""

from dataclasses import dataclass

import numpy as np

from jetscale.jets.arrays import Columns, Floats, Ints
from jetscale.jets.detector import resolution
from jetscale.jets.detector.calorimeter import ECAL, HCAL, Flow, Hits, energy_flow
from jetscale.jets.detector.helix import exit_direction, perigee, starts_inside
from jetscale.jets.generator.pythia import Particles

CHARGED_HADRON, NEUTRAL_HADRON, PHOTON, ELECTRON, MUON = range(5)  # in the order of the flags

EM_SHARE_OF_LONG_LIVED = 0.3  # of K0S and Lambda energy in the electromagnetic calorimeter
_K0S, _LAMBDA, _PHOTON, _ELECTRON, _MUON = 310, 3122, 22, 11, 13  # PDG codes

VERTEX_SPREAD = 50.0  # mm, standard deviation of the collisions along the beam
MIN_DISTANCE, SIGNIFICANCE = 1.0, 3.0  # mm in dz, standard deviations of d0 and dz


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates(Columns):
    """Reconstructed particles, sorted by event; impact parameters are 0 for neutral ones."""

    event: Ints
    kind: Ints
    charge: Floats
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    listed_eta: Floats  # in the published files: for tracks that of the calorimeter hit
    d0: Floats
    d0_error: Floats
    dz: Floats
    dz_error: Floats


def detect(particles: Particles, rng: np.random.Generator) -> Candidates:
    """Everything that the detector reconstructs from the particles, sorted by event."""
    inside = starts_inside((particles.vx, particles.vy, particles.vz))
    p = particles if inside.all() else particles.take(inside)
    pt, code = np.hypot(p.px, p.py), np.abs(p.code)
    eta_out, phi_out = exit_direction(p.charge, (p.px, p.py, p.pz), (p.vx, p.vy, p.vz))
    electron, muon = code == _ELECTRON, code == _MUON
    charged = np.flatnonzero(p.charge != 0)
    bent = (values[charged] for values in (pt, np.abs(eta_out), electron, muon))
    tracked = np.zeros(len(p), dtype=np.bool_)
    tracked[charged] = rng.random(len(charged)) < resolution.track_efficiency(*bent)
    # Photons and electrons stop in the first calorimeter; muons pass both without energy loss.
    long_lived = np.where((code == _K0S) | (code == _LAMBDA), EM_SHARE_OF_LONG_LIVED, 0.0)
    share = np.where((code == _PHOTON) | electron, 1.0, long_lived)
    scale, pieces = np.ones(len(p)), []
    for calorimeter, kind, weight in (
        (ECAL, PHOTON, share),
        (HCAL, NEUTRAL_HADRON, np.where(muon, 0.0, 1 - share)),
    ):
        rows = np.flatnonzero(weight > 0)
        energy = weight[rows] * p.energy[rows]
        track = np.where(tracked[rows], energy, 0.0)
        hits = Hits(p.event[rows], eta_out[rows], phi_out[rows], energy, track)
        flow = energy_flow(hits, calorimeter, rng)
        scale[rows] *= flow.scale
        pieces.append(_neutrals(flow, kind))
    found = np.flatnonzero(tracked & (scale > 0))
    pieces.append(_tracks(p.take(found), eta_out[found], scale[found], rng))
    everything = Candidates.concatenate(*pieces)
    return everything.take(np.argsort(everything.event, kind="stable"))


def subtract_pileup(candidates: Candidates) -> Candidates:
    """The candidates without prompt tracks of other collisions.

    Displaced tracks are kept, as they may come from b hadrons, and so are neutral candidates: this
    is charged hadron subtraction, not the PUPPI of the public JetClass-II.
    """
    prompt = np.abs(candidates.d0) < SIGNIFICANCE * candidates.d0_error
    distance = np.maximum(MIN_DISTANCE, SIGNIFICANCE * candidates.dz_error)
    foreign = prompt & (np.abs(candidates.dz) > distance) & (candidates.charge != 0)
    return candidates.take(~foreign)


def _tracks(p: Particles, eta_out: Floats, scale: Floats, rng: np.random.Generator) -> Candidates:
    pt, pz, code = np.hypot(p.px, p.py), p.pz, np.abs(p.code)
    electron, muon = code == _ELECTRON, code == _MUON
    d0, dz, cos, sin = perigee(p.charge, (p.px, p.py, pz), (p.vx, p.vy, p.vz))
    relative = resolution.momentum_resolution(pt, np.abs(eta_out), electron, muon)
    measured = resolution.log_normal(pt, pt * relative, rng)
    d0_error, dz_error = resolution.impact_resolution(measured, np.abs(np.arcsinh(pz / pt)))
    mass2 = np.maximum(p.energy**2 - pt**2 - pz**2, 0)  # scaling keeps the mass
    pt, pz = pt * scale, pz * scale
    return Candidates(
        event=p.event,
        kind=np.where(electron, ELECTRON, np.where(muon, MUON, CHARGED_HADRON)),
        charge=p.charge,
        px=pt * cos,
        py=pt * sin,
        pz=pz,
        energy=np.sqrt(pt**2 + pz**2 + mass2),
        listed_eta=eta_out,
        d0=d0 + d0_error * rng.standard_normal(len(p)),
        d0_error=d0_error,
        dz=dz + dz_error * rng.standard_normal(len(p)),
        dz_error=dz_error,
    )


def _neutrals(flow: Flow, kind: int) -> Candidates:
    pt, zero = flow.energy / np.cosh(flow.eta), np.zeros(len(flow.event))
    return Candidates(
        event=flow.event,
        kind=np.full(len(flow.event), kind),
        px=pt * np.cos(flow.phi),
        py=pt * np.sin(flow.phi),
        pz=pt * np.sinh(flow.eta),
        energy=flow.energy,
        listed_eta=flow.eta,
        **dict.fromkeys(("charge", "d0", "d0_error", "dz", "dz_error"), zero),
    )
