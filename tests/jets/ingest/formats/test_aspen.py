import numpy as np
import pytest

from jetscale.jets.ingest.clean import clean
from jetscale.jets.ingest.formats import aspen
from jetscale.jets.ingest.formats.base import BadFile

pytest.importorskip("h5py")


def arrays_of(made):
    n, used = made.pt.shape
    candidates = np.zeros((n, 150, 11), np.float32)
    candidates[:, :used, :4] = made.momenta
    charged = np.arange(used) % 2 == 0
    candidates[:, :used, 4:8] = [0.01, 0.001, -0.02, 0.002]  # cm
    candidates[:, :used, 8] = charged
    candidates[:, :used, 9] = np.where(charged, 211, 22)
    candidates[:, :used, 10] = 1.0
    candidates *= np.pad(made.filled, ((0, 0), (0, 150 - used)))[:, :, None]
    jets = made.jets()
    kinematics = np.stack([jets[:, 0] * 1.1, jets[:, 1], jets[:, 2], np.full(n, 80.0)], axis=1)
    tagging = np.tile(np.arange(13.0) / 10, (n, 1))
    return {
        "event_info": np.zeros((n, 3)),
        "jet_kinematics": kinematics,
        "PFCands": candidates,
        "jet_tagging": tagging,
    }


@pytest.mark.usefixtures("small_batches")
def test_collision_jets(tmp_path, made_up, write_hdf5, read):
    made = made_up(20, 9)
    path = write_hdf5(tmp_path / "RunG_batch0.h5", **arrays_of(made))
    cleaned = clean(read(aspen.FORMAT, path), 1)
    assert not cleaned.faults
    found, jets = cleaned.table.to_pydict(), made.jets()
    assert found["jet_label"] == [0] * 20
    np.testing.assert_allclose(found["jet_pt"], 1.1 * jets[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found["jet_energy"], jets[:, 3], rtol=1e-5)
    assert found["jet_sdmass"] == [80.0] * 20
    assert found["jet_tau1"] == pytest.approx([0.1] * 20)
    assert found["jet_tau4"] == pytest.approx([0.4] * 20)
    for jet in range(20):
        charge = np.array(found["part_charge"][jet])
        assert charge.tolist() == [(i + 1) % 2 for i in range(len(charge))]
        np.testing.assert_allclose(found["part_d0val"][jet], 0.1 * charge, rtol=1e-5)  # mm
        np.testing.assert_allclose(found["part_dzerr"][jet], 0.02 * charge, rtol=1e-5)
        assert found["part_isChargedHadron"][jet] == (charge != 0).tolist()
        assert found["part_isPhoton"][jet] == (charge == 0).tolist()


def test_neutral_constituents_have_no_track_whatever_is_stored(tmp_path, made_up, write_hdf5, read):
    arrays = arrays_of(made_up(4, 6))
    neutral = arrays["PFCands"][:, :, 9] == 22
    arrays["PFCands"][neutral, 5] = np.nan
    path = write_hdf5(tmp_path / "a.h5", **arrays)
    assert not clean(read(aspen.FORMAT, path), 1).faults


def test_a_particle_code_that_is_not_finite_is_found(tmp_path, made_up, write_hdf5, read):
    arrays = arrays_of(made_up(4, 6))
    arrays["PFCands"][2, 0, 9] = np.nan
    path = write_hdf5(tmp_path / "a.h5", **arrays)
    faults = clean(read(aspen.FORMAT, path), 1).faults
    assert {k: v.tolist() for k, v in faults.items()} == {"non-finite value": [2]}


def test_all_feature_sets_are_there(tmp_path, made_up, write_hdf5, feature_sets):
    path = write_hdf5(tmp_path / "a.h5", **arrays_of(made_up(4, 6)))
    assert feature_sets(aspen.FORMAT, path) == ["kin", "kinpid", "full"]


def test_other_layouts_are_refused(tmp_path, made_up, write_hdf5):
    arrays = arrays_of(made_up(4, 6))
    del arrays["jet_tagging"]
    with pytest.raises(BadFile, match=r"unknown column .jet_tagging.; known: PFCands, ev"):
        aspen.FORMAT.count(write_hdf5(tmp_path / "a.h5", **arrays))
    arrays = arrays_of(made_up(4, 6))
    arrays["PFCands"] = arrays["PFCands"][:, :, :10]
    with pytest.raises(
        BadFile,
        match=r"'PFCands' is float32 \(4, 150, 10\), needs .*\(any, 11\) per jet; not a file",
    ):
        aspen.FORMAT.count(write_hdf5(tmp_path / "b.h5", **arrays))
