import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import DataError, StudyError
from jetscale.jets.example import Feature, make_schema
from jetscale.jets.schema import FEATURE_SETS, FEATURES
from jetscale.jets.shards.columns import conform
from jetscale.mixtures.standardise import columns_for, standardise


def by_hand(jet, feature_set, limit):
    """The published formulas, one constituent at a time, in double precision."""
    rows = []
    for i in range(min(len(jet["part_px"]), limit)):
        p = {k: float(v[i]) for k, v in jet.items() if k.startswith("part_")}
        pt = np.hypot(p["part_px"], p["part_py"])
        derived = {
            "part_pt_log": np.log(pt),
            "part_e_log": np.log(p["part_energy"]),
            "part_logptrel": np.log(pt / jet["jet_pt"]),
            "part_logerel": np.log(p["part_energy"] / jet["jet_energy"]),
            "part_deltaR": np.hypot(p["part_deta"], p["part_dphi"]),
            "part_d0": np.tanh(p["part_d0val"]),
            "part_dz": np.tanh(p["part_dzval"]),
        }
        row = []
        for name in FEATURE_SETS[feature_set]:
            f, x = FEATURES[name], derived.get(name, p.get(name))
            row.append(x if f.mean is None else min(max((x - f.mean) * f.factor, f.low), f.high))
        rows.append(row)
    return rows


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
@pytest.mark.parametrize("limit", [1, 7, 128])
def test_all_features_against_the_formulas(make_jets, feature_set, limit):
    table = make_jets(25, range(10), seed=3)
    result = standardise(table, feature_set, limit)
    expected = [by_hand(jet, feature_set, limit) for jet in table.to_pylist()]
    assert result.lengths.tolist() == [len(rows) for rows in expected]
    flat = [row for rows in expected for row in rows]
    np.testing.assert_allclose(result.values, flat, rtol=2e-6, atol=2e-6)
    assert result.labels.tolist() == table["jet_label"].to_pylist()
    assert (result.values.dtype, result.offsets.dtype) == (np.float32, np.int64)


@pytest.mark.long
@settings(max_examples=30)
@given(start=st.integers(0, 59), n=st.integers(1, 60), limit=st.sampled_from([3, 20, 128]))
def test_a_slice_gives_the_slice_of_the_result(make_jets, start, n, limit):
    table = make_jets(60, range(10), seed=4)
    whole, part = (
        standardise(table, "full", limit),
        standardise(table.slice(start, n), "full", limit),
    )
    rows = np.arange(start, min(start + n, 60))
    expected = whole.take(rows)
    assert np.array_equal(part.values, expected.values)
    assert np.array_equal(part.offsets, expected.offsets)
    assert np.array_equal(part.labels, expected.labels)


def test_chunks_and_taken_rows_are_fine(make_jets):
    table = make_jets(40, range(10))
    chunked = pa.concat_tables([table.slice(0, 13), table.slice(13, 9), table.slice(22)])
    whole = standardise(table, "kinpid", 10)
    assert np.array_equal(standardise(chunked, "kinpid", 10).values, whole.values)
    rows = np.array([30, 2, 17])
    taken = standardise(chunked.take(rows), "kinpid", 10)
    assert np.array_equal(taken.values, whole.take(rows).values)


def test_no_jets_and_jets_without_constituents(make_jets):
    table = make_jets(3, range(10))
    assert standardise(table.slice(3), "kin", 128).values.shape == (0, 7)
    empty = table.to_pylist()
    empty[1] |= {name: [] for name in empty[1] if name.startswith("part_")}
    result = standardise(pa.Table.from_pylist(empty, schema=table.schema), "kin", 128)
    assert result.lengths[1] == 0
    assert len(result) == 3


def test_bad_values_follow_the_published_rule(make_jets):
    """Clip first, so infinities stop at the bounds; NaN becomes 0."""
    table = make_jets(1, range(10))
    jet = table.to_pylist()[0]
    jet["part_energy"][0] = 0.0
    jet["part_d0val"][0] = float("nan")
    jet["part_d0err"][0] = float("nan")
    jet["part_dzerr"][0] = 7.0
    jet["part_dzval"][0] = 300.0
    result = standardise(pa.Table.from_pylist([jet], schema=table.schema), "full", 128)
    row = dict(zip(FEATURE_SETS["full"], result.values[0].tolist(), strict=True))
    assert row["part_e_log"] == row["part_logerel"] == -5
    assert row["part_d0"] == row["part_d0err"] == 0
    assert row["part_dz"] == row["part_dzerr"] == 1
    assert np.isfinite(result.values).all()


