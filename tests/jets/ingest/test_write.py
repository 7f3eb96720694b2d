"""Own jets in memory, and own files from one end to the other."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError
from jetscale.jets.ingest.ingest import ingest, summary_of
from jetscale.jets.ingest.write import write_jets
from jetscale.jets.shards import open_shards, verify

TOP = {"classes": ["QCD", "top"], "corpus": "mysim"}


def padded(made):
    px, py, pz, energy = np.moveaxis(made.momenta, 2, 0)
    label = np.arange(len(px)) % 2
    return {"px": px, "py": py, "pz": pz, "energy": energy, "label": label}


def table(manifest):
    return pq.read_table(manifest.path(manifest.shards[0]))


def test_arrays_lists_and_files_give_the_same_shards(tmp_path, made_up):
    made = made_up(30, 8)
    arrays = padded(made)
    lists = {
        name: [row[filled] for row, filled in zip(values, made.filled, strict=True)]
        for name, values in arrays.items()
        if name != "label"
    }
    np.savez(tmp_path / "a.npz", **arrays)
    columns = {name: name for name in arrays}
    manifests = [
        write_jets(tmp_path / "arrays", arrays, **TOP),
        write_jets(tmp_path / "lists", lists | {"label": arrays["label"].tolist()}, **TOP),
        ingest("arrays", "train", [tmp_path / "a.npz"], tmp_path / "f", columns=columns, **TOP),
    ]
    assert manifests[0].label_counts == {"QCD": 15, "top": 15}
    assert all(table(m).equals(table(manifests[0])) for m in manifests)
    assert open_shards(tmp_path / "arrays") == manifests[0]
    assert (manifests[2].corpus, manifests[2].classes) == ("mysim", ("QCD", "top"))
    assert verify(tmp_path / "lists").manifest.rows == 30
    assert manifests[2].provenance["columns"] == columns


def test_labels_may_be_names_and_a_mass_one_number(tmp_path, made_up):
    made = made_up(4, 3)
    jets = {"pt": made.pt, "eta": made.eta, "phi": made.phi, "mass": np.float32(0)}
    jets |= {"label": ["top", "QCD", "top", "top"], "jet_sdmass": [80, 90, 100, 110]}
    manifest = write_jets(tmp_path / "s", jets, corpus="top", role="test")
    assert (manifest.label_counts, manifest.role) == ({"QCD": 1, "top": 3}, "test")
    assert table(manifest)["jet_sdmass"].to_pylist() == [80, 90, 100, 110]
    np.testing.assert_allclose(table(manifest)["jet_energy"], made.jets()[:, 3], rtol=1e-5)


def test_two_roles_of_jets_in_memory_are_no_conflict(tmp_path, made_up):
    from jetscale.jets.shards import check_roles

    manifests = [
        write_jets(tmp_path / role, padded(made_up(9, 4, seed)), role=role, **TOP)
        for seed, role in enumerate(("train", "test"))
    ]
    check_roles(manifests)


def test_unusable_jets_are_counted_or_too_many(tmp_path, made_up):
    arrays = padded(made_up(50, 4))
    arrays["px"][7, 0] = np.nan
    manifest = write_jets(tmp_path / "a", arrays, **TOP)
    assert (manifest.rows, manifest.provenance["dropped"]) == (49, {"non-finite value": 1})
    arrays["px"][8, 0] = np.nan
    with pytest.raises(DataError, match=r"2 of 50 jets are unusable.*2 by 'non-finite value'"):
        write_jets(tmp_path / "b", arrays, **TOP)
    assert not (tmp_path / "b").exists()
    assert write_jets(tmp_path / "b", arrays, max_bad=0.1, **TOP).rows == 48
    arrays["px"][:] = np.nan
    with pytest.raises(DataError, match="no jets are left; dropped: 50 by 'non-finite value'"):
        write_jets(tmp_path / "c", arrays, max_bad=1, **TOP)


def test_wrong_calls(tmp_path, made_up):
    arrays = padded(made_up(6, 4))
    for change, message in (
        ({"pxx": arrays["px"]}, "unknown quantity 'pxx'; did you mean 'px'"),
        ({"px": arrays["px"][:5]}, "5 jets by their px, but py has 6; needs 5 lists, one for each"),
        ({"px": arrays["px"][:, 0]}, r"px has shape \(6,\); constituents are lists or"),
        ({"label": arrays["label"][:5]}, r"but label has shape \(5,\); needs 6 single values"),
    ):
        with pytest.raises(DataError, match=message):
            write_jets(tmp_path / "s", arrays | change, **TOP)
    assert not (tmp_path / "s").exists()


def test_files_of_named_labels_agree_on_their_classes(tmp_path, made_up):
    for name, kinds in (("a", ["top"] * 4), ("b", ["QCD"] * 4)):
        arrays = padded(made_up(4, 3, ord(name)))
        np.savez(tmp_path / f"{name}.npz", **arrays | {"label": np.array(kinds)})
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    columns = {name: name for name in ("px", "py", "pz", "energy", "label")}
    manifest = ingest("arrays", "train", files, tmp_path / "s", columns=columns, corpus="top")
    assert manifest.label_counts == {"QCD": 4, "top": 4}
    assert summary_of(manifest)["jets_kept"] == 8


def test_a_swapped_order_of_columns_is_noticed(tmp_path, made_up):
    """Energy first, as some sets have it, is no px, py, pz, E."""
    arrays = padded(made_up(200, 6))
    swapped = dict(zip(("px", "py", "pz", "energy"), ("energy", "px", "py", "pz"), strict=True))
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match="of 200 jets are unusable"):
        ingest(
            *("arrays", "train", [tmp_path / "a.npz"], tmp_path / "s"),
            columns=swapped | {"label": "label"},
            **TOP,
        )


def test_a_misspelt_label_is_told_as_such_and_a_bad_file_may_be_skipped(tmp_path, made_up):
    arrays = padded(made_up(4, 3)) | {"label": np.array(["top", "QCD"] * 2)}
    np.savez(tmp_path / "a.npz", **arrays)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:300])
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    columns = {name: name for name in ("px", "py", "pz", "energy", "label")}
    call = {"columns": columns, "corpus": "top"}
    with pytest.raises(DataError, match=r"a\.npz: unknown column 'Label'; did you mean 'label'"):
        ingest(
            *("arrays", "train", files[:1], tmp_path / "s"),
            **call | {"columns": columns | {"label": "Label"}},
        )
    with pytest.raises(DataError, match=r"b\.npz: not a readable NumPy archive"):
        ingest("arrays", "train", files, tmp_path / "s", **call)
    manifest = ingest("arrays", "train", files, tmp_path / "s", on_bad_file="skip", **call)
    assert manifest.rows == 4
    assert [file["name"] for file in summary_of(manifest)["skipped"]] == ["b.npz"]


class Tracked(list):
    """A tensor with a gradient, as NumPy meets it."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"px": np.ma.masked_less(a["px"], 0)}, "px is masked; fill it"),
        (lambda a: {"px": list(np.ma.masked_less(a["px"], 0))}, "px is masked; fill it"),
        (lambda a: {"px": a["px"] + 0j}, "px holds complex128; needs numbers"),
        (lambda a: {"px": list(a["px"] + 0j)}, "px holds complex128; needs numbers"),
        (lambda a: {"px": a["px"].astype(str)}, "px holds <U.*; needs numbers"),
        (lambda a: {"px": 1.0}, "px: float cannot be read: 'float' object is not iterable"),
        (lambda a: {"px": None}, "px: NoneType cannot be read"),
        (lambda a: {"px": [Tracked([1.0])] * 6}, "px: list cannot be read: Can't call numpy"),
        (lambda a: {"px": [[1.0], [[2.0]]] * 3}, "px: list cannot be read: "),
        (lambda a: {"label": None}, "label: NoneType cannot be read"),
        (lambda a: {"label": ["top", None] * 3}, "label holds <U3, object; needs numbers, or text"),
        (lambda a: {"label": ["top", np.nan] * 3}, "label holds <U3, float64; needs numbers, or"),
        (lambda a: {"label": [b"\xff", b"a"] * 3}, r"label b'\\xff' is not text in UTF-8"),
    ],
)
def test_what_holds_no_numbers_or_labels_is_one_line(tmp_path, made_up, change, message):
    arrays = padded(made_up(6, 4))
    with pytest.raises(DataError, match=message) as caught:
        write_jets(tmp_path / "s", arrays | change(arrays), **TOP)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="columns is NoneType, needs quantities"):
        write_jets(tmp_path / "s", None)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("share", [np.nan, -0.1, 2, "0.1", None])
