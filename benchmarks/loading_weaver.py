"""The weaver-core side of ``loading.py``, run by a Python that has weaver-core; not for direct use.

Reads kin features of the Parquet files named on the command line with weaver's own data set and a
PyTorch loader without workers, one round for every line on standard input: a new data set held in
memory, its first epoch (reading and standardising included) and its second. ``lean`` asks for what
a model of kin features needs, the features and the mask, padded with zeros; ``published`` for the
four inputs of the published configuration, of which features, points and vectors repeat particles.
"""

import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow
import torch
from torch.utils.data import DataLoader
from weaver.utils.dataset import SimpleIterDataset

CONFIG = """
new_variables:
  part_mask: ak.ones_like(part_energy)
  part_pt: np.hypot(part_px, part_py)
  part_pt_log: np.log(part_pt)
  part_e_log: np.log(part_energy)
  part_logptrel: np.log(part_pt/jet_pt)
  part_logerel: np.log(part_energy/jet_energy)
  part_deltaR: np.hypot(part_deta, part_dphi)
preprocess:
  method: manual
inputs:
  pf_features:
    length: 128
    pad_mode: {pad}
    vars:
      - [part_pt_log, 1.7, 0.7]
      - [part_e_log, 2.0, 0.7]
      - [part_logptrel, -4.7, 0.7]
      - [part_logerel, -4.7, 0.7]
      - [part_deltaR, 0.2, 4.0]
      - [part_deta, null]
      - [part_dphi, null]
  pf_mask:
    length: 128
    pad_mode: constant
    vars:
      - [part_mask, null]
{more}
labels:
  type: custom
  value:
    _label_: jet_label
"""
MORE = """
  pf_points:
    length: 128
    pad_mode: wrap
    vars:
      - [part_deta, null]
      - [part_dphi, null]
  pf_vectors:
    length: 128
    pad_mode: wrap
    vars:
      - [part_px, null]
      - [part_py, null]
      - [part_pz, null]
      - [part_energy, null]
"""
CONFIGS = {
    "lean": CONFIG.format(pad="constant", more=""),
    "published": CONFIG.format(pad="wrap", more=MORE),
}


def epoch(loader: DataLoader[Any], batches: int) -> dict[str, float]:
    """Wall and CPU seconds that a number of batches take; their shape is checked."""
    wall, cpu = time.perf_counter(), time.process_time()
    iterator = iter(loader)
    for _ in range(batches):
        inputs, _labels, _observers = next(iterator)
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    if inputs["pf_features"].shape[1:] != (7, 128) or inputs["pf_mask"].shape[1:] != (1, 128):
        raise SystemExit("weaver-core gave batches of another shape")
    return seconds


def totals(data: SimpleIterDataset) -> list[float]:
    """Sum of every feature over all constituents, to compare with the stream."""
    table = next(iter(data._iters.values())).table
    features, mask = table["_pf_features"], table["_pf_mask"]
    return [float((features[:, i] * mask[:, 0]).sum(dtype="float64")) for i in range(7)]


def one_round(config: str, files: list[str], batch: int, rows: int) -> dict[str, object]:
    """Seconds of the first and a later epoch of a new data set, and the sums of its features."""
    data = SimpleIterDataset(
        {"jets": files}, config, batch_size=batch, fetch_step=1, in_memory=True
    )
    loader = DataLoader(data, batch_size=batch, num_workers=0)
    epochs = {name: epoch(loader, rows // batch) for name in ("first", "later")}
    return epochs | {"totals": totals(data)}


def main() -> None:
    """Answer every line on standard input with one round of each configuration."""
    batch, rows, files = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    torch.set_num_threads(1)
    pyarrow.set_cpu_count(1)
    versions = {name: version(name) for name in ("weaver-core", "numba", "awkward")}
    print(json.dumps(versions), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in CONFIGS.items():
            (Path(folder) / f"{name}.yaml").write_text(text)
        for _line in sys.stdin:
            found = {
                name: one_round(f"{folder}/{name}.yaml", files, batch, rows) for name in CONFIGS
            }
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
