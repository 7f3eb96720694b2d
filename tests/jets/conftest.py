"""Made-up jets in every column of the schema."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from jetscale.jets import schema


def jets(n: int, labels: Sequence[int] = range(10), seed: int = 0) -> pa.Table:
    """n jets of 1 to 12 constituents with all columns but ``event_id``."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 13, n)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    total = int(lengths.sum())
    flat = {name: rng.normal(size=total).astype(np.float32) for name in schema.PART_FLOATS}
    flat["part_energy"] = np.abs(flat["part_energy"])
    flat["part_charge"] = rng.integers(-1, 2, total).astype(np.int32)
    flat |= {name: rng.random(total) < 0.3 for name in schema.PART_FLAGS}
    columns = {k: pa.ListArray.from_arrays(offsets, pa.array(v)) for k, v in flat.items()}
    columns |= {
        name: pa.array(rng.uniform(0.5, 2, n).astype(np.float32)) for name in schema.JET_FLOATS
    }
    columns["jet_nparticles"] = pa.array(lengths.astype(np.int32))
    columns["jet_label"] = pa.array(rng.choice(labels, n).astype(np.int32))
    return pa.table(columns)


@pytest.fixture(scope="session")
def make_jets() -> Callable[..., pa.Table]:
    return jets
