"""Training speed of small models on one CPU thread: ``python benchmarks/training.py``.

Prints jets per CPU-second of forward, backward and update, batch assembly included, for
``plain`` (jets padded to the limit, PyTorch's attention, AdamW and gradient clipping), ``padded``
(the same padding with our attention and flat optimiser), ``packed`` in 1 to 8 length groups, and
``auto``, what training uses. Variants take turns, so that other load hits all of them alike; each
figure is the median of the rounds. Takes about five minutes; results are in ``training.md``.
"""

import platform
from collections.abc import Callable
from datetime import date
from statistics import median
from time import process_time

import numpy as np
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.transformer import kernels
from jetscale.models.transformer.model import JetTransformer
from jetscale.study import Controls, ModelSize
from jetscale.training.loop import train_run
from jetscale.training.optim import FlatAdamW
from jetscale.training.spec import RunSpec

CLASSES = 10
FEATURES = feature_inputs(FEATURE_SETS["kinpid"])
SIZES = [
    ModelSize(width=8, layers=1, heads=1),
    ModelSize(width=16, layers=1, heads=2),
    ModelSize(width=24, layers=2, heads=3),
    ModelSize(width=32, layers=2, heads=4),
]
ROUNDS = 7
ROUND_SECONDS = 0.15
CONTROLS = Controls(pretraining_jets=1, validation_jets=1, test_jets=1, constituents=32)


def random_jets(n: int, limit: int, seed: int = 1) -> Ragged:
    """Jets with realistic multiplicities, exp(N(ln 42, .38)) from 5 to the limit."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(np.log(42), 0.38, n)).astype(np.int64).clip(5, limit)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = random.normal(size=(offsets[-1], len(FEATURES))).astype(np.float32)
    return Ragged(values=values, offsets=offsets, labels=random.integers(0, CLASSES, n))


def stepper(
    size: ModelSize, data: Ragged, batch: int, *, groups: int | None, pad_to: int | None
) -> Callable[[], None]:
    """A function that makes one training step with our parts."""
    model = JetTransformer(size, FEATURES, CLASSES, trunk_seed=1, head_seed=2)
    optimiser = FlatAdamW(model.trunk, model.head, CONTROLS, size.width, 10**6)
    random = np.random.default_rng(3)
    starts, lengths = data.offsets[:-1], data.lengths

    def step() -> None:
        rows = random.integers(0, len(data), batch)
        layout = arrange(starts[rows], lengths[rows], groups=groups, pad_to=pad_to)
        made = make_batch(data, layout, data.labels[rows], optimiser.weights)
        optimiser.gradient.zero_()
        torch.autograd.backward(functional.cross_entropy(model(made), made.labels))
        optimiser.step(1)

    return step


def plain_stepper(size: ModelSize, data: Ragged, batch: int, limit: int) -> Callable[[], None]:
    """The same step with PyTorch's attention, optimiser and clipping."""
    model = JetTransformer(size, FEATURES, CLASSES, trunk_seed=1, head_seed=2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    random = np.random.default_rng(3)
    starts, lengths = data.offsets[:-1], data.lengths

    def step() -> None:
        rows = random.integers(0, len(data), batch)
        layout = arrange(starts[rows], lengths[rows], pad_to=limit)
        made = make_batch(data, layout, data.labels[rows], model.head.bias)
        optimiser.zero_grad()
        largest, kernels.MAX_WEIGHTS = kernels.MAX_WEIGHTS, 0  # PyTorch's attention everywhere
        torch.autograd.backward(functional.cross_entropy(model(made), made.labels))
        kernels.MAX_WEIGHTS = largest
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def race(steppers: dict[str, Callable[[], None]], batch: int) -> dict[str, list[float]]:
    """Jets per CPU-second of each round, variants taking turns."""
    rates: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(ROUNDS):
        for name, step in steppers.items():
            step()
            count, begin = 0, process_time()
            while process_time() - begin < ROUND_SECONDS or count < 2:
                step()
                count += 1
            rates[name].append(count * batch / (process_time() - begin))
    return rates


def compare(limit: int, batch: int) -> None:
    """Print one table."""
    data = random_jets(4000, limit)
    counts = [groups for groups in (1, 2, 4, 8) if batch // groups >= 8]
    names = ["plain", "padded", *(f"packed {groups}" for groups in counts), "auto"]
    print(f"\n{limit} constituents, batch {batch}: jets per CPU-second\n")
    print(f"| model | {' | '.join(names)} | auto / plain (range over rounds) |")
    print("|---|" + "---|" * (len(names) + 1))
    for size in SIZES:
        steppers = {
            "plain": plain_stepper(size, data, batch, limit),
            "padded": stepper(size, data, batch, groups=None, pad_to=limit),
            "auto": stepper(size, data, batch, groups=None, pad_to=None),
        }
        for groups in counts:
            name = f"packed {groups}"
            steppers[name] = stepper(size, data, batch, groups=groups, pad_to=None)
        rates = race(steppers, batch)
        pairs = zip(rates["auto"], rates["plain"], strict=True)
        ratios = sorted(auto / plain for auto, plain in pairs)
        figures = " | ".join(f"{median(rates[name]):.0f}" for name in names)
        spread = f"{median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        print(f"| {size.name} | {figures} | {spread} |", flush=True)


def whole_runs() -> None:
    """Print the speed of complete runs of small models on small data."""
    train, validation, test = (
        random_jets(n, 32, seed) for seed, n in enumerate((4000, 2000, 4000))
    )
    print("\nWhole runs: 32 constituents, batch 16, 4000 jets x 2 epochs, 2000 validation and")
    print("4000 test jets; training jets per CPU-second without and with all evaluation\n")
    print("| model | training alone | everything |")
    print("|---|---|---|")
    for size in SIZES:
        spec = RunSpec(
            key="benchmark",
            size=size,
            features=FEATURES,
            classes=tuple(f"class {i}" for i in range(CLASSES)),
            recipe=CONTROLS,
            epochs=2,
            seed=1,
        )
        alone, everything = [], []
        for _ in range(3):
            begin = process_time()
            train_run(spec, train)
            middle = process_time()
            train_run(spec, train, validation, test)
            alone.append(8000 / (middle - begin))
            everything.append(8000 / (process_time() - middle))
        columns = (
            f"{median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"
            for rates in (alone, everything)
        )
        print(f"| {size.name} | {' | '.join(columns)} |", flush=True)


def main() -> None:
    """Print all tables."""
    torch.set_num_threads(1)
    print(f"{date.today()}, torch {torch.__version__}, numpy {np.__version__},", end=" ")
    print(f"Python {platform.python_version()}, {platform.machine()}, one thread,", end=" ")
    print(f"{ROUNDS} rounds, medians, {len(FEATURES)} features")
    for limit in (32, 128):
        for batch in (16, 128):
            compare(limit, batch)
    whole_runs()


if __name__ == "__main__":
    main()
