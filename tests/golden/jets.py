"""The jets of the golden runs: made up, but with something to learn."""

import numpy as np
import pyarrow as pa

FLAGS = ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")


def golden_jets(n: int, classes: int, seed: int) -> pa.Table:
    """n jets of 1 to 40 constituents with every column of the feature set ``kinpid``.

    Classes differ in how wide their jets are. Only `numpy.random.Generator.random` is drawn from:
    its numbers are the same in every version of numpy.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    labels = (classes * random.random(n)).astype(np.int32)
    lengths = 1 + (40 * random.random(n)).astype(np.int32)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    total = int(lengths.sum())
    width = np.repeat(0.05 + 0.3 * labels / classes, lengths)
    px, py = 1 + 30 * random.random(total), 30 * random.random(total) - 15
    kind = (5 * random.random(total)).astype(int)
    flat = {
        "part_px": px,
        "part_py": py,
        "part_energy": np.hypot(px, py) * (1 + random.random(total)),
        "part_deta": width * (2 * random.random(total) - 1),
        "part_dphi": width * (2 * random.random(total) - 1),
    }
    columns = {name: pa.array(values.astype(np.float32)) for name, values in flat.items()}
    charge = np.where(kind == 0, np.where(random.random(total) < 0.5, -1, 1), 0).astype(np.int32)
    columns["part_charge"] = pa.array(charge)
    columns |= {f"part_is{flag}": pa.array(kind == i) for i, flag in enumerate(FLAGS)}
    table = {name: pa.ListArray.from_arrays(offsets, values) for name, values in columns.items()}
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    for name, of in (("jet_pt", np.hypot(px, py)), ("jet_energy", flat["part_energy"])):
        table[name] = pa.array(np.add.reduceat(of, starts).astype(np.float32))
    table["jet_label"] = pa.array(labels)
    return pa.table(table)
