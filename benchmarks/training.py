"""Training speed of one run on one CPU thread: ``python benchmarks/training.py``.

Prints what a step of forward and backward does at each width (jets and FLOPs per CPU-second, the
share of the peak that matrix products reach here, and where the time goes), then jets per
CPU-second of what training uses against the same model with every jet padded to the limit: with
our kernels and with PyTorch's own operations, and last the speed of whole runs. FLOPs are those of
real constituents. Variants take turns in one process, so that other load hits all of them alike;
each figure is the median of the rounds, a ratio the median of the rounds' ratios. Takes about six
minutes; results are in ``training.md``.
"""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from statistics import median
from time import process_time
from unittest.mock import patch

import numpy as np
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange, group_cost
from jetscale.models.transformer import flops, model
from jetscale.models.transformer.model import JetTransformer
from jetscale.study import Controls, ModelSize
from jetscale.training.loop import train_run
from jetscale.training.optim import FlatAdamW
from jetscale.training.spec import RunSpec

CLASSES = 10
FEATURES = feature_inputs(FEATURE_SETS["kinpid"])
SMALL = [
    ModelSize(width=8, layers=1, heads=1),
    ModelSize(width=16, layers=1, heads=2),
    ModelSize(width=32, layers=2, heads=4),
]
TWO_MILLION = ModelSize(width=128, layers=12, heads=8)
RUNGS = [
    *SMALL,
    ModelSize(width=64, layers=4, heads=8),
    ModelSize(width=128, layers=4, heads=8),
    ModelSize(width=256, layers=2, heads=8),
]
LIMIT = 128
ROUNDS = 7
ROUND_SECONDS = 0.15
CONTROLS = Controls(pretraining_jets=1, validation_jets=1, test_jets=1, constituents=32)
PRODUCTS, ATTENTION = ("aten::mm", "aten::addmm"), ("aten::bmm", "aten::baddbmm", "aten::_softmax")
COPIES = ("aten::copy_", "aten::cat")

Step = Callable[[], None]


def random_jets(n: int, limit: int, seed: int = 1) -> Ragged:
    """Jets with realistic multiplicities, exp(N(ln 42, .38)) from 5 to the limit."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(np.log(42), 0.38, n)).astype(np.int64).clip(5, limit)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = random.normal(size=(offsets[-1], len(FEATURES))).astype(np.float32)
    return Ragged(values=values, offsets=offsets, labels=random.integers(0, CLASSES, n))


@contextmanager
def plain_formulas(active: bool = True) -> Iterator[None]:
    """PyTorch's own norm, attention and SwiGLU in place of our kernels."""
    with patch.object(model, "own", lambda *_: False) if active else nullcontext():
        yield


def stepper(
    size: ModelSize,
    data: Ragged,
    batch: int,
    *,
    pad_to: int | None = None,
    plain: bool = False,
    update: bool = True,
    precision: torch.dtype | None = None,
) -> Step:
    """A function that assembles a batch, computes its gradient and, if asked, updates."""
    net = JetTransformer(size, FEATURES, CLASSES, trunk_seed=1, head_seed=2)
    optimiser = FlatAdamW(net.trunk, net.head, CONTROLS, size.width, 10**6)
    torchs = torch.optim.AdamW(net.parameters(), lr=1e-3) if plain else None
    random = np.random.default_rng(3)
    starts, lengths = data.offsets[:-1], data.lengths

    def step() -> None:
        rows = random.integers(0, len(data), batch)
        cost = group_cost(size.width)
        layout = arrange(starts[rows], lengths[rows], pad_to=pad_to, cost=cost)
        made = make_batch(data, layout, data.labels[rows], optimiser.weights)
        autocast = torch.autocast("cpu", precision, enabled=precision is not None)
        with plain_formulas(plain):
            with autocast:
                outputs = net(made)
            loss = functional.cross_entropy(outputs.float(), made.labels)
            if torchs is None:
                optimiser.backward(loss)
                if update:
                    optimiser.step(1)
            else:
                torchs.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                if update:
                    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                    torchs.step()

    return step


def race(
    steppers: dict[str, Step], batch: int, rounds: int = ROUNDS, seconds: float = ROUND_SECONDS
) -> dict[str, list[float]]:
    """Jets per CPU-second of each round, variants taking turns."""
    rates: dict[str, list[float]] = {name: [] for name in steppers}
    for step in steppers.values():
        step()
    for _ in range(rounds):
        for name, step in steppers.items():
            count, begin = 0, process_time()
            while not count or process_time() - begin < seconds:
                step()
                count += 1
            rates[name].append(count * batch / (process_time() - begin))
    return rates


def ratio(rates: dict[str, list[float]], one: str, other: str) -> str:
    """Median and range over the rounds of one rate over another."""
    found = sorted(a / b for a, b in zip(rates[one], rates[other], strict=True))
    return f"{median(found):.2f} ({found[0]:.2f}-{found[-1]:.2f})"


