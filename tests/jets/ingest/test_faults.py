"""Files that public bug reports describe: damaged, of another kind, or with impossible numbers.

The small files of `real_data/faults` broke an earlier version; the rest is made up here.
"""

import gzip
import io
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import DataError
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.ingest import ingest, summary_of
from jetscale.jets.shards import verify


@pytest.fixture
def fault(real_data, tmp_path):
    """A function that gives a copy of one of the files that broke an earlier version."""

    def copy(name, to=None):
        source = real_data / "faults" / name
        path = tmp_path / (to or name.removesuffix(".gz"))
        if name.endswith(".gz"):
            path.write_bytes(gzip.decompress(source.read_bytes()))
        else:
            shutil.copyfile(source, path)
        return path

    return copy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        (
            "segv.root.gz",
            "jetclass",
            r"not a readable ROOT file \(list offsets run backwards.*download it",
        ),
        ("hist.root", "jetclass", r"holds tree \(TH1D\); needs a TTree or RNTuple 'tree'"),
        ("rntuple.root", "jetclass", "3 of 3 jets are unusable.*'jet_eta outside -10 to 10'"),
        ("twice.parquet", "jetclass2", "column 'jet_pt' is there 2 times, needs float"),
        ("footer_not_utf8.parquet", "jetclass2", r"not a readable Parquet file \('utf-8' codec"),
        ("qg_remapped_pids.npz", "quarkgluon", "'particle code that is no PDG code'"),
    ],
)
def test_files_that_broke_an_earlier_version(fault, tmp_path, make_jets, name, format, message):
    path = fault(name)
    with pytest.raises(BadFile, match=message) as stop:
        ingest(format, "train", [path], tmp_path / "s")
    assert "\n" not in str(stop.value)
    with pytest.raises(DataError, match=rf"no jets are left of 1 .*1 skipped .*{message}"):
        ingest(format, "train", [path], tmp_path / "s", on_bad_file="skip")
    assert not (tmp_path / "s").exists()


def test_byte_swapped_arrays_are_read(fault, tmp_path):
    path = fault("qg_bigendian.npz")
    assert ingest("quarkgluon", "train", [path], tmp_path / "s").rows == 30


@pytest.mark.parametrize(
    ("name", "to", "format"),
    [("jetnet_lost_g.hdf5", "g.hdf5", "jetnet"), ("qg_lost.npz", None, "quarkgluon")],
)
def test_lost_particles_are_counted(fault, tmp_path, name, to, format):
    path = fault(name, to)
    with pytest.raises(BadFile, match=r"2 of 3 .*: 1 by 'non-finite value', 1 by 'unphysical mom"):
        ingest(format, "train", [path], tmp_path / "s")
    manifest = ingest(format, "train", [path], tmp_path / "s", max_bad=1)
    assert summary_of(manifest)["dropped"] == {"non-finite value": 1, "unphysical momentum": 1}
    assert manifest.rows == 1


def quark_gluon(made, change=None):
    """X and y of the published archives, slots in order."""
    codes = np.where(made.filled, 211, 0)
    padded = np.stack([made.pt, made.eta, made.phi, codes], axis=2)
    if change is not None:
        padded[5, 0] = change
    return {"X": padded, "y": np.arange(len(padded)) % 2}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ([np.nan, 0.1, 1, 211], "non-finite value"),
        ([-300, 0.1, 1, 211], "unphysical momentum"),
        ([300, np.nan, 1, 211], "non-finite value"),
        ([300, 800, 1, 211], "non-finite value"),
        ([300, 0.1, np.inf, 211], "non-finite value"),
        ([300, 0.1, 1, 0.2], "particle code that is no PDG code"),
        ([300, 0.1, 1, 0], "particle code that is no PDG code"),
        ([300, 0.1, 1, 1.3], "particle code that is no PDG code"),
        ([300, 0.1, 1, np.nan], "non-finite value"),
        ([300, 15, 1, 211], "jet_eta outside -10 to 10"),
    ],
)
def test_one_impossible_particle_costs_its_jet_and_no_other(tmp_path, made_up, change, reason):
    np.savez(tmp_path / "a.npz", **quark_gluon(made_up(60, 5), change))
    manifest = ingest("quarkgluon", "train", [tmp_path / "a.npz"], tmp_path / "s")
    assert summary_of(manifest)["dropped"] == {reason: 1}
    assert verify(tmp_path / "s").manifest.rows == 59


@pytest.mark.parametrize(
    ("feature", "value", "reason"),
    [
        (2, -0.3, "unphysical momentum"),
        (2, np.nan, "non-finite value"),
        (3, np.nan, "non-finite value"),
        (3, 0.4, "mask that is neither 0 nor 1"),
        (3, -1.0, "mask that is neither 0 nor 1"),
    ],
)
def test_jetnet_particles_are_not_lost_in_silence(
    tmp_path, made_up, write_hdf5, feature, value, reason
):
    made = made_up(60, 5)
    jets = made.jets()
    particles = np.stack([made.eta - jets[:, 1:2], made.phi, made.pt / 1000, made.filled], axis=2)
    particles *= made.filled[:, :, None]
    particles[7, 0, feature] = value
    features = np.stack([np.full(60, 1000.0), jets[:, 1], np.ones(60), np.ones(60)], axis=1)
    path = write_hdf5(tmp_path / "q.hdf5", particle_features=particles, jet_features=features)
    manifest = ingest("jetnet", "train", [path], tmp_path / "s")
    assert summary_of(manifest)["dropped"] == {reason: 1}


