"""Made-up files in the published layouts, with what they must become."""

import pickle
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from jetscale.jets import schema
from jetscale.jets.ingest.clean import clean
from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.files import READERS, opened
from jetscale.jets.schema import FEATURE_SETS, JETS
from jetscale.mixtures.standardise import standardise


@dataclass(frozen=True)
class MadeUp:
    """Massless particles of n jets, padded with zeros, pT falling; axes of all four quadrants."""

    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    filled: np.ndarray

    @property
    def momenta(self):
        """(n, M, 4) px, py, pz, E, zero where nothing is."""
        px, py = self.pt * np.cos(self.phi), self.pt * np.sin(self.phi)
        pz, energy = self.pt * np.sinh(self.eta), self.pt * np.cosh(self.eta)
        return np.stack([px, py, pz, energy], axis=2) * self.filled[:, :, None]

    def jets(self):
        """(n, 4) pT, eta, phi, E of the sums, one jet at a time."""
        rows = []
        for particles in self.momenta:
            px, py, pz, energy = particles.sum(axis=0)
            pt = np.sqrt(px**2 + py**2)
            rows.append((pt, np.arcsinh(pz / pt), np.arctan2(py, px), energy))
        return np.array(rows)


def make_up(n, slots, seed=0):
    rng = np.random.default_rng(seed)
    filled = np.arange(slots) < rng.integers(1, slots + 1, n)[:, None]
    pt = -np.sort(-rng.lognormal(2, 1, (n, slots)), axis=1)
    eta = rng.uniform(-2, 2, (n, 1)) + rng.normal(0, 0.2, (n, slots))
    phi = rng.uniform(-np.pi, np.pi, (n, 1)) + rng.normal(0, 0.2, (n, slots))
    return MadeUp(pt=pt * filled, eta=eta * filled, phi=phi * filled, filled=filled)


@pytest.fixture(scope="session")
def made_up():
    return make_up


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(base, "ROWS_PER_BATCH", 7)


def read_all(format, path):
    """All jets of a file; the count is checked on the way."""
    tables = list(format.read(path))
    assert format.count(path) == sum(table.num_rows for table in tables)
    assert {n for n in tables[0].column_names if n.startswith("jet_")} == {*format.jet_columns}
    return pa.concat_tables(tables)


@pytest.fixture
def read():
    return read_all


@pytest.fixture
def feature_sets():
    """A function (format, path): the feature sets its jets have all columns for, tried out."""

    def of(format, path):
        table = clean(read_all(format, path), len(format.names)).table
        names = [
            name for name in FEATURE_SETS if set(JETS.inputs_of(name)) <= set(table.column_names)
        ]
        for name in names:
            jets = standardise(table, name, 128)
            assert np.isfinite(jets.values).all()
            assert len(jets) == table.num_rows
        return names

    return of


def columns_in(path, *names):
    """The batches of some columns of a file of any kind."""
    with opened(path, tuple(READERS), "") as file:
        return list(file.batches(names))


@pytest.fixture
def columns():
    return columns_in


def root_file(path, table, tree="tree", **types):
    """A TTree with counted arrays; ``types`` replaces the type of a column."""
    ak, uproot = pytest.importorskip("awkward"), pytest.importorskip("uproot")
    columns = {}
    for name in table.column_names:
        values = ak.from_iter(table[name].to_pylist())
        columns[name] = ak.values_astype(values, types.get(name, default_type(name)))
    with uproot.recreate(path) as file:
        file.mktree(tree, {name: values.type.content for name, values in columns.items()})
        file[tree].extend(columns)
    return path


def default_type(name):
    """JetClass as published: integer flags, everything else float."""
    return np.int32 if name in schema.PART_FLAGS else np.float32


@pytest.fixture
def write_root():
    return root_file


LABEL_TYPES = {
    "label_QCD": np.float32,
    **dict.fromkeys(("label_Hbb", "label_Hcc", "label_Hgg", "label_H4q", "label_Hqql"), np.bool_),
    **dict.fromkeys(("label_Zqq", "label_Wqq", "label_Tbqq", "label_Tbl"), np.int32),
}


@pytest.fixture
def write_jetclass():
    """A function (path, table, **replaced columns) that writes a JetClass file."""

    def write(path, table, **replaced):
        labels = table["jet_label"].to_numpy()
        hot = {f"label_{c}": (labels == i).astype(int) for i, c in enumerate(schema.JETCLASS)}
        columns = {name: table[name] for name in table.column_names if name != "jet_label"}
        columns |= {name: pa.array(values) for name, values in hot.items()}
        columns["aux_truth_match"] = pa.array(np.zeros(table.num_rows))
        return root_file(path, pa.table(columns | replaced), **LABEL_TYPES)

    return write


def names_pickled(names):
    return np.bytes_(pickle.dumps(list(names), protocol=0))


@pytest.fixture
def write_frame():
    """A function that writes columns as pandas does, in the layout ``table`` or ``fixed``."""

    def write(path, blocks, layout="table", key="table"):
        """``blocks`` is a list of (names, (n, columns) values)."""
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            group = file.create_group(key)
            if layout == "fixed":
                group.attrs["nblocks"] = len(blocks)
                for i, (names, values) in enumerate(blocks):
                    group[f"block{i}_items"] = np.array(names, "S")
                    group[f"block{i}_values"] = values
                return path
            fields = [("index", "<i8")]
            for i, (names, values) in enumerate(blocks):
                fields.append((f"values_block_{i}", values.dtype, (len(names),)))
            rows = np.zeros(len(blocks[0][1]), fields)
            rows["index"] = np.arange(len(rows))
            for i, (_, values) in enumerate(blocks):
                rows[f"values_block_{i}"] = values
            data = group.create_dataset("table", data=rows)
            for i, (names, _) in enumerate(blocks):
                data.attrs[f"values_block_{i}_kind"] = names_pickled(names)
        return path

    return write


@pytest.fixture
def write_hdf5():
    def write(path, **arrays):
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
        return path

    return write
