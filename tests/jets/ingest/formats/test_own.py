import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError
from jetscale.jets.ingest.clean import clean
from jetscale.jets.ingest.formats import format_named
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.formats.own import class_names, columns_of, format_of

h5py = pytest.importorskip("h5py")
MOMENTA = {"px": "px", "py": "py", "pz": "pz", "energy": "E"}


def quantities(made):
    """Padded arrays (n, M) of the jets in both kinds of coordinates, labels and charges."""
    px, py, pz, energy = np.moveaxis(made.momenta, 2, 0)
    found = {"px": px, "py": py, "pz": pz, "E": energy}
    found |= {"pt": made.pt, "eta": made.eta, "phi": made.phi, "filled": made.filled}
    return found | {"label": np.arange(len(px)) % 2, "charge": made.filled * 1.0}


def write_npz(path, arrays, **_):
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def write_h5(path, arrays, **_):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def lists(arrays, filled):
    """Padded arrays as lists, jet columns as they are."""
    return {
        name: values
        if values.ndim == 1
        else [v[f].tolist() for v, f in zip(values, filled, strict=True)]
        for name, values in arrays.items()
    }


def write_parquet(path, arrays, filled):
    pq.write_table(pa.table(lists(arrays, filled)), path)
    return path


def write_fixed(path, arrays, filled):
    """Zero-padded arrays as lists of a fixed size."""
    columns = {
        name: pa.array(v)
        if v.ndim == 1
        else pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), v.shape[1])
        for name, v in arrays.items()
    }
    pq.write_table(pa.table(columns), path)
    return path


def write_root(path, arrays, filled):
    ak, uproot = pytest.importorskip("awkward"), pytest.importorskip("uproot")
    columns = {name: ak.Array(values) for name, values in lists(arrays, filled).items()}
    with uproot.recreate(path) as file:
        file.mktree("mine", {name: ak.type(v).content for name, v in columns.items()})
        file["mine"].extend(columns)
    return path


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("write", [write_npz, write_h5, write_parquet, write_fixed, write_root])
@pytest.mark.parametrize("angles", [True, False])
def test_jets_of_any_file_have_every_derived_column(tmp_path, made_up, read, write, angles):
    made = made_up(20, 9)
    names = ["pt", "eta", "phi"] if angles else ["px", "py", "pz", "E"]
    arrays = {name: quantities(made)[name] for name in [*names, "label"]}
    path = write(tmp_path / "mine", arrays, filled=made.filled)
    given = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "0"} if angles else dict(MOMENTA)
    format = format_of(given | {"label": "label"}, ["background", "signal"], "mysim")
    assert (format.corpus, format.names) == ("mysim", ("background", "signal"))
    cleaned = clean(read(format, path), 2)
    assert not cleaned.faults
    found, jets = cleaned.table.to_pydict(), made.jets()
    for place, name in enumerate(("jet_pt", "jet_eta", "jet_phi", "jet_energy")):
        np.testing.assert_allclose(found[name], jets[:, place], rtol=1e-5, atol=1e-6)
    assert found["jet_label"] == [0, 1] * 10
    for jet, filled in enumerate(made.filled):
        n, axis = filled.sum(), jets[jet]
        np.testing.assert_allclose(found["part_px"][jet], made.momenta[jet, :n, 0], atol=1e-4)
        mirror = 1 if axis[1] > 0 else -1
        deta = mirror * (made.eta[jet, :n] - axis[1])
        np.testing.assert_allclose(found["part_deta"][jet], deta, atol=1e-5)
        dphi = (made.phi[jet, :n] - axis[2] + np.pi) % (2 * np.pi) - np.pi
        np.testing.assert_allclose(found["part_dphi"][jet], dphi, atol=1e-5)


