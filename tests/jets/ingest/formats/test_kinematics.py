import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets.ingest.formats.arrays import Slots
from jetscale.jets.ingest.formats.kinematics import Momenta, mirrored, wrapped


def summed(made):
    slots = Slots.of(made.filled, made.pt)
    momenta = Momenta(
        **dict(zip(("px", "py", "pz", "energy"), slots.pick(made.momenta).T, strict=True))
    )
    return slots, momenta


def test_jets_are_vector_sums(made_up):
    made = made_up(50, 12)
    slots, momenta = summed(made)
    jets = momenta.jets(slots)
    names = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
    np.testing.assert_allclose(np.stack([jets[n] for n in names], 1), made.jets(), rtol=1e-9)


def test_a_jet_without_constituents_has_no_direction():
    slots = Slots.of(np.zeros((1, 3), bool), np.zeros((1, 3)))
    empty = np.empty(0)
    with np.errstate(invalid="ignore"):
        jets = Momenta(px=empty, py=empty, pz=empty, energy=empty).jets(slots)
    assert jets["jet_pt"][0] == 0
    assert np.isnan(jets["jet_eta"][0])


def test_angles_and_rapidity_agree_for_massless_particles(made_up):
    made = made_up(20, 5)
    a = Momenta.from_angles(pt=made.pt, eta=made.eta, phi=made.phi, mass=0.0)
    b = Momenta.from_rapidity(pt=made.pt, y=made.eta, phi=made.phi, mass=np.zeros_like(made.pt))
    for name in ("px", "py", "pz", "energy"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12, atol=1e-12)


@given(st.floats(0.1, 900), st.floats(-3, 3), st.floats(-3.1, 3.1), st.floats(0, 2))
def test_momenta_have_the_mass_and_rapidity_they_are_made_from(pt, y, phi, mass):
    p = Momenta.from_rapidity(
        pt=np.array([pt]), y=np.array([y]), phi=np.array([phi]), mass=np.array([mass])
    )
    assert np.hypot(p.px, p.py)[0] == pytest.approx(pt)
    assert np.arctan2(p.py, p.px)[0] == pytest.approx(phi, abs=1e-9)
    assert 0.5 * np.log((p.energy + p.pz) / (p.energy - p.pz))[0] == pytest.approx(y, abs=1e-6)
    squared = (p.energy**2 - p.px**2 - p.py**2 - p.pz**2)[0]
    assert squared == pytest.approx(mass**2, abs=1e-9 * float(p.energy[0]) ** 2)


def test_the_mirror_and_the_seam():
    deta = np.array([0.1, 0.1, 0.1])
    assert mirrored(deta, np.array([1.0, -1.0, 0.0])).tolist() == [0.1, -0.1, -0.1]
    assert wrapped(np.array([2 * np.pi - 0.1, -2 * np.pi + 0.1, 0.3])) == pytest.approx(
        [-0.1, 0.1, 0.3]
    )


def test_real_jets_give_their_published_angles(real_data):
    """500 JetClass jets: the published axis is not quite the sum, but it is one axis per jet."""
    folder = real_data / "jetclass_500"
    vectors, points, mask = (np.load(folder / f"pf{n}.npy") for n in ("Vectors", "Points", "Mask"))
    filled = mask[:, 0] > 0
    padded = vectors.astype(float).transpose(0, 2, 1)
    slots = Slots.of(filled, np.hypot(padded[:, :, 0], padded[:, :, 1]))
    px, py, pz, energy = slots.pick(padded).T
    momenta = Momenta(px=px, py=py, pz=pz, energy=energy)
    jets = momenta.jets(slots)
    assert (jets["jet_eta"] < 0).sum() > 100
    angles = momenta.around(slots.spread(jets["jet_eta"]), slots.spread(jets["jet_phi"]))
    published = slots.pick(points.transpose(0, 2, 1))
    for name, values in (("part_deta", published[:, 0]), ("part_dphi", published[:, 1])):
        shift = slots.total(angles[name] - values) / slots.counts
        assert np.abs(shift).max() < 0.03
        assert np.median(np.abs(shift)) < 0.002
        np.testing.assert_allclose(angles[name] - slots.spread(shift), values, atol=3e-5)