def test_missing_columns_and_unknown_sets(make_jets):
    table = make_jets(2, range(10)).drop_columns(["part_d0val", "part_isMuon"])
    with pytest.raises(DataError, match=r"lacks columns part_isMuon, part_d0val.* features 'kin'$"):
        standardise(table, "full", 128)
    table = table.drop_columns(["jet_energy"])
    with pytest.raises(DataError, match=r"lacks columns jet_energy.*no feature set works"):
        standardise(table, "kin", 128)
    with pytest.raises(StudyError, match="did you mean 'kinpid'"):
        standardise(table, "kin_pid", 128)


def test_kin_needs_neither_particle_types_nor_tracks():
    assert set(columns_for("kin")) == {
        *("part_px", "part_py", "part_energy", "part_deta", "part_dphi"),
        *("jet_pt", "jet_energy", "jet_label"),
    }


# First four constituents of the first two jets of the published example file, from the formulas of
# jet-universe/sophon: 4-vectors scaled to a jet pT of 500 GeV for the first two features. Values
# before the clip; none of them reaches it.
GOLDEN = {
    "part_pt_log": [[2.28046, 2.16947, 1.59783, 1.28663], [1.87547, 1.80666, 1.49455, 1.22560]],
    "part_e_log": [[2.08638, 2.00560, 1.53104, 1.21520], [2.12957, 1.95695, 1.62305, 1.29722]],
    "part_logptrel": [[2.41023, 2.29925, 1.72760, 1.41641], [2.00524, 1.93644, 1.62432, 1.35538]],
    "part_logerel": [[2.31816, 2.23738, 1.76282, 1.44699], [2.00118, 1.82857, 1.49467, 1.16883]],
    "part_deltaR": [[0.56717, 1.33901, 0.10577, 0.07625], [-0.15535, 0.21709, 0.15554, 1.70357]],
    "part_d0": [[0.00359, -0.00360, -0.01008, 0.01042], [0.00485, -0.00464, 0.0, 0.00361]],
}


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_golden_values_of_jetclass2(real_data, feature_set):
    """Five decimals are published: half a unit of the last one, and float32 rounding."""
    table = pq.read_table(real_data / "JetClassII_example.parquet")
    result = standardise(table, feature_set, 128, scale_pt=500.0)
    names = FEATURE_SETS[feature_set]
    checked = [name for name in names if name in GOLDEN]
    assert len(checked) == (6 if feature_set == "full" else 5)
    for name in checked:
        for jet, values in enumerate(GOLDEN[name]):
            found = result.values[result.offsets[jet] :][:4, names.index(name)]
            np.testing.assert_allclose(found, values, rtol=0, atol=5.5e-6)


def test_scaling_moves_two_features_by_the_logarithm_of_the_jet_pt(real_data):
    table = pq.read_table(real_data / "JetClassII_example.parquet")
    plain = standardise(table, "full", 128)
    scaled = standardise(table, "full", 128, scale_pt=500.0)
    assert np.array_equal(plain.values[:, 2:], scaled.values[:, 2:])
    shift = np.repeat(0.7 * np.log(500 / table["jet_pt"].to_numpy()), plain.lengths)
    inside = (np.abs(plain.values[:, :2]) < 5) & (np.abs(scaled.values[:, :2]) < 5)
    assert inside.mean() > 0.99
    difference = scaled.values[:, :2] - plain.values[:, :2] - shift[:, None]
    np.testing.assert_allclose(difference[inside], 0, atol=2e-6)


def test_scaling_to_the_own_jet_pt_changes_nothing(make_jets):
    table = make_jets(1, range(10))
    pt = table["jet_pt"][0].as_py()
    plain, scaled = (standardise(table, "kin", 128, scale_pt=s) for s in (None, pt))
    np.testing.assert_allclose(scaled.values, plain.values, atol=1e-6)


