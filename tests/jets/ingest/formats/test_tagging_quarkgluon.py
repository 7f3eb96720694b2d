import zipfile

import numpy as np
import pytest

from jetscale.jets.ingest.formats import tagging
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.formats.particles import MASSES, charge_of

CODES = np.array([22, 211, -211, 130, 2112, -2212, 11, -13, 321])


def archive(path, made, labels, compressed=True):
    """X and y as published: double precision, slots in any order."""
    codes = np.random.default_rng(3).choice(CODES, made.pt.shape) * made.filled
    padded = np.stack([made.pt, made.eta, made.phi % (2 * np.pi) * made.filled, codes], axis=2)
    save = np.savez_compressed if compressed else np.savez
    save(path, X=padded[:, ::-1], y=np.array(labels, float))
    return path, codes


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("compressed", [True, False])
def test_jets_of_the_published_archives(tmp_path, made_up, read, compressed):
    made, labels = made_up(20, 9), np.arange(20) % 2
    path, codes = archive(tmp_path / "QG_jets.npz", made, labels, compressed)
    found = read(tagging.QUARKGLUON, path).to_pydict()
    assert found["jet_label"] == labels.tolist()
    for jet, filled in enumerate(made.filled):
        n, code = filled.sum(), codes[jet, : filled.sum()]
        mass = np.array([MASSES.get(abs(c), 0.0) for c in code])
        transverse = np.sqrt(made.pt[jet, :n] ** 2 + mass**2)
        energy = transverse * np.cosh(made.eta[jet, :n])
        assert found["jet_nparticles"][jet] == n
        np.testing.assert_allclose(found["part_energy"][jet], energy, rtol=1e-9)
        assert found["jet_energy"][jet] == pytest.approx(energy.sum())
        np.testing.assert_allclose(found["part_px"][jet], made.momenta[jet, :n, 0], atol=1e-9)
        assert found["part_charge"][jet] == charge_of(code).tolist()
        assert found["part_isPhoton"][jet] == (code == 22).tolist()
        assert max(map(abs, found["part_dphi"][jet])) <= np.pi


def test_what_the_set_lacks_is_absent(tmp_path, made_up, read, feature_sets):
    path, _ = archive(tmp_path / "a.npz", made_up(3, 4), [0, 1, 1])
    assert feature_sets(tagging.QUARKGLUON, path) == ["kin", "kinpid"]
    names = read(tagging.QUARKGLUON, path).column_names
    assert not {"part_d0val", "part_dzerr", "jet_sdmass", "jet_tau1"} & set(names)
    assert {"part_charge", "part_isMuon", "jet_eta"} < set(names)


def test_arrays_of_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.array([{}], object), y=np.zeros(1))
    with pytest.raises(
        BadFile, match=r"a\.npz: column 'X' is object .*; not a file of quark and gluon jets"
    ):
        tagging.QUARKGLUON.count(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"X": np.zeros((3, 4)), "y": np.zeros(3)},
            r"column 'X' is float64 \(3, 4\), needs .*\(any, 4\) per jet",
        ),
        ({"X": np.zeros((3, 2, 4)), "y": np.zeros(4)}, "rows differ: {'X': 3, 'y': 4}"),
        ({"X": np.zeros((3, 2, 4))}, "unknown column 'y'; known: X; not a file"),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadFile, match=message):
        tagging.QUARKGLUON.count(tmp_path / "a.npz")


def test_truncation_is_noticed_whether_the_index_or_the_array_is_cut(tmp_path, made_up):
    path, _ = archive(tmp_path / "a.npz", made_up(50, 9), [0] * 50, compressed=False)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(BadFile, match="not a readable NumPy archive"):
        tagging.QUARKGLUON.count(path)
    with (
        zipfile.ZipFile(tmp_path / "b.npz", "w") as cut,
        zipfile.ZipFile(archive(tmp_path / "c.npz", made_up(50, 9), [0] * 50)[0]) as whole,
    ):
        cut.writestr("y.npy", whole.read("y.npy"))
        cut.writestr("X.npy", whole.read("X.npy")[:-100])
    with pytest.raises(BadFile, match=r"b\.npz: .*ends 100 bytes early"):
        list(tagging.QUARKGLUON.read(tmp_path / "b.npz"))


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2, 4), (",  # TokenError
        b"  x\n y",  # IndentationError
        b"{'descr': '<f8, 'fortran_order': False, 'shape': (3, 2, 4)}",
    ],
)
def test_a_damaged_header_is_one_line(tmp_path, header):
    content = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("X.npy", content)
        file.writestr("y.npy", content)
    with pytest.raises(BadFile, match=r"a\.npz: not a readable NumPy archive file") as stop:
        tagging.QUARKGLUON.count(tmp_path / "a.npz")
    assert "\n" not in str(stop.value)
