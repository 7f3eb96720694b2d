import sys

import numpy as np
import pytest

from jetscale.errors import MissingExtra, SweepError
from jetscale.jets.generator import pythia as simulate
from jetscale.jets.generator.processes import CLASSES, COMMON, process_named
from jetscale.jets.generator.pythia import Particles, SoftPool, overlay


def some_particles(n, event=0):
    rng = np.random.default_rng(n)
    columns = {
        name: rng.normal(size=n)
        for name in ("charge", "px", "py", "pz", "energy", "vx", "vy", "vz")
    }
    return Particles(event=np.full(n, event), code=np.arange(n) + 100, **columns)


POOL = SoftPool(start=np.array([0, 2, 5]), particles=some_particles(5))


def test_overlay_adds_whole_soft_events_and_leaves_hard_ones_alone():
    hard = some_particles(7, event=3)
    mixed = overlay(hard, 400, POOL, 1.5, np.random.default_rng(1))
    for name, column in hard.columns().items():
        np.testing.assert_array_equal(mixed.columns()[name][:7], column)
    codes = mixed.code[7:]
    assert (codes == 100).sum() == (codes == 101).sum()
    assert (codes == 102).sum() == (codes == 103).sum() == (codes == 104).sum()
    added = (codes == 100).sum() + (codes == 102).sum()
    assert added == pytest.approx(1.5 * 400, abs=5 * np.sqrt(600))


def test_overlay_turns_and_reflects_without_changing_momenta():
    mixed = overlay(some_particles(0), 300, POOL, 2.0, np.random.default_rng(2))
    source = mixed.code - 100
    for a, b in (("px", "py"), ("vx", "vy")):
        before = np.hypot(*(POOL.particles.columns()[n][source] for n in (a, b)))
        np.testing.assert_allclose(np.hypot(*(mixed.columns()[n] for n in (a, b))), before)
    np.testing.assert_array_equal(np.abs(mixed.pz), np.abs(POOL.particles.pz[source]))
    assert np.mean(mixed.pz == POOL.particles.pz[source]) == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(mixed.energy, POOL.particles.energy[source])


def test_pileup_is_spread_along_the_beam():
    still = overlay(some_particles(0), 300, POOL, 2.0, np.random.default_rng(3))
    moved = overlay(some_particles(0), 300, POOL, 2.0, np.random.default_rng(3), spread=50.0)
    for name in set(still.columns()) - {"vz"}:
        np.testing.assert_array_equal(still.columns()[name], moved.columns()[name])
    shift = moved.vz - still.vz
    assert shift.std() == pytest.approx(50.0, rel=0.1)
    first = moved.code == 100  # a soft event moves as a whole
    np.testing.assert_allclose(shift[first], shift[np.flatnonzero(first) + 1])


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(MissingExtra, match=r"jetscale\[simulate\]"):
        simulate.require("pythia8mc")


@pytest.mark.parametrize("seed", [0, -1, 900_000_001])
def test_seeds_that_pythia_would_not_honour_are_refused(seed):
    with pytest.raises(SweepError, match="not in 1"):
        simulate.Generator((), seed, None)


@pytest.mark.integration
def test_unknown_settings_are_refused():
    pytest.importorskip("pythia8mc")
    with pytest.raises(SweepError, match="'No:such = on'"):
        simulate.Generator((*COMMON, "No:such = on"), 1, None)


@pytest.mark.integration
def test_a_gun_event_is_what_was_fired(capfd):
    pytest.importorskip("pythia8mc")
    generator = simulate.make_generators(process_named("res34p"), 11)[0]
    record = generator.events(20)
    assert len(record) == 20
    for first in record.start[:-1]:
        assert record.code[first + 5] == record.code[first + 6] == 9000101
    px, py, pz, energy = record.momentum
    final, event = record.status > 0, record.event
    totals = [np.bincount(event[final], v[final]) for v in (px, py, pz, energy)]
    np.testing.assert_allclose(np.stack(totals[:3]), 0, atol=0.1)
    np.testing.assert_allclose(totals[3], 13000, rtol=1e-4)
    particles = generator.particles(record)
    assert not np.isin(np.abs(particles.code), simulate.NEUTRINOS).any()
    assert set(np.unique(particles.charge[np.abs(particles.code) == 211])) == {-1.0, 1.0}
    assert capfd.readouterr() == ("", "")


@pytest.mark.integration
def test_a_copied_data_base_makes_the_events_of_a_fresh_pythia():
    pythia8mc = pytest.importorskip("pythia8mc")
    settings = CLASSES["QCD"].variants[0]
    ours = simulate.Generator(settings, 5, None).events(5)
    fresh = pythia8mc.Pythia("", False)
    for line in (*settings, "Random:seed = 5"):
        assert fresh.readString(line)
    assert fresh.init()
    theirs = simulate.EventRecord.from_batch(fresh.nextBatch(5).prt)
    np.testing.assert_array_equal(ours.code, theirs.code)
    np.testing.assert_array_equal(ours.momentum, theirs.momentum)
