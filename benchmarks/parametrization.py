"""How far features and outputs move in the first steps, by width and depth: a coordinate check.

    python benchmarks/parametrization.py

Made-up jets whose first feature tells the class, one batch of 64 that every step sees, one base
rate for all sizes. A number is the root mean square change of the pooled features or the outputs
since the start, a geometric mean over three seeds. Where it stays put the best rate can stay put.
"""

import datetime

import numpy as np
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import batch_of
from jetscale.models.build import build_model
from jetscale.models.inputs import feature_inputs
from jetscale.study import Controls, ModelSize, Recipe
from jetscale.training.optim import FlatAdamW

WIDTHS, DEPTHS = (8, 16, 32, 64, 128, 256), (1, 2, 4, 8)
STEPS = (1, 5)
SEEDS = (1, 2, 3)
CASES = (("complete", 0.0), ("standard", 0.0), ("standard", 0.75))
"""Parametrization and width exponent of the rate."""


def jets(seed: int, number: int = 64) -> Ragged:
    """Jets of 5 to 19 constituents in three classes."""
    random = np.random.default_rng(seed)
    lengths, labels = random.integers(5, 20, number), random.integers(0, 3, number)
    values = random.normal(size=(lengths.sum(), 7)).astype(np.float32)
    values[:, 0] += np.repeat(labels, lengths)
    return Ragged(values=values, offsets=np.concatenate([[0], lengths.cumsum()]), labels=labels)


def moved(recipe: Recipe, size: ModelSize, seed: int) -> list[float]:
    """Changes of features and outputs after each number of steps."""
    inputs = feature_inputs(FEATURE_SETS["kin"])
    model, factors = build_model(
        recipe.model, size, inputs, 3, trunk_seed=seed, head_seed=seed + 100
    )
    trunk, head = model.get_submodule("trunk"), model.get_submodule("head")
    optimiser = FlatAdamW(trunk, head, recipe, size.width, 1000, factors)
    batch, seen = batch_of(jets(seed), optimiser.weights), []
    for step in range(max(STEPS) + 1):
        optimiser.gradient.zero_()
        features = trunk(batch)
        outputs = head(features)
        if step in (0, *STEPS):
            seen.append((features.detach().clone(), outputs.detach().clone()))
        torch.autograd.backward(functional.cross_entropy(outputs, batch.labels))
        optimiser.step(step)
    first, *later = seen
    return [
        float((after - before).square().mean().sqrt())
        for pair in later
        for after, before in zip(pair, first, strict=True)
    ]


def main() -> None:
    torch.set_num_threads(1)
    print(
        f"{len(SEEDS)} seeds, peak rate 0.01, torch {torch.__version__}, "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    )
    columns = [f"{what}, step {n}" for n in STEPS for what in ("features", "outputs")]
    by_width = [ModelSize(width=width, layers=2, heads=width // 8) for width in WIDTHS]
    by_depth = [ModelSize(width=32, layers=depth, heads=4) for depth in DEPTHS]
    for parametrization, exponent in CASES:
        recipe = Controls(
            pretraining_jets=1,
            validation_jets=1,
            test_jets=1,
            parametrization=parametrization,
            width_exponent=exponent,
            warmup=0.0,
        )
        print(f"\n{parametrization}, width_exponent {exponent:g}\n")
        print(f"| size | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
        for sizes in (by_width, by_depth):
            table = [[moved(recipe, size, seed) for seed in SEEDS] for size in sizes]
            means = np.exp(np.log(table).mean(1))
            for size, row in zip(sizes, means, strict=True):
                print(f"| {size.name} | {' | '.join(f'{x:.3f}' for x in row)} |")
            ratios = means.max(0) / means.min(0)
            print(f"| largest / smallest | {' | '.join(f'{x:.2f}' for x in ratios)} |", flush=True)


if __name__ == "__main__":
    main()
