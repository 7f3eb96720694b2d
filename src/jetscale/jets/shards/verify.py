"""A full check of a shard folder, which reads every byte: hashes, counts, ranges, finite values."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jetscale.errors import DataError
from jetscale.jets.schema import JETS
from jetscale.jets.shards import columns
from jetscale.jets.shards.manifest import Manifest, check_shard, open_shards

LIMITS = {
    "jet_pt": (0.0, 1e5),  # GeV
    "jet_eta": (-10.0, 10.0),
    "jet_sdmass": (-1.0, 1e5),  # GeV; rounding of a massless jet may fall just below zero
    "jet_nparticles": (1.0, 1e4),
    "part_deta": (-20.0, 20.0),
    "part_dphi": (-2 * math.pi, 2 * math.pi),
}
"""Values outside are damage, whatever the corpus: ingest leaves such jets out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a sound shard folder holds."""

    manifest: Manifest
    ranges: Mapping[str, Mapping[str, float]]
    """Jet column of `LIMITS`, or feature of another field, to ``min``, ``mean`` and ``max``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        manifest = asdict(self.manifest)
        del manifest["folder"], manifest["schema"]
        return {**manifest, "digest": self.manifest.digest, "ranges": self.ranges}


def verify(folder: Path) -> Report:
    """Read a whole shard folder; DataError where it is damaged or not as its manifest says."""
    manifest = open_shards(folder)
    schema, classes, corpus = manifest.schema, manifest.classes, manifest.corpus
    seen: dict[str, list[tuple[float, float, float, int]]] = {}
    for shard in manifest.shards:
        path, counts = manifest.path(shard), Counter[str]()
        check_shard(manifest, shard)
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    # refuses other types, lists of unequal length and what is not finite
                    table = columns.conform(file.read_row_group(group, use_threads=False), schema)
                    counts.update(columns.count_labels(table, classes, corpus, schema))
                    _check_values(manifest, table, seen)
        except (pa.ArrowException, OSError, DataError) as error:
            raise DataError(f"{path}: {error}") from error
        if counts != (expected := dict(shard.label_counts)):
            raise DataError(f"{path}: expected jets {expected}, found {dict(counts)}")
    ranges = {}
    for name, groups in seen.items():
        low, high, total, n = zip(*groups, strict=True)
        ranges[name] = {"min": min(low), "mean": float(sum(total) / sum(n)), "max": max(high)}
    return Report(manifest=manifest, ranges=ranges)


def _check_values(manifest: Manifest, table: pa.Table, seen: dict[str, Any]) -> None:
    """Refuse what cannot be right; add smallest, largest, sum and number of values to ``seen``."""
    if tuple(table.column_names) != manifest.columns:
        other = sorted({*table.column_names} ^ {*manifest.columns})
        raise DataError(f"columns {other} are only in the shard or in the manifest")
    # of jets those columns that have limits, of another field every feature
    watched = LIMITS if manifest.schema == JETS else manifest.schema.lists
    for name in table.column_names:
        if name not in watched:
            continue
        array = table[name].combine_chunks()
        values = (array.flatten() if name in manifest.schema.lists else array).to_numpy()
        low, high = float(values.min()), float(values.max())
        lowest, highest = LIMITS.get(name, (low, high))
        if low < lowest or high > highest:
            found = f"{name} runs from {low:g} to {high:g}"
            raise DataError(f"{found}, expected {lowest:g} to {highest:g}")
        if name in manifest.schema.scalars or manifest.schema != JETS:
            total = values.sum(dtype=float)
            seen.setdefault(name, []).append((low, high, total, len(values)))