def test_the_share_of_bad_jets_is_checked_for_arrays_as_for_files(tmp_path, made_up, share):
    arrays = padded(made_up(6, 4))
    np.savez(tmp_path / "a.npz", **arrays)
    call = {"columns": {name: name for name in arrays}, "max_bad": share, **TOP}
    with pytest.raises(DataError, match="a share of jets lies between 0 and 1"):
        write_jets(tmp_path / "s", arrays, max_bad=share, **TOP)
    with pytest.raises(DataError, match="a share of jets lies between 0 and 1"):
        ingest("arrays", "train", [tmp_path / "a.npz"], tmp_path / "s", **call)


def test_a_folder_may_be_text(tmp_path, made_up):
    assert write_jets(str(tmp_path / "s"), padded(made_up(6, 4)), **TOP).rows == 6


def test_labels_of_files_that_are_no_text_are_told_as_such(tmp_path, made_up):
    h5py = pytest.importorskip("h5py")
    arrays = padded(made_up(4, 3))
    odd = np.array([b"top", b"\xff"] * 2)
    np.savez(tmp_path / "bytes.npz", **arrays | {"label": odd})
    np.savez(tmp_path / "object.npz", **arrays | {"label": np.array(["top", "QCD"] * 2, object)})
    with h5py.File(tmp_path / "bytes.h5", "w") as file:
        for name, values in (arrays | {"label": odd}).items():
            file[name] = values
    columns = {name: name for name in arrays}
    for name, message in (
        ("bytes.npz", r"bytes.npz: label b'\\xff' is not text in UTF-8; write names in UTF-8"),
        ("bytes.h5", r"bytes.h5: label b'\\xff' is not text in UTF-8; write names in UTF-8"),
        ("object.npz", r"object.npz: label 'label' is object \(4,\), needs numbers or text"),
    ):
        with pytest.raises(DataError, match=message):
            ingest("arrays", "train", [tmp_path / name], tmp_path / "s", columns=columns)
