"""Examples to try an exported model on: of the study's own test set, else made up."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import DataError
from jetscale.jets.example import Schema
from jetscale.jets.schema import JETS, PART_FLAGS, PART_FLOATS
from jetscale.jets.shards import open_shards
from jetscale.mixtures.inputs import shard_folders
from jetscale.store.home import Home
from jetscale.study import Folders, Study

JETS_TRIED = 256


def test_jets(study: Study, home: Home, columns: tuple[str, ...]) -> pa.Table | None:
    """The first test jets of a study; None where its shards are not on this machine."""
    if isinstance(study.source, Folders):
        folders = [Path(study.source.test)]
    else:
        folders = shard_folders(study, home.path)
    for folder in folders:
        try:
            manifest = open_shards(folder)
        except DataError:
            continue
        if manifest.role == "test":
            with pq.ParquetFile(manifest.path(manifest.shards[0])) as file:
                batch = next(file.iter_batches(JETS_TRIED, columns=list(columns)))
            return pa.Table.from_batches([batch])
    return None


def made_up_jets(schema: Schema, feature_set: str, constituents: int) -> pa.Table:
    """Examples with made-up values and typical numbers of constituents."""
    random = np.random.default_rng(1)
    typical = min(schema.typical_length, constituents / 2)
    drawn = typical * np.exp((schema.length_spread or 0.4) * random.normal(size=JETS_TRIED))
    lengths = drawn.astype(int).clip(1, constituents)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    n = int(offsets[-1])
    if schema == JETS:
        flat = _constituents(n, random)
        pt = np.hypot(flat["part_px"], flat["part_py"])
        sums = {"jet_pt": pt, "jet_energy": flat["part_energy"]}
        of_jet = {name: np.add.reduceat(each, offsets[:-1]) for name, each in sums.items()}
    else:
        features, of_jet = schema.features_of(feature_set), {}
        flat = {f.name: (f.mean or 0.0) + f.scale * random.normal(size=n) for f in features}
    single = {name: pa.array(values.astype(np.float32)) for name, values in flat.items()}
    lists = {n: pa.ListArray.from_arrays(pa.array(offsets), v) for n, v in single.items()}
    return pa.table(lists | {name: pa.array(values) for name, values in of_jet.items()})


def _constituents(n: int, random: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Every column of the constituents of jets: GeV, mm and radians, flags as 0 and 1."""
    flat = {name: 0.2 * random.normal(size=n) for name in PART_FLOATS}
    flat |= {name: random.integers(0, 2, n).astype(float) for name in PART_FLAGS}
    flat["part_charge"] = random.integers(-1, 2, n).astype(float)
    pt, angle = np.exp(random.normal(1.7, 1.0, n)), random.uniform(0, 2 * np.pi, n)
    flat["part_px"], flat["part_py"] = pt * np.cos(angle), pt * np.sin(angle)
    flat["part_energy"] = pt * random.uniform(1, 3, n)
    return flat
