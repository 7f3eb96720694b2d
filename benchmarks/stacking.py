"""Training K models in lock step on one CPU thread: ``python benchmarks/stacking.py``.

Prints jets per CPU-second of whole optimiser steps (batch assembly, forward, backward, update) of a
run alone, and how many times as many K runs in a stack make together: on the same jets in the same
order, as the mixtures of a study do, and on jets of their own, as its seeds do where jets are
padded to the limit. First the fine-tuning part of the quickstart, alone, in stacks, and as its plan
stacks it; with ``--earlier SRC`` that of an earlier version too, whose sources are in that folder.
Variants take turns, so that other load hits all alike; each figure is the median of the rounds.
Results are in ``stacking.md``.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch

from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.ragged import Ragged
from jetscale.models.inputs import feature_inputs
from jetscale.planning import plan_runs
from jetscale.planning.stacks import most_in_stack
from jetscale.study import Controls, ModelSize
from jetscale.study.load import load_study
from jetscale.training.engine import Engine, Source
from jetscale.training.spec import RunSpec

CLASSES = 10
FEATURES = feature_inputs(FEATURE_SETS["kinpid"])
RUNGS = [(8, 1, 1), (16, 1, 2), (24, 2, 3), (32, 2, 4), (64, 3, 8), (128, 6, 16)]
QUICKSTART = [(4, 2, 1), (6, 2, 1), (10, 2, 1), (16, 2, 2), (24, 2, 3)]
DATA_SIZES, EPOCHS, RUNS = (500, 1000, 2000, 4000, 8000), 8, 6
ROUNDS, SECONDS = 3, 0.3

EARLIER = """
import json, sys, time
import numpy as np, torch
from torch.nn import functional
from jetscale.jets.schema import features_of
from jetscale.mixtures.ragged import Ragged
from jetscale.model.layout import arrange
from jetscale.model.optim import FlatAdamW
from jetscale.model.transformer import JetTransformer, make_batch
from jetscale.study import Controls, ModelSize
torch.set_num_threads(1)
names = [feature.name for feature in features_of("kinpid")]
controls = Controls(pretraining_jets=10, validation_jets=10, test_jets=10)
data = None
made = {}
for line in sys.stdin:
    told = json.loads(line)
    if "file" in told:
        data = Ragged(**np.load(told["file"]))
        continue
    shape, batch = tuple(told["size"]), told["batch"]
    if shape not in made:
        size = ModelSize(width=shape[0], layers=shape[1], heads=shape[2])
        model = JetTransformer(size, names, 10, trunk_seed=1, head_seed=2)
        made[shape] = model, FlatAdamW(model, controls, size.width, 10**6)
    model, optimiser = made[shape]
    random, steps, begin = np.random.default_rng(3), 0, time.process_time()
    while time.process_time() - begin < told["seconds"]:
        rows = random.integers(0, len(data), batch)
        layout = arrange(data.offsets[:-1][rows], data.lengths[rows])
        jets = make_batch(data, layout, data.labels[rows], optimiser.weights)
        optimiser.clear()
        loss = functional.cross_entropy(model(jets), jets.labels, reduction="sum") / batch
        torch.autograd.backward(loss)
        optimiser.step(steps)
        steps += 1
    print((time.process_time() - begin) / steps, flush=True)
"""


def random_jets(n: int, limit: int, seed: int = 1) -> Ragged:
    """Jets with realistic multiplicities, exp(N(ln 42, .38)) from 5 to the limit."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(np.log(42), 0.38, n)).astype(np.int64).clip(5, limit)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = random.normal(size=(offsets[-1], len(FEATURES))).astype(np.float32)
    return Ragged(values=values, offsets=offsets, labels=random.integers(0, CLASSES, n))


def stepper(
    size: tuple[int, int, int], data: Sequence[Ragged], limit: int, batch: int
) -> Callable[[], float]:
    """A function that trains a run on each of ``data`` in a stack; CPU seconds of a step."""
    recipe = Controls(
        pretraining_jets=1, validation_jets=1, test_jets=1, constituents=limit, batch_size=batch
    )
    width, layers, heads = size
    order = [next(i for i, other in enumerate(data, 1) if other is jets) for jets in data]
    sources = [
        Source(
            spec=RunSpec(
                key=str(i),
                size=ModelSize(width=width, layers=layers, heads=heads),
                features=FEATURES,
                classes=tuple("abcdefghij"),
                recipe=recipe,
                epochs=10**4,
                seed=order[i - 1],
            ),
            train=jets,
        )
        for i, jets in enumerate(data, 1)
    ]
    engine = Engine(sources, "cpu")
    step = 0

    def run() -> float:
        nonlocal step
        begin, first = process_time(), step
        while process_time() - begin < SECONDS:
            engine.update(step, *engine.assemble(step))
            step += 1
        return (process_time() - begin) / (step - first)

    return run