def test_features_of_one_array_masks_and_what_a_user_has_besides(tmp_path, made_up, read):
    made = made_up(12, 6)
    padded = np.concatenate([made.momenta, np.ones((12, 6, 2))], axis=2)  # padded with ones
    jets = np.stack([made.jets()[:, 0] * 1.1, np.full(12, 80.0)], axis=1)
    pid = np.where(np.arange(6) % 2, -11, 22) * np.ones((12, 1))
    np.savez(tmp_path / "a.npz", X=padded, mask=made.filled, jets=jets, pid=pid)
    columns = columns_of(
        "px=X[0], py=X[1], pz=X[2], energy=X[3], d0=X[4], dzerr=X[5], mask, pid,"
        "jet_pt=jets[0], jet_sdmass=jets[1]"
    )
    format = format_of(columns, ["signal"])
    table = read(format, tmp_path / "a.npz")
    cleaned = clean(table, 1)
    assert not cleaned.faults
    found = cleaned.table.to_pydict()
    assert found["jet_nparticles"] == made.filled.sum(axis=1).tolist()
    np.testing.assert_allclose(found["jet_pt"], jets[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found["jet_energy"], made.jets()[:, 3], rtol=1e-6)
    assert found["jet_sdmass"] == [80.0] * 12
    assert found["jet_label"] == [0] * 12
    assert found["part_d0val"] == [[1.0] * n for n in found["jet_nparticles"]]
    assert found["part_charge"][0][:2] == [0, 1][: found["jet_nparticles"][0]]
    assert found["part_isPhoton"][3][0]
    assert set(format.jet_columns) == {n for n in table.column_names if n.startswith("jet_")}


@pytest.mark.parametrize("kind", ["U8", "S8", object])
def test_labels_may_be_names(tmp_path, made_up, read, kind):
    made = made_up(4, 3)
    names = np.array(["signal", "QCD", "signal", "other"])
    arrays = {name: quantities(made)[name] for name in ("px", "py", "pz", "E")}
    if kind is object:
        path = write_parquet(tmp_path / "a", arrays, made.filled)
        table = pq.read_table(path).append_column("kind", pa.array(names))
        pq.write_table(table, path)
    elif kind == "S8":
        path = write_h5(tmp_path / "a", arrays | {"kind": names.astype(kind)})
    else:
        path = write_npz(tmp_path / "a", arrays | {"kind": names})
    columns = {**MOMENTA, "label": "kind"}
    assert class_names(columns, [path]) == ("QCD", "other", "signal")
    cleaned = clean(read(format_of(columns, ["QCD", "signal"]), path), 2)
    assert {k: v.tolist() for k, v in cleaned.faults.items()} == {
        "label 'other' is none of the classes": [3]
    }
    assert cleaned.table["jet_label"].to_pylist() == [1, 0, 1]


def test_numbers_have_no_names(tmp_path, made_up):
    path = write_npz(tmp_path / "a", quantities(made_up(3, 2)))
    assert class_names({**MOMENTA, "label": "label"}, [path]) == ()
    assert class_names(MOMENTA, [path]) == ()


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("E", np.nan, "non-finite value"),
        ("px", np.inf, "non-finite value"),
        ("E", -5.0, "unphysical momentum"),
        ("E", 1e-3, "energy below the momentum"),
        ("filled", 0.5, "mask that is neither 0 nor 1"),
        ("filled", np.nan, "non-finite value"),
        ("charge", 0.5, "charge or count that is no integer"),
        ("pid", 0.2, "particle code that is no PDG code"),
        ("label", 2.0, "label 2 is not in 0..1"),
        ("label", 0.5, "label 0.5 is not in 0..1"),
    ],
)
def test_impossible_numbers_cost_their_jet(tmp_path, made_up, read, place, value, reason):
    made = made_up(9, 4)
    arrays = {k: np.array(v, float) for k, v in quantities(made).items()}
    arrays["pid"] = made.filled * 211.0
    arrays[place][(4,) if place == "label" else (4, 0)] = value
    path = write_npz(tmp_path / "a", arrays)
    columns = {**MOMENTA, "label": "label", "charge": "charge", "mask": "filled", "pid": "pid"}
    faults = clean(read(format_of(columns, ["a", "b"]), path), 2).faults
    assert {k: v.tolist() for k, v in faults.items()} == {reason: [4]}