def test_four_momenta_are_no_quark_and_gluon_jets(tmp_path, made_up):
    """Any padded array (n, M, 4) has the layout; the numbers tell."""
    np.savez(tmp_path / "a.npz", X=made_up(300, 10).momenta, y=np.arange(300) % 2)
    with pytest.raises(BadFile, match=r"a\.npz: \d+ of 300 jets are unusable.*no PDG code"):
        ingest("quarkgluon", "train", [tmp_path / "a.npz"], tmp_path / "s")


def test_mixed_up_momenta_are_no_collision_jets(tmp_path, made_up, write_hdf5):
    made = made_up(100, 6)
    jets, candidates = made.jets(), np.zeros((100, 6, 11))
    candidates[:, :, :4] = made.momenta[:, :, [3, 0, 1, 2]]  # energy first
    candidates[:, :, 3] = np.abs(candidates[:, :, 3])
    arrays = {"jet_kinematics": jets, "jet_tagging": np.ones((100, 13)), "PFCands": candidates}
    path = write_hdf5(tmp_path / "a.h5", **arrays)
    with pytest.raises(BadFile, match="by 'energy below the momentum'"):
        ingest("aspenopenjets", "pretrain", [path], tmp_path / "s")


def test_a_single_bad_jet_condemns_no_file_and_two_in_a_hundred_do(tmp_path, made_up):
    arrays = quark_gluon(made_up(100, 5), [-1, 0, 0, 211])
    np.savez(tmp_path / "a.npz", **arrays)
    assert ingest("quarkgluon", "train", [tmp_path / "a.npz"], tmp_path / "s").rows == 99
    arrays["X"][6, 0, 0] = -1
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(BadFile, match=r"2 of 100 jets are unusable, more than 1%"):
        ingest("quarkgluon", "train", [tmp_path / "b.npz"], tmp_path / "t")
    kept = ingest("quarkgluon", "train", [tmp_path / "b.npz"], tmp_path / "t", max_bad=0.02)
    assert kept.rows == 98


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4"])
def test_arrays_in_any_order_give_the_same_jets(tmp_path, made_up, kind, order):
    arrays = quark_gluon(made_up(20, 5))
    X = np.asarray(arrays["X"].astype("f4").astype(kind), order=order)
    np.savez(tmp_path / "a.npz", X=X, y=arrays["y"].astype(kind))
    np.savez(tmp_path / "b.npz", X=X.astype("f8", order="C"), y=arrays["y"])
    changed = ingest("quarkgluon", "train", [tmp_path / "a.npz"], tmp_path / "s")
    plain = ingest("quarkgluon", "train", [tmp_path / "b.npz"], tmp_path / "t")
    tables = [pq.read_table(m.path(m.shards[0])).to_pydict() for m in (changed, plain)]
    assert tables[0]["jet_label"] == tables[1]["jet_label"]
    np.testing.assert_allclose(tables[0]["jet_pt"], tables[1]["jet_pt"], rtol=1e-5)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    column=st.sampled_from(["jet_pt", "jet_eta", "jet_sdmass", "jet_tau1"]),
    value=st.one_of(st.floats(), st.sampled_from([50.0, -50.0, 1e5, 2e5, -1.0, -1.1, 0.0, 10.1])),
)
def test_what_ingest_keeps_inspect_accepts(make_jets, tmp_path_factory, column, value):
    folder = tmp_path_factory.mktemp("jets")
    table = make_jets(20, range(188))
    values = table[column].to_pylist()
    values[3] = value
    index = table.column_names.index(column)
    with np.errstate(over="ignore"):
        array = pa.array(np.array(values).astype(np.float32))
    pq.write_table(table.set_column(index, column, array), folder / "a.parquet")
    manifest = ingest("jetclass2", "train", [folder / "a.parquet"], folder / "s")
    assert verify(folder / "s").manifest.rows == manifest.rows


def test_a_jet_with_eta_50_is_left_out(make_jets, tmp_path):
    table = make_jets(20, range(188))
    values = [50.0] + [1.0] * 19
    index = table.column_names.index("jet_eta")
    changed = table.set_column(index, "jet_eta", pa.array(values, pa.float32()))
    pq.write_table(changed, tmp_path / "a.parquet")
    manifest = ingest("jetclass2", "train", [tmp_path / "a.parquet"], tmp_path / "s")
    assert summary_of(manifest)["dropped"] == {"jet_eta outside -10 to 10": 1}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_give_jets_or_one_line(tmp_path, made_up, make_jets, write_jetclass, seed):
    """Whatever byte is wrong: jets that verify, or BadFile; no traceback, no dead process."""
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    np.savez(buffer, **quark_gluon(made_up(30, 4)))
    pq.write_table(make_jets(30, range(188)), tmp_path / "a.parquet")
    contents = {
        ("quarkgluon", "x.npz"): buffer.getvalue(),
        ("jetclass2", "x.parquet"): (tmp_path / "a.parquet").read_bytes(),
        ("jetclass", "x.root"): write_jetclass(tmp_path / "a.root", make_jets(30)).read_bytes(),
    }
    for (format, name), content in contents.items():
        for turn in range(5):
            changed = np.frombuffer(content, np.uint8).copy()
            changed[rng.integers(0, len(changed), 3)] = rng.integers(0, 256, 3)
            (tmp_path / name).write_bytes(changed.tobytes())
            out = tmp_path / f"{name}-{turn}"
            problem = ""
            try:
                ingest(format, "train", [tmp_path / name], out)
            except DataError as error:
                problem = str(error)
            assert "\n" not in problem
            assert (name in problem) if problem else verify(out)
