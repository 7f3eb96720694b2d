"""A parametrised detector: particles in, reconstructed candidates out, a whole batch at once.

Follows Delphes (arXiv 1307.6346) with the card of the published JetClass: particles fly through a
3.8 T field to the calorimeter, charged ones are found as tracks with the card's efficiencies, and
energy flow combines tracks and towers (see `jetscale.jets.detector.calorimeter`). As in the
published jets a track keeps its true momentum, in the direction it has closest to the beam axis,
until a tower scales it; the momentum resolution enters only where impact-parameter resolutions are
looked up.

Tracks scaled to nothing are dropped: the published files do not list them either.
Lengths in mm, momenta and energies in GeV.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.detector.calorimeter import ECAL, HCAL, Flow, Hits, energy_flow
from jetscale.jets.detector.helix import exit_direction, perigee, starts_inside
from jetscale.jets.detector.resolution import (
    impact_resolution,
    log_normal,
    momentum_resolution,
    track_efficiency,
)
from jetscale.jets.generator.pythia import Particles

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

CHARGED_HADRON, NEUTRAL_HADRON, PHOTON, ELECTRON, MUON = range(5)  # in the order of the flags

EM_SHARE_OF_LONG_LIVED = 0.3  # of K0S and Lambda energy in the electromagnetic calorimeter
_K0S, _LAMBDA = 310, 3122


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Reconstructed particles, sorted by event; impact parameters are 0 for neutral ones.

    ``listed_eta`` is the pseudorapidity under which the published files list a candidate; for
    tracks it is that of the calorimeter hit, while jets are made from the momentum.
    """

    event: Ints
    kind: Ints
    charge: Floats
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    listed_eta: Floats
    d0: Floats
    d0_error: Floats
    dz: Floats
    dz_error: Floats

    def __len__(self) -> int:
        return len(self.event)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, rows: NDArray[Any]) -> "Candidates":
        """The candidates ``rows`` (indices or a mask)."""
        return Candidates(**{name: column[rows] for name, column in self.columns().items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flights:
    """Particles that start inside the tracker, and where they hit the calorimeter."""

    particles: Particles
    pt: Floats
    eta_out: Floats
    phi_out: Floats
    electron: Bools
    muon: Bools


def detect(particles: Particles, rng: np.random.Generator) -> Candidates:
    """What the detector makes of the particles."""
    flights = _fly(particles)
    p = flights.particles
    tracked = _is_tracked(flights, rng)
    tracks = np.flatnonzero(tracked)
    share = _electromagnetic_share(p, flights)
    scale = np.ones(len(p))
    pieces = []
    for calorimeter, kind, weight in (
        (ECAL, PHOTON, share),
        (HCAL, NEUTRAL_HADRON, np.where(flights.muon, 0.0, 1 - share)),
    ):
        rows = np.flatnonzero(weight > 0)
        energy = weight[rows] * p.energy[rows]
        hits = Hits(
            event=p.event[rows],
            eta=flights.eta_out[rows],
            phi=flights.phi_out[rows],
            energy=energy,
            track=np.where(tracked[rows], energy, 0.0),
        )
        flow = energy_flow(hits, calorimeter, rng)
        scale[rows] *= flow.scale
        pieces.append(_neutrals(flow, kind))
    pieces.append(_tracks(flights, tracks[scale[tracks] > 0], scale, rng))
    joined = {
        field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
        for field in fields(Candidates)
    }
    return Candidates(**joined).take(np.argsort(joined["event"], kind="stable"))


def _fly(particles: Particles) -> _Flights:
    vertex = (particles.vx, particles.vy, particles.vz)
    inside = starts_inside(vertex)
    p = particles
    if not inside.all():
        rows = np.flatnonzero(inside)
        p = Particles(**{name: column.take(rows) for name, column in particles.columns().items()})
    eta_out, phi_out = exit_direction(p.charge, (p.px, p.py, p.pz), (p.vx, p.vy, p.vz))
    code = np.abs(p.code)
    return _Flights(
        particles=p,
        pt=np.hypot(p.px, p.py),
        eta_out=eta_out,
        phi_out=phi_out,
        electron=code == 11,
        muon=code == 13,
    )


def _is_tracked(flights: _Flights, rng: np.random.Generator) -> Bools:
    charged = np.flatnonzero(flights.particles.charge != 0)
    chance = track_efficiency(
        flights.pt[charged],
        np.abs(flights.eta_out[charged]),
        flights.electron[charged],
        flights.muon[charged],
    )
    tracked = np.zeros(len(flights.pt), dtype=np.bool_)
    tracked[charged] = rng.random(len(charged)) < chance
    return tracked


def _electromagnetic_share(p: Particles, flights: _Flights) -> Floats:
    code = np.abs(p.code)
    long_lived = np.where((code == _K0S) | (code == _LAMBDA), EM_SHARE_OF_LONG_LIVED, 0.0)
    share: Floats = np.where((code == 22) | flights.electron, 1.0, long_lived)
    return share


def _tracks(flights: _Flights, t: Ints, scale: Floats, rng: np.random.Generator) -> Candidates:
    p, pt = flights.particles, flights.pt[t]
    electron, muon, charge, pz = flights.electron[t], flights.muon[t], p.charge[t], p.pz[t]
    d0, dz, cos, sin = perigee(charge, (p.px[t], p.py[t], pz), (p.vx[t], p.vy[t], p.vz[t]))
    relative = momentum_resolution(pt, np.abs(flights.eta_out[t]), electron, muon)
    measured = log_normal(pt, pt * relative, rng)
    d0_error, dz_error = impact_resolution(measured, np.abs(np.arcsinh(pz / pt)))
    mass2 = np.maximum(p.energy[t] ** 2 - pt**2 - pz**2, 0)
    pt, pz = pt * scale[t], pz * scale[t]
    return Candidates(
        event=p.event[t],
        kind=np.where(electron, ELECTRON, np.where(muon, MUON, CHARGED_HADRON)),
        charge=charge,
        px=pt * cos,
        py=pt * sin,
        pz=pz,
        energy=np.sqrt(pt**2 + pz**2 + mass2),
        listed_eta=flights.eta_out[t],
        d0=d0 + d0_error * rng.standard_normal(len(t)),
        d0_error=d0_error,
        dz=dz + dz_error * rng.standard_normal(len(t)),
        dz_error=dz_error,
    )


def _neutrals(flow: Flow, kind: int) -> Candidates:
    pt, zero = flow.energy / np.cosh(flow.eta), np.zeros(len(flow.event))
    return Candidates(
        event=flow.event,
        kind=np.full(len(flow.event), kind),
        charge=zero,
        px=pt * np.cos(flow.phi),
        py=pt * np.sin(flow.phi),
        pz=pt * np.sinh(flow.eta),
        energy=flow.energy,
        listed_eta=flow.eta,
        d0=zero,
        d0_error=zero,
        dz=zero,
        dz_error=zero,
    )
