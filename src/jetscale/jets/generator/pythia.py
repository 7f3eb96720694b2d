"""Pythia 8: hard events with shower and hadrons, as flat NumPy arrays.

Hard processes come from `jetscale.jets.generator.gun`, QCD from Pythia's own. Multiparton
interactions, which take two thirds of the time, are replaced by a pool of soft events that is made
once and laid over the hard events at random angles. Pythia and awkward are imported when used.
"""

import importlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np

from jetscale.errors import MissingExtra, SweepError
from jetscale.jets.arrays import Columns, Floats, Ints, edges_of, rows_of
from jetscale.jets.generator.conditions import JETCLASS_WINDOW, Window
from jetscale.jets.generator.decays import NEUTRINOS
from jetscale.jets.generator.gun import HardEvent, draw_events
from jetscale.jets.generator.processes import BEAM_ENERGY, SOFT, Process
from jetscale.jets.generator.seeds import MAX_SEED

BATCH = 250  # events per call of Pythia
MIN_PT = 0.05  # GeV, of particles that the detector looks at
_PROCESS_NUMBER = 9999


def require(package: str) -> Any:
    """The package of the extra ``simulate``; raises MissingExtra where it is absent."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtra(package, "simulate") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """All entries of a batch of events, event after event."""

    start: Ints  # one entry more than there are events
    code: Ints
    status: Ints
    mother: Ints  # like the daughters counts from the start of the event and is 0 for none
    daughter1: Ints
    daughter2: Ints
    momentum: tuple[Floats, Floats, Floats, Floats]  # px, py, pz, energy in GeV
    vertex: tuple[Floats, Floats, Floats]  # mm

    @classmethod
    def from_batch(cls, entries: Any) -> Self:
        """The entries of Pythia's ``nextBatch(n).prt``, an awkward array of (event, entry)."""
        ak = require("awkward")

        def flat(values: Any) -> Any:
            return ak.to_numpy(ak.flatten(values))

        vertex = ak.flatten(entries.vProd)  # missing where a particle starts at the origin
        px, py, pz, energy = (flat(entries.p[axis]) for axis in ("px", "py", "pz", "e"))
        vx, vy, vz = (ak.to_numpy(ak.fill_none(vertex[axis], 0.0)) for axis in ("px", "py", "pz"))
        names = {"code": "id", "status": "status", "mother": "mother1"}
        names |= {name: name for name in ("daughter1", "daughter2")}
        return cls(
            start=edges_of(ak.to_numpy(ak.num(entries))),
            **{ours: flat(entries[theirs]).astype(np.int64) for ours, theirs in names.items()},
            momentum=(px, py, pz, energy),
            vertex=(vx, vy, vz),
        )

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def event(self) -> Ints:
        """Event number of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))


@dataclass(frozen=True, slots=True, kw_only=True)
class Particles(Columns):
    """Particles that reach the detector; GeV, mm, units of the electron charge."""

    event: Ints
    code: Ints
    charge: Floats
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    vx: Floats
    vy: Floats
    vz: Floats


class Generator:
    """One initialised Pythia; equal seeds (1 to 900000000) give equal events.

    ``process`` drives the gun, None is for processes of Pythia's own. Raises MissingExtra without
    pythia8mc, and SweepError where Pythia refuses a setting or does not start.
    """

    def __init__(
        self,
        settings: tuple[str, ...],
        seed: int,
        process: Process | None,
        window: Window = JETCLASS_WINDOW,
    ) -> None:
        if not 1 <= seed <= MAX_SEED:
            raise SweepError(f"generator seed {seed} is not in 1..{MAX_SEED}")
        self._window = window
        # copying parsed settings and particle data saves 0.1 s of each start
        template = _template()
        pythia = require("pythia8mc").Pythia(template.settings, template.particleData, False)
        self._pythia = pythia
        if process:
            # Pythia keeps no reference to the gun: it must live as long as the generator does
            self._gun = _les_houches_gun(process, np.random.default_rng(seed), window)
            pythia.setLHAupPtr(self._gun)
        for line in (*settings, f"Random:seed = {seed}"):
            if not pythia.readString(line):
                raise SweepError(f"Pythia does not know the setting {line!r}")
        if not pythia.init():
            raise SweepError(f"Pythia did not start with seed {seed}; run with another seed")

    def events(self, n: int) -> EventRecord:
        """The next events: n, or fewer where Pythia gave some up."""
        return EventRecord.from_batch(self._pythia.nextBatch(n).prt)

    def particles(self, record: EventRecord) -> Particles:
        """The stable, visible particles of a record in reach of the detector."""
        px, py, pz, _ = record.momentum
        reach = np.hypot(px, py)
        keep = (record.status > 0) & (reach > MIN_PT)
        keep &= np.abs(pz) < reach * np.sinh(self._window.particle_eta)
        keep &= ~np.isin(np.abs(record.code), NEUTRINOS)
        rows = np.flatnonzero(keep)
        code = record.code[rows]
        # Pythia tells the charge of one kind at a time: ask once per kind
        kinds, which = np.unique(code, return_inverse=True)
        charge_of = self._pythia.particleData.charge
        charges = np.array([charge_of(kind) for kind in kinds.tolist()], dtype=np.float64)
        names = ("px", "py", "pz", "energy", "vx", "vy", "vz")
        vectors = zip(names, (*record.momentum, *record.vertex), strict=True)
        columns = {name: axis[rows] for name, axis in vectors}
        return Particles(event=record.event[rows], code=code, charge=charges[which], **columns)


def make_generators(
    process: Process, seed: int, window: Window = JETCLASS_WINDOW
) -> list[Generator]:
    """One generator per variant of the process, with seeds counting on; take turns between them.

    The seeds ``seed``, ``seed + 1``, ... must belong to the caller alone: Pythia and the gun make
    equal hard events from equal seeds, whatever the decay settings.
    """
    gun = process if process.gun else None
    return [Generator(lines, own, gun, window) for own, lines in enumerate(process.variants, seed)]


@lru_cache(maxsize=1)
def _template() -> Any:
    """A Pythia with default settings that is never started."""
    template = require("pythia8mc").Pythia("", False)
    template.readString("Print:quiet = on")
    return template


def _les_houches_gun(process: Process, rng: np.random.Generator, window: Window) -> Any:
    base = require("pythia8mc").LHAup

    class Gun(base):  # type: ignore[misc, valid-type]
        """Hands Pythia one prepared hard event at a time."""

        def __init__(self) -> None:
            base.__init__(self)
            self.ready: list[HardEvent] = []

        def setInit(self) -> bool:  # noqa: N802
            self.setBeamA(2212, BEAM_ENERGY)  # two protons
            self.setBeamB(2212, BEAM_ENERGY)
            self.setStrategy(3)
            self.addProcess(_PROCESS_NUMBER, 1.0, 0.0, 1.0)
            return True

        def setEvent(self, process_number: int = 0) -> bool:  # noqa: N802
            while not self.ready:
                self.ready = draw_events(process, rng, window=window)[::-1]
            hard = self.ready.pop()
            self.setProcess(_PROCESS_NUMBER, 1.0, hard.scale, 1 / 128.0, 0.11)
            for row in hard.rows:
                self.addParticle(*row)
            self.setIdX(hard.rows[0][0], hard.rows[1][0], hard.x1, hard.x2)
            return True

    return Gun()


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftPool:
    """Soft events to lay over hard ones."""

    start: Ints  # one entry more than there are events
    particles: Particles


def make_soft_pool(events: int, seed: int, window: Window = JETCLASS_WINDOW) -> SoftPool:
    """Visible particles of ``events`` inelastic collisions (about 5 ms each)."""
    generator = Generator(SOFT, seed, None, window)
    particles = generator.particles(generator.events(events))
    counts = np.bincount(particles.event, minlength=events)
    return SoftPool(start=edges_of(counts), particles=particles)


def overlay(
    particles: Particles,
    n_events: int,
    pool: SoftPool,
    mean: float,
    rng: np.random.Generator,
    *,
    spread: float = 0.0,
) -> Particles:
    """Add a Poisson number of soft events to each hard event.

    Each is turned by a random azimuth and reflected in z at random, so that one pool serves many
    hard events; ``spread`` mm is the normal spread of their vertices along the beam.
    """
    count = rng.poisson(mean, n_events)
    target = np.repeat(np.arange(n_events), count)
    source = rng.integers(len(pool.start) - 1, size=len(target))
    angle = rng.uniform(0, 2 * np.pi, len(target))
    flip = rng.choice([-1.0, 1.0], len(target))
    size = pool.start[source + 1] - pool.start[source]
    soft = pool.particles.take(rows_of(pool.start[source], size))
    cos, sin, flip = (np.repeat(values, size) for values in (np.cos(angle), np.sin(angle), flip))
    vz = flip * soft.vz
    if spread:
        vz += np.repeat(rng.normal(0.0, spread, len(target)), size)
    turned = replace(
        soft,
        event=np.repeat(target, size),
        px=cos * soft.px - sin * soft.py,
        py=sin * soft.px + cos * soft.py,
        pz=flip * soft.pz,
        vx=cos * soft.vx - sin * soft.vy,
        vy=sin * soft.vx + cos * soft.vy,
        vz=vz,
    )
    return Particles.concatenate(particles, turned)
