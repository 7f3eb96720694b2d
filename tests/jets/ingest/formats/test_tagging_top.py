import numpy as np
import pytest

from jetscale.jets.ingest.formats import tagging
from jetscale.jets.ingest.formats.arrays import FAULT
from jetscale.jets.ingest.formats.base import BadFile

pytest.importorskip("h5py")
PARTICLES = [f"{axis}_{i}" for i in range(200) for axis in ("E", "PX", "PY", "PZ")]
TRUTH = ["truthE", "truthPX", "truthPY", "truthPZ"]


@pytest.fixture
def write_top(write_frame):
    def write(path, made, labels, layout="table", names=PARTICLES):
        """As published: E first, 200 slots, truth, then ttv and the label."""
        padded = np.zeros((len(made.pt), 200, 4), np.float32)
        padded[:, : made.pt.shape[1]] = made.momenta[:, :, [3, 0, 1, 2]]
        values = np.concatenate([padded.reshape(-1, 800), np.full((len(padded), 4), 9)], axis=1)
        integers = np.stack([np.zeros(len(labels), int), labels], axis=1)
        blocks = [([*names, *TRUTH], values.astype(np.float32))]
        return write_frame(path, [*blocks, (["ttv", "is_signal_new"], integers)], layout)

    return write


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("layout", ["table", "fixed"])
def test_jets_of_the_reference_set(tmp_path, made_up, write_top, read, layout):
    made, labels = made_up(30, 12), np.arange(30) % 2
    found = read(tagging.TOP, write_top(tmp_path / "test.h5", made, labels, layout))
    assert found["jet_label"].to_pylist() == labels.tolist()
    assert found["jet_nparticles"].to_pylist() == made.filled.sum(axis=1).tolist()
    names = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
    axes = np.stack([found[name].to_numpy() for name in names], axis=1)
    np.testing.assert_allclose(axes, made.jets(), rtol=1e-4, atol=1e-5)
    for jet in range(30):
        n, axis = made.filled[jet].sum(), made.jets()[jet]
        px = found["part_px"][jet].as_py()
        np.testing.assert_allclose(px, made.momenta[jet, :n, 0], rtol=1e-4, atol=1e-4)
        mirror = 1 if axis[1] > 0 else -1
        deta = mirror * (made.eta[jet, :n] - axis[1])
        np.testing.assert_allclose(found["part_deta"][jet].as_py(), deta, atol=1e-4)


def test_the_last_jet_of_a_file_is_read(tmp_path, made_up, write_top, read):
    labels = [0, 0, 0, 1]
    path = write_top(tmp_path / "a.h5", made_up(4, 3), labels)
    assert read(tagging.TOP, path)["jet_label"].to_pylist() == labels


def test_what_the_set_lacks_is_absent(tmp_path, made_up, write_top, read, feature_sets):
    path = write_top(tmp_path / "a.h5", made_up(4, 3), [0, 1, 0, 1])
    assert feature_sets(tagging.TOP, path) == ["kin"]
    names = read(tagging.TOP, path).column_names
    assert {name for name in names if not name.startswith(FAULT)} == {
        *("part_px", "part_py", "part_pz", "part_energy", "part_deta", "part_dphi"),
        *("jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_nparticles", "jet_label"),
    }


def test_hardest_first_whatever_the_file(tmp_path, made_up, write_top, read):
    made = made_up(6, 5)
    turned = type(made)(*(v[:, ::-1] for v in (made.pt, made.eta, made.phi, made.filled)))
    a = read(tagging.TOP, write_top(tmp_path / "a.h5", made, [0] * 6))
    b = read(tagging.TOP, write_top(tmp_path / "b.h5", turned, [0] * 6))
    assert a.equals(b)


def test_another_frame_is_refused(tmp_path, made_up, write_top):
    names = [name.lower() for name in PARTICLES]
    path = write_top(tmp_path / "a.h5", made_up(2, 3), [0, 1], names=names)
    with pytest.raises(
        BadFile, match=r"a\.h5: 800 columns missing \(table/E_0, table/E_1, .*\.\.\.\)"
    ):
        tagging.TOP.count(path)
