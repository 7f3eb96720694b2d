"""Training speed against weaver's ParticleTransformer: ``python benchmarks/training_weaver.py``.

Needs ``pip install --no-deps weaver-core``; nothing else of it is used. Forward and backward of a
batch of jets of realistic multiplicity, up to 128 constituents, on one CPU thread and in one
process, variants taking turns: ours of as many parameters, and weaver's with its default dropout of
0.1, with none, and compiled. Weaver gets four-vectors and the features, in single precision, and
trims a batch in training to a random quantile of its lengths, which drops constituents of the
longest jets; ours drops none. Arguments are batch sizes, 64 unless given. Results are in
``training.md``; compiling takes minutes.
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from training import CLASSES, FEATURES, LIMIT, heading, race, random_jets, ratio, stepper
from weaver.nn.model.ParticleTransformer import ParticleTransformer

from jetscale.mixtures.ragged import Ragged
from jetscale.models.transformer import flops
from jetscale.study import ModelSize

SIZE = ModelSize(width=128, layers=13, heads=8)
ROUNDS = 5


def weavers(
    data: Ragged, batch: int, *, dropout: bool, compiled: bool = False
) -> Callable[[], None]:
    """A step of weaver's model on padded batches of the same jets."""
    torch.manual_seed(1)
    net = ParticleTransformer(len(FEATURES), CLASSES, compile_model=compiled).train()
    if not dropout:
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(getattr(module, "dropout", None), float):
                module.dropout = 0.0
    random = np.random.default_rng(3)
    fourvectors = np.random.default_rng(4).uniform(1, 2, size=(batch, 4, LIMIT)).astype(np.float32)
    fourvectors[:, 3] = 5.0 + np.abs(fourvectors[:, :3]).sum(1)

    def step() -> None:
        rows = random.integers(0, len(data), batch)
        values = np.zeros((batch, len(FEATURES), LIMIT), np.float32)
        mask = np.zeros((batch, 1, LIMIT), np.float32)
        for place, row in enumerate(rows):
            first, last = data.offsets[row : row + 2]
            values[place, :, : last - first] = data.values[first:last].T
            mask[place, :, : last - first] = 1
        net.zero_grad(set_to_none=True)
        x, v, m = (torch.from_numpy(array) for array in (values, fourvectors * mask, mask))
        labels = torch.from_numpy(data.labels[rows])
        torch.autograd.backward(functional.cross_entropy(net(x, v, m), labels))

    return step


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{heading()}; weaver-core {version('weaver-core')}\n")
    data = random_jets(4000, LIMIT)
    theirs_n = sum(p.numel() for p in ParticleTransformer(len(FEATURES), CLASSES).parameters())
    ours_n = flops.parameters(SIZE, len(FEATURES), CLASSES).total
    print(f"Parameters: {theirs_n} theirs, {ours_n} ours ({SIZE.name})\n")
    print("| batch | model | jets/s | ours / it |\n|---|---|---|---|")
    for batch in map(int, sys.argv[1:] or ["64"]):
        theirs = {
            "ParT, dropout 0.1": weavers(data, batch, dropout=True),
            "ParT, no dropout": weavers(data, batch, dropout=False),
            "ParT, no dropout, compiled": weavers(data, batch, dropout=False, compiled=True),
        }
        ours = stepper(SIZE, data, batch, update=False)
        begin = perf_counter()
        for _ in range(8):  # past the warm-up of the trimmer, and through the compiler
            theirs["ParT, no dropout, compiled"]()
        took = perf_counter() - begin
        rates = race({"ours": ours, **theirs}, batch, ROUNDS, seconds=0.1)
        for name, found in rates.items():
            versus = "" if name == "ours" else ratio(rates, "ours", name)
            print(f"| {batch} | {name} | {median(found):.1f} | {versus} |", flush=True)
        print(f"\nFirst 8 steps of the compiled model: {took:.0f} s of wall time\n", flush=True)


if __name__ == "__main__":
    main()