@pytest.fixture
def published(real_data):
    """100 JetClass jets as a table, and their 17 published features (which were not clipped)."""
    folder = real_data / "jetclass_top_100"
    features, vectors, points, mask = (
        np.load(folder / f"pf_{name}.npy") for name in ("features", "vectors", "points", "mask")
    )
    mask = mask[:, 0].astype(bool)
    reference = features.transpose(0, 2, 1)[mask]
    offsets = pa.array(np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int32))

    def lists(values):
        return pa.ListArray.from_arrays(offsets, pa.array(values))

    columns = {
        name: lists(vectors[:, i][mask])
        for i, name in enumerate(("part_px", "part_py", "part_pz", "part_energy"))
    }
    columns |= {"part_deta": lists(points[:, 0][mask]), "part_dphi": lists(points[:, 1][mask])}
    # Impact parameters are stored as tanh, the others as they are in the file.
    with np.errstate(divide="ignore"):
        columns |= {
            f"part_{name}val": lists(np.arctanh(reference[:, i]))
            for i, name in ((11, "d0"), (13, "dz"))
        }
    for i in (*range(5, 11), 12, 14):
        columns[FEATURE_SETS["full"][i]] = lists(reference[:, i])
    # The jet's own pT and energy are not stored: what the leading constituent implies.
    first = features[:, :, 0].astype(float)
    pt = np.hypot(vectors[:, 0, 0], vectors[:, 1, 0])
    columns["jet_pt"] = (pt / np.exp(first[:, 2] / 0.7 - 4.7)).astype(np.float32)
    columns["jet_energy"] = (vectors[:, 3, 0] / np.exp(first[:, 3] / 0.7 - 4.7)).astype(np.float32)
    columns["jet_label"] = np.full(100, 8, np.int32)
    return pa.table(columns), reference


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_real_standardised_jets(published, feature_set):
    table, reference = published
    names = FEATURE_SETS[feature_set]
    reference = reference[:, [FEATURE_SETS["full"].index(name) for name in names]]
    for i, name in enumerate(names):
        if FEATURES[name].mean is not None:
            reference[:, i] = reference[:, i].clip(FEATURES[name].low, FEATURES[name].high)
    found = standardise(table, feature_set, 128).values
    rounded = {"part_logptrel": 3e-6, "part_logerel": 3e-6, "part_d0": 2e-7, "part_dz": 2e-7}
    for i, name in enumerate(names):
        np.testing.assert_allclose(found[:, i], reference[:, i], rtol=0, atol=rounded.get(name, 0))


def test_the_implied_jet_pt_is_that_of_the_constituents(published):
    """So features 2 and 3 are not only checked against themselves."""
    table, _ = published
    starts = table["part_px"].combine_chunks().offsets.to_numpy()[:-1]
    px, py = (
        np.add.reduceat(table[name].combine_chunks().values.to_numpy().astype(float), starts)
        for name in ("part_px", "part_py")
    )
    np.testing.assert_allclose(table["jet_pt"].to_numpy(), np.hypot(px, py), rtol=1e-5)


def test_features_of_another_field_are_their_columns_shifted_and_scaled():
    schema = make_schema(
        noun="star",
        features=(Feature(name="time", mean=1.0, scale=2.0), Feature(name="flux", high=4.0)),
        feature_sets={"both": ("flux", "time"), "when": ("time",)},
    )
    table = conform(
        pa.table(
            {"time": [[1.0, 3.0, 5.0], [7.0]], "flux": [[9.0, -9.0, 1], [2]], "label": [1, 0]}
        ),
        schema,
    )
    jets = standardise(table, "both", 2, schema=schema)
    assert jets.values.tolist() == [[4, 0], [-5, 1], [2, 3]]
    assert jets.offsets.tolist() == [0, 2, 3]
    assert jets.labels.tolist() == [1, 0]
    assert standardise(table.slice(1), "when", 9, schema=schema).values.tolist() == [[3]]
    with pytest.raises(DataError, match="the table lacks columns flux"):
        standardise(table.drop_columns(["flux"]), "both", 2, schema=schema)