def table(limit: int, batch: int, counts: Sequence[int]) -> None:
    """Print how many times the jets per CPU-second K runs have."""
    print(f"\n## {limit} constituents, batch {batch}\n")
    own = counts if limit == 32 else ()  # elsewhere runs on jets of their own stay alone
    heads = [f"same K={k}" for k in counts] + [f"own K={k}" for k in own]
    print(f"| model | alone, jets/s | {' | '.join(heads)} |\n|---|---|{'---|' * len(heads)}")
    sets = [random_jets(2000, limit, seed) for seed in range(max(counts))]
    for size in RUNGS:
        variants = [stepper(size, [sets[0]] * k, limit, batch) for k in (1, *counts)]
        variants += [stepper(size, sets[:k], limit, batch) for k in own]
        seconds = np.array([[run() for run in variants] for _ in range(ROUNDS)])
        gains = np.array([*counts, *own]) * seconds[:, :1] / seconds[:, 1:]
        cells = [f"{np.median(gain):.2f} ({gain.min():.2f}-{gain.max():.2f})" for gain in gains.T]
        name = "d{}-l{}-h{}".format(*size)
        print(
            f"| {name} | {batch / np.median(seconds[:, 0]):.0f} | {' | '.join(cells)} |", flush=True
        )


def quickstart(earlier: str | None, folder: str) -> None:
    """Print what the training part of the quickstart takes, in CPU seconds of one core."""
    data, second = random_jets(8000, 32), random_jets(8000, 32, seed=2)
    child = None
    if earlier:
        np.savez(f"{folder}/jets.npz", values=data.values, offsets=data.offsets, labels=data.labels)
        child = subprocess.Popen(
            [sys.executable, "-c", EARLIER],
            env=os.environ | {"PYTHONPATH": earlier},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps({"file": f"{folder}/jets.npz"}) + "\n")

    def before(size: tuple[int, int, int], batch: int) -> float:
        if child is None or child.stdin is None or child.stdout is None:
            return float("nan")
        child.stdin.write(json.dumps({"size": size, "batch": batch, "seconds": SECONDS}) + "\n")
        child.stdin.flush()
        return float(child.stdout.readline())

    runs = plan_runs(load_study(Path(__file__).parents[1] / "sweeps" / "quickstart.py"))
    planned = {
        (run.size.width, run.examples): most_in_stack(run) > 1
        for run in runs
        if run.kind == "finetune"
    }
    totals = np.zeros((ROUNDS, 5))
    for size in QUICKSTART:
        for jets in DATA_SIZES:
            batch = round(16 * (jets * EPOCHS / 16_000) ** 0.5)
            steps = EPOCHS * -(-jets // batch)
            stacks = [data], [data] * 3, [data] * 3 + [second] * 3  # three mixtures of two seeds
            variants = [stepper(size, stack, 32, batch) for stack in stacks]
            for turn in range(ROUNDS):
                alone, three, six = (run() for run in variants)
                chosen = six / 6 if planned[size[0], jets] else alone
                took = before(size, batch), alone, three / 3, six / 6, chosen
                totals[turn] += RUNS * steps * np.array(took)
    names = ("earlier version", "alone", "stacks of 3", "stacks of 6", "as planned")
    print("\n## Fine-tuning of the quickstart, CPU seconds\n")
    print("| | seconds | times as fast as alone | times as fast as the earlier version |")
    print("|---|---|---|---|")
    for name, column in zip(names, totals.T, strict=True):
        ratios = [totals[:, i] / column for i in (1, 0)]
        shown = [f"{np.median(r):.2f} ({r.min():.2f}-{r.max():.2f})" for r in ratios]
        print(f"| {name} | {median(column):.0f} | {' | '.join(shown)} |")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earlier", help="folder of the sources of an earlier version")
    parser.add_argument("--folder", default="/tmp", help="where to keep a file for it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{date.today()}, torch {torch.__version__}, Python {platform.python_version()}, ", end=""
    )
    print(f"{platform.machine()}, one thread, {ROUNDS} rounds, medians and range")
    quickstart(arguments.earlier, arguments.folder)
    table(32, 16, (4, 16, 64))
    table(128, 16, (4, 16))
    table(128, 128, (4, 16))


if __name__ == "__main__":
    main()
