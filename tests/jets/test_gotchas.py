"""What goes wrong with published jet files: one test for each trap, named after it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError
from jetscale.jets.ingest.clean import clean
from jetscale.jets.ingest.formats import format_named, jetclass
from jetscale.jets.ingest.ingest import ingest
from jetscale.jets.schema import FEATURES, JET_COLUMNS, PART_COLUMNS, PART_FLAGS
from jetscale.jets.shards import check_roles, open_shards, write_shards
from jetscale.jets.shards.columns import arrow_type, conform
from jetscale.mixtures.standardise import standardise


@pytest.fixture
def example(real_data):
    return real_data / "JetClassII_example.parquet"


@pytest.fixture
def ingested(example, tmp_path):
    manifest = ingest("jetclass2", "pretrain", [example], tmp_path / "s")
    return pq.read_table(manifest.path(manifest.shards[0]))


def test_01_label_branches_of_three_types_are_compared_after_a_cast():
    """float, bool and integer branches side by side; argmax over raw bytes would be wrong."""
    hot = np.eye(10)
    branches = [hot[:, :1].astype(np.float32), hot[:, 1:6].astype(bool), hot[:, 6:].astype("i4")]
    assert jetclass.label_of(np.concatenate(branches, axis=1)).tolist() == list(range(10))


def test_02_types_and_order_of_particle_columns_differ_between_sets(ingested):
    jetclass_kinds = {
        name: jetclass.FORMAT.wanted[name][0] for name in ("part_charge", *PART_FLAGS)
    }
    jetclass2_kinds = {name: jetclass.SECOND.wanted[name][0] for name in jetclass_kinds}
    assert all("i" in jetclass_kinds[name] for name in PART_FLAGS)
    assert {jetclass2_kinds[name] for name in PART_FLAGS} == {"b"}
    shuffled = ingested.select(sorted(ingested.column_names))
    assert conform(shuffled).equals(conform(ingested))  # by name, never by place
    assert ingested.schema.field("part_charge").type == arrow_type("part_charge")


def test_03_deta_is_mirrored_for_backward_jets(ingested):
    """Rebuilding eta with the mirror is exact; without it, it is off by up to 4.5."""
    off = {True: 0.0, False: 0.0}
    for jet in ingested.to_pylist():
        eta = np.arcsinh(np.array(jet["part_pz"]) / np.hypot(jet["part_px"], jet["part_py"]))
        sign = 1 if jet["jet_eta"] > 0 else -1
        for mirror in off:
            rebuilt = jet["jet_eta"] + (sign if mirror else 1) * np.array(jet["part_deta"])
            off[mirror] = max(off[mirror], float(np.abs(rebuilt - eta).max()))
    assert off[True] < 1e-5
    assert off[False] > 4


def test_04_nothing_is_padded_neither_by_zeros_nor_by_wrapping(ingested):
    jets = standardise(ingested, "full", 128)
    assert jets.lengths.tolist() == ingested["jet_nparticles"].to_pylist()
    assert len(jets.values) == sum(jets.lengths)


def test_05_features_without_transform_are_not_clipped(ingested):
    """No mean means no clip either; the errors have mean 0 just to be clipped to 0..1."""
    plain = {name for name, feature in FEATURES.items() if feature.mean is None}
    assert {"part_deta", "part_dphi", "part_d0", "part_dz", "part_charge"} <= plain
    far = conform(ingested)
    deta = pa.ListArray.from_arrays(
        far["part_deta"].combine_chunks().offsets,
        pa.array(np.full(len(far["part_deta"].combine_chunks().values), 9.0, np.float32)),
    )
    index = far.column_names.index("part_deta")
    values = standardise(far.set_column(index, "part_deta", deta), "kin", 128).values
    assert (values[:, -2] == 9).all()
    assert (FEATURES["part_d0err"].mean, FEATURES["part_d0err"].high) == (0.0, 1.0)


def test_06_the_plain_features_are_not_scaled_to_a_jet_pt(ingested):
    """Sophon scales momenta to a jet of 500 GeV; JetClass, and so `full`, does not."""
    jets = standardise(ingested, "full", 1)
    pt = np.hypot(
        *(np.array([v[0] for v in ingested[n].to_pylist()]) for n in ("part_px", "part_py"))
    )
    np.testing.assert_allclose(jets.values[:, 0], (np.log(pt) - 1.7) * 0.7, atol=1e-5)


def test_07_sets_with_other_detectors_are_other_corpora(make_jets, tmp_path):
    write_shards(tmp_path / "a", [make_jets(5, range(10))], corpus="jetclass", role="train")
    with pytest.raises(DataError, match="corpus is 'jetclass', needs 'jetclass2'"):
        open_shards(tmp_path / "a", corpus="jetclass2")
    corpora = {name: format_named(name).corpus for name in ("jetclass", "jetclass2", "toptagging")}
    assert len(set(corpora.values())) == 3


def test_08_uneven_labels_are_counted_per_class_and_shard(ingested, example, tmp_path):
    """A file mixes labels very unevenly; the manifest says how, so that draws can be exact."""
    manifest = ingest("jetclass2", "pretrain", [example], tmp_path / "t")
    labels, counts = np.unique(ingested["jet_label"].to_numpy(), return_counts=True)
    assert sorted(manifest.label_counts.values()) == sorted(counts.tolist())
    assert len(labels) == len(manifest.shards[0].label_counts)


def test_09_a_file_has_one_role(example, tmp_path):
    """Roles are whole files: the same one under two roles is refused, even if cut apart."""
    parts = [
        ingest("jetclass2", "train", [example], tmp_path / "a", select=["jet_pt < 500"]),
        ingest("jetclass2", "test", [example], tmp_path / "b", select=["jet_pt >= 500"]),
    ]
    assert sum(part.rows for part in parts) == 100
    with pytest.raises(DataError, match="roles must not share jets"):
        check_roles(parts)


def test_10_zeros_and_extremes_are_kept_and_stay_finite(ingested):
    assert (ingested["jet_tau4"].to_numpy() == 0).any()
    d0 = ingested["part_d0val"].combine_chunks().values.to_numpy()
    assert np.abs(d0).max() > 250
    assert np.isfinite(standardise(ingested, "full", 128).values).all()


def test_11_vector_branches_and_counted_arrays_read_alike(real_data, example, tmp_path):
    """uproot writes counted arrays only; the published ROOT file has true vectors."""
    ak, uproot = pytest.importorskip("awkward"), pytest.importorskip("uproot")
    counted, names = tmp_path / "counted.root", (*PART_COLUMNS, *JET_COLUMNS)
    with uproot.open(real_data / "JetClassII_example.root") as file:
        branches = file["tree"].arrays(list(names), library="ak")
        assert file["tree"]["part_px"].typename == "std::vector<float>"
    columns = {name: ak.without_parameters(branches[name]) for name in names}
    with uproot.recreate(counted) as file:
        file.mktree("tree", {n: c.type.content for n, c in columns.items()})
        file["tree"].extend(columns)
    with uproot.open(counted) as file:
        assert file["tree"]["part_px"].typename != "std::vector<float>"
    a, b = (
        clean(pa.concat_tables(jetclass.SECOND.read(path)), 188).table
        for path in (real_data / "JetClassII_example.root", counted)
    )
    assert a.equals(b)
    assert a.num_rows == 100
