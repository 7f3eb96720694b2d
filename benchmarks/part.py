"""ParticleTransformer here and in weaver-core: jets per CPU second, forward and backward.

    OMP_NUM_THREADS=1 python benchmarks/part.py --data FOLDER [--rounds 7]

FOLDER holds JetClass jets as arrays: ``pfVectors.npy`` (n, 4, 128) px, py, pz, E, ``pfPoints.npy``
(n, 2, 128) deta, dphi and ``pfMask.npy`` (n, 1, 128). Both models have the published size, kin
features, the same weights and no dropout. A round takes one batch through each, in turn. Prints
medians and ranges over the rounds, the ratios of each round to weaver's as it is shipped (trimmed),
and how far the outputs are apart.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from models.part import weaver

from jetscale.jets.schema import FEATURE_SETS, FEATURES
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import Batch, make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.part import PART
from jetscale.study import ModelSize

SIZE = ModelSize(width=128, layers=8, heads=8)
KIN = FEATURE_SETS["kin"]


def read(folder: Path) -> Ragged:
    """The jets as standardised features."""
    vectors, points, mask = (
        np.load(folder / f"pf{name}.npy") for name in ("Vectors", "Points", "Mask")
    )
    real = mask[:, 0] > 0
    total, unit = vectors.sum(2), np.where(real, 0, 1)  # padding has no logarithm
    raw = {
        "part_pt_log": np.log(np.hypot(vectors[:, 0], vectors[:, 1]) + unit),
        "part_e_log": np.log(vectors[:, 3] + unit),
        "part_deltaR": np.hypot(points[:, 0], points[:, 1]),
        "part_deta": points[:, 0],
        "part_dphi": points[:, 1],
    }
    raw["part_logptrel"] = raw["part_pt_log"] - np.log(np.hypot(total[:, 0], total[:, 1]))[:, None]
    raw["part_logerel"] = raw["part_e_log"] - np.log(total[:, 3])[:, None]
    columns = [FEATURES[name].transform(raw[name][real].astype(np.float32)) for name in KIN]
    lengths = real.sum(1)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    labels = np.random.default_rng(1).integers(0, 10, len(lengths))
    return Ragged(values=np.stack(columns, 1), offsets=offsets, labels=labels)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = read(arguments.data)
    ours = PART.build(SIZE, feature_inputs(KIN), 10, trunk_seed=1, head_seed=2)
    others = {trim: weaver.twin(ours, len(KIN), 10, trim=trim) for trim in (True, False)}
    for other in others.values():
        del other.embed.forward  # as it is shipped: its batch norm of the inputs sees padding
    random, weights = np.random.default_rng(2), next(ours.parameters())

    def batch_of(rows: np.ndarray, groups: int | None, pad_to: int | None = None) -> Batch:
        starts, lengths = data.offsets[rows], data.lengths[rows]
        layout = arrange(starts, lengths, groups=groups, pad_to=pad_to)
        return make_batch(data, layout, data.labels[rows], weights)

    def mine(rows: np.ndarray) -> None:
        batch = batch_of(rows, None)
        torch.autograd.backward(functional.cross_entropy(ours(batch), batch.labels))

    def theirs(trim: bool) -> Callable[[np.ndarray], Callable[[], None]]:
        def prepare(rows: np.ndarray) -> Callable[[], None]:
            batch = batch_of(rows, 1, pad_to=128)
            inputs = weaver.inputs_of(batch, KIN)  # its loader's work, which is not timed

            def step() -> None:
                loss = functional.cross_entropy(others[trim](*inputs), batch.labels)
                torch.autograd.backward(loss)

            return step

        return prepare

    ways: dict[str, Callable[[np.ndarray], Callable[[], None]]] = {
        "weaver-core, trimmed": theirs(True),
        "weaver-core, padded to 128": theirs(False),
        "jetscale, batch assembly included": lambda rows: lambda: mine(rows),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-2, arguments.rounds):
        rows = random.choice(len(data), arguments.batch, replace=False)
        names = list(ways) if turn % 2 else list(ways)[::-1]
        for name in names:
            for _ in range(5 if turn == -2 else 1):  # weaver trims after five batches
                step = ways[name](rows)
                begin = time.process_time()
                step()
                spent = time.process_time() - begin
            if turn >= 0:
                rates[name].append(arguments.batch / spent)
    print(f"torch {torch.__version__}, weaver-core {version('weaver-core')}", end=", ")
    print(f"{sum(p.numel() for p in ours.parameters()):,} parameters", end=", ")
    print(f"batch {arguments.batch}, mean constituents {data.lengths.mean():.1f}")
    shipped = rates["weaver-core, trimmed"]
    for name, found in rates.items():
        ratios = [a / b for a, b in zip(found, shipped, strict=True)]
        row = [f"{statistics.median(x):.2f} ({min(x):.2f}-{max(x):.2f})" for x in (found, ratios)]
        print(f"| {name} | {row[0]} | {row[1]} |")


if __name__ == "__main__":
    main()