def test_lists_of_unequal_length_are_found(tmp_path, made_up, read):
    made = made_up(6, 4)
    table = lists({name: quantities(made)[name] for name in MOMENTA.values()}, made.filled)
    table["pz"][2].append(1.0)
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    cleaned = clean(read(format_of(MOMENTA), tmp_path / "a.parquet"), 1)
    assert {k: v.tolist() for k, v in cleaned.faults.items()} == {
        "constituent lists of unequal length": [2]
    }
    kept = np.delete(made.jets(), 2, axis=0)
    np.testing.assert_allclose(cleaned.table["jet_pt"], kept[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {**MOMENTA, "px": "Px"},
            "unknown column 'Px'; did you mean 'px'\\? known: E, X, charge, ",
        ),
        ({**MOMENTA, "px": "label"}, r"px has shape \(3,\); constituents are lists or arrays"),
        ({**MOMENTA, "px": "X[4]"}, r"column 'X' has no feature \[4\] for px"),
        ({**MOMENTA, "px": "label[0]"}, r"column 'label' has no feature \[0\] for px"),
        ({**MOMENTA, "jet_pt": "px"}, r"3 jets by their px, but jet_pt has shape \(3, 2\)"),
        ({**MOMENTA, "label": "px"}, r"but label has shape \(3, 2\); needs 3 single values"),
        (
            {**MOMENTA, "px": "name"},
            "column 'name' is .*, needs float or integer or unsigned or bool",
        ),
    ],
)
def test_columns_that_are_not_there_or_of_another_shape(tmp_path, made_up, columns, message):
    made = made_up(3, 2)
    arrays = quantities(made) | {"X": made.momenta, "name": np.array(["a"] * 3)}
    path = write_npz(tmp_path / "a", arrays)
    classes = ["a", "b"] if "label" in columns else []
    with pytest.raises(BadFile, match=rf"a\.npz: .*{message}"):
        list(format_of(columns, classes).read(path))


@pytest.mark.parametrize(
    ("columns", "classes", "corpus", "message"),
    [
        ({"px": "px"}, [], None, "a momentum is px, py, pz and energy, or .*; given: px"),
        ({**MOMENTA, "pt": "pt"}, [], None, "a momentum is"),
        ({"pt": "a", "eta": "b", "phi": "c"}, [], None, "either energy or mass"),
        (
            {"pt": "a", "eta": "b", "phi": "c", "mass": "0", "energy": "E"},
            [],
            None,
            "either energy",
        ),
        ({**MOMENTA, "d00": "x"}, [], None, "unknown quantity 'd00'; did you mean 'd0'"),
        ({**MOMENTA, "label": "y"}, [], None, "labels and class names go together"),
        (MOMENTA, ["a", "b"], None, "labels and class names go together"),
        (
            {**MOMENTA, "label": "y"},
            ["a", "a"],
            None,
            "class names 'a, a': one is empty or there tw",
        ),
        ({**MOMENTA, "label": "y"}, ["a", ""], None, "one is empty"),
        ({**MOMENTA, "label": "y"}, ["a", "b"], "top", "corpus 'top': choose another name"),
        (MOMENTA, [], "my/sim", "corpus 'my/sim': choose another name, of letters"),
    ],
)
def test_what_makes_no_sense_is_told_before_a_file_is_opened(columns, classes, corpus, message):
    with pytest.raises(DataError, match=message):
        format_of(columns, classes, corpus)


def test_the_text_of_columns():
    assert columns_of("px,py = Py,energy=E[3]") == {"px": "px", "py": "Py", "energy": "E[3]"}
    with pytest.raises(DataError, match="columns: px is given twice"):
        columns_of("px,px=b")


def test_only_own_jets_have_columns_and_classes_to_name():
    with pytest.raises(DataError, match="format arrays: name its columns, as in --columns px,py"):
        format_named("arrays")
    with pytest.raises(
        DataError, match="format jetnet knows its columns and classes; --format arr"
    ):
        format_named("jetnet", classes=["a"])
    assert format_named("arrays", columns=MOMENTA, corpus="mysim").corpus == "mysim"
    own = format_of({**MOMENTA, "label": "y"}, ["QCD", "top"], "top")
    assert own.names == ("QCD", "top")
