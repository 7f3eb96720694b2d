import numpy as np
import pytest

from jetscale.errors import DataError
from jetscale.jets.ingest.clean import clean
from jetscale.jets.ingest.formats import omnilearned
from jetscale.jets.ingest.formats.base import BadFile

pytest.importorskip("h5py")


def arrays_of(made, labels, width):
    n, used = made.pt.shape
    jets, data = made.jets(), np.zeros((n, 150, 9), np.float32)
    filled = made.filled
    pt, energy = np.where(filled, made.pt, 1), np.where(filled, made.momenta[:, :, 3], 1)
    data[:, :used, 0] = made.eta - jets[:, 1:2]
    data[:, :used, 1] = (made.phi - jets[:, 2:3] + np.pi) % (2 * np.pi) - np.pi
    data[:, :used, 2], data[:, :used, 3] = np.log(pt), np.log(energy)
    data[:, :used, 4] = 8  # the place of 211
    data[:, :used, 5:] = [np.tanh(0.3), 0.05, np.tanh(-2.0), 0.5]
    data[:, :used] *= filled[:, :, None]
    return {"data": data[:, :, :width], "pid": np.array(labels)}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("name", "corpus", "first", "classes"),
    [
        ("jetclass", "jetclass", 2, 10),
        ("jetclass2", "jetclass2", 12, 188),
        ("top", "top", 0, 2),
        ("qg", "quarkgluon", 0, 2),
        ("jetnet150", "jetnet", 0, 5),
        ("aspen", "unlabelled", 200, 1),
    ],
)
def test_labels_start_at_the_offset_of_the_set(
    tmp_path, made_up, write_hdf5, read, name, corpus, first, classes
):
    labels = np.random.default_rng(1).integers(0, classes, 20)
    path = write_hdf5(tmp_path / "a.h5", **arrays_of(made_up(20, 9), labels + first, 4))
    format = omnilearned.of_set(name)
    cleaned = clean(read(format, path), len(format.names))
    assert format.corpus == corpus
    assert not cleaned.faults
    assert cleaned.table["jet_label"].to_pylist() == labels.tolist()


def test_kinematics_from_logarithms(tmp_path, made_up, write_hdf5, read):
    made = made_up(20, 9)
    path = write_hdf5(tmp_path / "a.h5", **arrays_of(made, [0] * 20, 4))
    found, jets = read(omnilearned.of_set("top"), path).to_pydict(), made.jets()
    assert found["jet_nparticles"] == made.filled.sum(axis=1).tolist()
    np.testing.assert_allclose(found["jet_pt"], jets[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found["jet_energy"], jets[:, 3], rtol=1e-5)
    for jet, filled in enumerate(made.filled):
        n = filled.sum()
        pt = np.hypot(found["part_px"][jet], found["part_py"][jet])
        np.testing.assert_allclose(pt, made.pt[jet, :n], rtol=1e-5)
        deta = made.eta[jet, :n] - jets[jet, 1]
        np.testing.assert_allclose(found["part_deta"][jet], deta, atol=1e-5)


@pytest.mark.parametrize(("width", "charge", "tracks"), [(4, 0, 0), (5, 1, 0), (9, 1, 1)])
def test_columns_follow_the_width(
    tmp_path, made_up, write_hdf5, read, feature_sets, width, charge, tracks
):
    path = write_hdf5(tmp_path / "a.h5", **arrays_of(made_up(5, 4), [0] * 5, width))
    sets = ["kin", "kinpid", "full"][: 1 + charge + tracks]
    assert feature_sets(omnilearned.of_set("top"), path) == sets
    names = set(read(omnilearned.of_set("top"), path).column_names)
    assert ("part_charge" in names, "part_d0val" in names) == (bool(charge), bool(tracks))
    assert not {"part_pz", "jet_eta", "jet_phi", "jet_sdmass"} & names


def test_particle_codes_and_displacements(tmp_path, made_up, write_hdf5, read):
    arrays = arrays_of(made_up(1, 9), [0], 9)
    arrays["data"][0, :9, 2:4] = 1.0
    arrays["data"][0, :9, 4] = np.arange(9)
    arrays["data"][0, :9, 5] = np.tanh(np.array([0.3, -0.3, 5, 50, -50, 0, 0, 0, 0], np.float32))
    path = write_hdf5(tmp_path / "a.h5", **arrays)
    (jet,) = clean(read(omnilearned.of_set("top"), path), 2).table.to_pylist()
    assert jet["part_charge"] == [-1, 1, 1, 0, -1, -1, 0, 0, 1]
    assert jet["part_isElectron"] == [False, False, True, False, True, *[False] * 4]
    assert jet["part_isNeutralHadron"] == [False] * 3 + [True] + [False] * 3 + [True, False]
    assert jet["part_d0val"][:2] == pytest.approx([0.3, -0.3])
    assert np.isfinite(jet["part_d0val"]).all()
    feature = np.tanh(np.array(jet["part_d0val"], np.float32))
    assert np.array_equal(feature[3:5], arrays["data"][0, 3:5, 5])  # saturated, and again so


def test_a_tanh_beyond_one_is_found(tmp_path, made_up, write_hdf5, read):
    arrays = arrays_of(made_up(3, 4), [0] * 3, 9)
    arrays["data"][1, 0, 5] = 1.5
    arrays["data"][2, 0, 2] = 1e4
    path = write_hdf5(tmp_path / "a.h5", **arrays)
    faults = clean(read(omnilearned.of_set("top"), path), 2).faults
    assert {k: v.tolist() for k, v in faults.items()} == {"non-finite value": [1, 2]}


@pytest.mark.parametrize("code", [np.nan, np.inf, 2.5])
def test_a_bad_particle_code_is_a_fault_of_its_jet(tmp_path, made_up, write_hdf5, read, code):
    arrays = arrays_of(made_up(3, 4), [0] * 3, 9)
    arrays["data"][1, 0, 4] = code
    path = write_hdf5(tmp_path / "a.h5", **arrays)
    cleaned = clean(read(omnilearned.of_set("top"), path), 2)
    assert {k: v.tolist() for k, v in cleaned.faults.items()} == {"non-finite value": [1]}
    assert cleaned.table.num_rows == 2


def test_the_set_must_be_named():
    with pytest.raises(DataError, match="do not say which set they are; name it: jetclass,"):
        omnilearned.of_set(None)
    with pytest.raises(DataError, match="unknown OmniLearned set 'jetclas2'; did you mean 'jetcl"):
        omnilearned.of_set("jetclas2")


def test_other_layouts_are_refused(tmp_path, made_up, write_hdf5):
    arrays = arrays_of(made_up(3, 4), [0] * 3, 9)
    with pytest.raises(
        BadFile, match=r"column \'data\' is .* of shape \(any, \(4, 5, 9\)\) per jet; not a"
    ):
        omnilearned.of_set("top").count(
            write_hdf5(tmp_path / "a.h5", data=arrays["data"][:, :, :7], pid=arrays["pid"])
        )
    with pytest.raises(BadFile, match="rows differ"):
        omnilearned.of_set("top").count(
            write_hdf5(tmp_path / "b.h5", data=arrays["data"], pid=arrays["pid"][:2])
        )
    arrays["data"][0, 0, 4] = 12
    path = write_hdf5(tmp_path / "c.h5", **arrays)
    with pytest.raises(BadFile, match=r"c\.h5: particle code 12 is not in 0\.\.8"):
        list(omnilearned.of_set("top").read(path))