def products_peak() -> float:
    """FLOPs per second of large single-precision products here and now."""
    a, b = torch.randn(2, 1024, 1024)
    torch.mm(a, b)
    rates = []
    for _ in range(5):
        begin = process_time()
        torch.mm(a, b)
        rates.append(2 * 1024**3 / (process_time() - begin))
    return median(rates)


def where_time_goes(step: Step) -> str:
    """Shares of a step: products with weights, attention, copies of layouts, everything else."""
    with torch.profiler.profile() as profile:
        step()
    times = {e.key: e.self_cpu_time_total for e in profile.key_averages()}
    total = sum(times.values())
    shares = [
        sum(times.get(name, 0) for name in names) / total for names in (PRODUCTS, ATTENTION, COPIES)
    ]
    return " | ".join(f"{share:.0%}" for share in (*shares, 1 - sum(shares)))


def rungs(batch: int = 128) -> None:
    """Print what a step of each width does and what limits it."""
    data = random_jets(4000, LIMIT)
    n = data.lengths
    print(f"\n## Rungs: {LIMIT} constituents, batch {batch}, forward and backward, our kernels\n")
    print(
        "| model | jets/s | GFLOP/s | of the products' peak | products | attention | copies", end=""
    )
    print(" | other | bfloat16 / float32 |\n|---|---|---|---|---|---|---|---|---|")
    for size in RUNGS:
        sums = {"constituents": int(n.sum()), "constituents_squared": int((n**2).sum())}
        a_jet = flops.training_flops(size, len(FEATURES), CLASSES, jets=len(n), **sums) / len(n)
        variants = {
            "float32": stepper(size, data, batch, update=False),
            "bfloat16": stepper(size, data, batch, update=False, precision=torch.bfloat16),
        }
        rates: dict[str, list[float]] = {name: [] for name in variants}
        peaks = []
        for _ in range(ROUNDS):
            for name, found in race(variants, batch, rounds=1).items():
                rates[name] += found
            peaks.append(products_peak())
        pairs = zip(rates["float32"], peaks, strict=True)
        share = median(a_jet * rate / peak for rate, peak in pairs)
        jets = median(rates["float32"])
        row = f"{size.name} | {jets:.0f} | {a_jet * jets / 1e9:.1f} | {share:.0%}"
        ends = f"{where_time_goes(variants['float32'])} | {ratio(rates, 'bfloat16', 'float32')}"
        print(f"| {row} | {ends} |", flush=True)


def against_padded(size: ModelSize, batch: int, rounds: int) -> None:
    """Print a row of packed against padded, with and without the update."""
    data = random_jets(4000, LIMIT)
    for update in (False, True) if size == TWO_MILLION else (True,):
        steppers = {
            "ours": stepper(size, data, batch, update=update),
            "padded": stepper(size, data, batch, pad_to=LIMIT, update=update),
            "plain": stepper(size, data, batch, pad_to=LIMIT, plain=True, update=update),
        }
        rates = race(steppers, batch, rounds)
        what = "with update" if update else "forward and backward"
        figures = " | ".join(f"{median(found):.1f}" for found in rates.values())
        ratios = " | ".join(ratio(rates, "ours", other) for other in ("padded", "plain"))
        print(f"| {size.name} | {batch} | {what} | {figures} | {ratios} |", flush=True)


def padded() -> None:
    """Print the table of packed against padded."""
    print(f"\n## Against the same model padded to {LIMIT} constituents\n")
    print("| model | batch | step | ours | padded, our kernels | padded, PyTorch's own", end="")
    print(" | ours / padded | ours / PyTorch's own |\n|---|---|---|---|---|---|---|---|")
    for batch in (64, 128):
        against_padded(TWO_MILLION, batch, rounds=3)
    for size in SMALL:
        for batch in (16, 128):
            against_padded(size, batch, ROUNDS)


def whole_runs() -> None:
    """Print the speed of complete runs of small models on small data."""
    train, validation, test = (
        random_jets(n, 32, seed) for seed, n in enumerate((4000, 2000, 4000))
    )
    print("\n## Whole runs\n\n32 constituents, batch 16, 4000 jets x 2 epochs, 2000 validation and")
    print("4000 test jets; training jets per CPU-second without and with all evaluation\n")
    print("| model | training alone | everything |\n|---|---|---|")
    for size in SMALL:
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


def heading() -> str:
    """Date, versions and what the figures are."""
    cpu = next((line for line in _cpu() if line.startswith("model name")), "").partition(":")[2]
    versions = f"torch {torch.__version__}, numpy {np.__version__}, Python"
    return (
        f"{date.today()}, {versions} {platform.python_version()},{cpu or platform.machine()}, one "
        f"thread, CPU time, medians of {ROUNDS} rounds (3 at two million parameters), "
        f"{len(FEATURES)} features"
    )


def _cpu() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            return file.read().splitlines()
    except OSError:
        return []


def main() -> None:
    """Print all tables."""
    torch.set_num_threads(1)
    print(heading())
    rungs()
    padded()
    whole_runs()


if __name__ == "__main__":
    main()
