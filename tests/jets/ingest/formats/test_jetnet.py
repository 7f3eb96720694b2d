import numpy as np
import pytest

from jetscale.jets.ingest.formats import jetnet
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.schema import JETNET

pytest.importorskip("h5py")


@pytest.fixture
def write_jetnet(write_hdf5):
    def write(path, made, slots=30):
        n, used = made.pt.shape
        particles = np.zeros((n, slots, 4))
        jets = made.jets()
        particles[:, :used, 0] = (made.eta - jets[:, 1:2]) * made.filled
        particles[:, :used, 1] = (made.phi - jets[:, 2:3] + np.pi) % (2 * np.pi) - np.pi
        particles[:, :used, 2] = made.pt / jets[:, :1]
        particles[:, :used, 3] = made.filled
        particles[:, :used] *= made.filled[:, :, None]
        mass = np.sqrt(np.maximum(jets[:, 3] ** 2 - (jets[:, 0] * np.cosh(jets[:, 1])) ** 2, 0))
        features = np.stack([jets[:, 0], jets[:, 1], mass, made.filled.sum(axis=1)], axis=1)
        return write_hdf5(path, particle_features=particles, jet_features=features)

    return write


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(("name", "slots"), [("t.hdf5", 30), ("t150.hdf5", 150)])
def test_relative_coordinates_become_jets(tmp_path, made_up, write_jetnet, read, name, slots):
    made = made_up(20, 9)
    found = read(jetnet.FORMAT, write_jetnet(tmp_path / name, made, slots)).to_pydict()
    jets = made.jets()
    np.testing.assert_allclose(found["jet_pt"], jets[:, 0], rtol=1e-9)
    np.testing.assert_allclose(found["jet_energy"], jets[:, 3], rtol=1e-9)
    for jet, filled in enumerate(made.filled):
        n, axis = filled.sum(), jets[jet]
        np.testing.assert_allclose(
            np.hypot(found["part_px"][jet], found["part_py"][jet]), made.pt[jet, :n]
        )
        np.testing.assert_allclose(found["part_pz"][jet], made.momenta[jet, :n, 2], atol=1e-9)
        mirror = 1 if axis[1] > 0 else -1
        np.testing.assert_allclose(
            found["part_deta"][jet], mirror * (made.eta[jet, :n] - axis[1]), atol=1e-9
        )
        assert np.sum(found["part_py"][jet]) == pytest.approx(0, abs=1e-6)  # axis along x


@pytest.mark.parametrize("name", JETNET)
def test_the_class_is_in_the_name(tmp_path, made_up, write_jetnet, read, name):
    found = read(jetnet.FORMAT, write_jetnet(tmp_path / f"{name}30.hdf5", made_up(3, 4)))
    assert found["jet_label"].to_pylist() == [JETNET.index(name)] * 3


def test_what_the_set_lacks_is_absent(tmp_path, made_up, write_jetnet, read, feature_sets):
    path = write_jetnet(tmp_path / "g.hdf5", made_up(3, 4))
    assert feature_sets(jetnet.FORMAT, path) == ["kin"]
    names = set(read(jetnet.FORMAT, path).column_names)
    assert not {"jet_phi", "jet_sdmass", "part_charge", "part_isPhoton", "part_d0val"} & names


@pytest.mark.parametrize("name", ["x.hdf5", "top.hdf5", "t99.hdf5"])
def test_another_name_is_refused(tmp_path, made_up, write_jetnet, name):
    path = write_jetnet(tmp_path / name, made_up(2, 3))
    with pytest.raises(BadFile, match="the class of JetNet jets is the name of their file"):
        jetnet.FORMAT.count(path)


def test_another_layout_is_refused(tmp_path, write_hdf5):
    path = write_hdf5(
        tmp_path / "t.hdf5", particle_features=np.zeros((2, 30, 3)), jet_features=np.zeros((2, 4))
    )
    with pytest.raises(
        BadFile, match=r"'particle_features' is .*\(any, 4\) per jet; not a file of JetNet"
    ):
        jetnet.FORMAT.count(path)
