"""Calorimeter: particle showers instead of jets, made by the functions of this file.

Question    Electrons, photons, pions and muons of 20 to 60 GeV are to be told apart by their
            showers, and labelled showers are few. Does it help to pretrain on showers of lower
            energy, or on cosmic muons sorted by their direction?
Simulator   A shower is 8 to 32 hits: depth in radiation lengths, x and y in Moliere radii, energy
            in GeV. Depths of electromagnetic showers follow the gamma profile of the Review of
            Particle Physics ("Passage of particles through matter"), dE/dt ~ t^(a-1) exp(-b t),
            with its maximum at ln(E / E_c) - 1/2 for electrons and + 1/2 for photons. Pions start
            later, spread wider and have an electromagnetic share that fluctuates. Muons leave a
            straight track.
Grid        3 mixtures x 3 model sizes x 4 data sizes x 2 seeds = 72 fine-tuning runs, after 12
            pretrainings.
Command     jetscale run sweeps/calorimeter.py     (then: jetscale fit sweeps/calorimeter.py)
Expect      Pretraining on showers of lower energy is worth several times the labelled showers,
            pretraining on cosmic muons is worse than none; both fade as showers become many.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from jetscale.study import (
    Corpus,
    Data,
    Declared,
    Evaluation,
    Feature,
    Mixture,
    ModelSize,
    Recipe,
    Schedule,
    Study,
)
from jetscale.study.corpus import Simulate

FEATURES = (
    Feature(name="depth", mean=8.0, scale=6.0),
    Feature(name="x", mean=0.0, scale=0.6),
    Feature(name="y", mean=0.0, scale=0.6),
    Feature(name="log_energy", mean=-1.0, scale=1.5),
)
PARTICLES = ("electron", "photon", "pion", "muon")
LOW_ENERGY = ("electron-low", "electron-mid", "photon-low", "photon-mid", "pion-low", "pion-mid")
DIRECTIONS = ("left", "right", "up", "down")
CRITICAL_ENERGY = 0.01  # GeV, of lead
LAYERS = 25.0  # depth of the calorimeter in radiation lengths


def hits(
    kind: np.ndarray, energy: np.ndarray, tilt: np.ndarray, label: np.ndarray, seed: int
) -> pa.Table:
    """The hits of one shower per row: kind counts in PARTICLES, energy in GeV, tilt (n, 2)."""
    rng = np.random.default_rng([seed, 1])
    rows = len(kind)
    counts = np.clip(rng.poisson(8 + 6 * np.log10(energy * 10)), 8, 32)
    shower = np.repeat(np.arange(rows), counts)
    kinds = kind[shower]
    # where the first interaction is: at the face, after 9/7 radiation lengths, after many
    start = rng.exponential(np.array([1e-3, 9 / 7, 5.0, 1e-3])[kind])[shower]
    share = np.where(kind == 2, rng.beta(2.0, 3.0, rows), 1.0)  # electromagnetic part of a pion
    core = rng.random(len(shower)) < share[shower]
    peak = np.log(energy / CRITICAL_ENERGY)[shower] + np.where(kinds == 0, -0.5, 0.5)
    slope = np.where(core, 0.5, 0.2)
    depth = start + rng.gamma(np.maximum(1 + slope * peak, 1.0)) / slope
    depth = np.where(kinds == 3, rng.uniform(0, LAYERS, len(shower)), np.minimum(depth, LAYERS))
    width = np.where(kinds == 3, 0.05, np.where(core, 0.25, 0.8))
    across = tilt[shower] * depth[:, None] + rng.normal(size=(len(shower), 2)) * width[:, None]
    deposit = rng.exponential((energy / counts)[shower])
    deposit = np.where(kinds == 3, rng.gamma(4.0, 0.1, len(shower)), deposit)
    # hits in order of energy, so that a cut to the leading ones keeps what matters
    order = np.lexsort((-deposit, shower))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    columns = (depth, across[:, 0], across[:, 1], np.log(deposit + 1e-3))
    table = {
        feature.name: pa.ListArray.from_arrays(offsets, pa.array(values[order]))
        for feature, values in zip(FEATURES, columns, strict=True)
    }
    return pa.table(table | {"label": label})


def particles(classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
    """Showers of the task: 20 to 60 GeV, head on."""
    rng = np.random.default_rng(seed)
    kind = rng.choice([PARTICLES.index(name) for name in classes], rows)
    yield hits(kind, rng.uniform(20, 60, rows), rng.normal(0, 0.02, (rows, 2)), kind, seed)


def low_energy(classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
    """Showers of 2 to 6 GeV (low) and of 6 to 18 GeV (mid)."""
    rng = np.random.default_rng(seed)
    label = rng.choice([LOW_ENERGY.index(name) for name in classes], rows)
    energy = rng.uniform(2, 6, rows) * np.where(label % 2, 3.0, 1.0)
    yield hits(label // 2, energy, rng.normal(0, 0.02, (rows, 2)), label, seed)


def cosmic(classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
    """Muons that cross the calorimeter to one of four sides."""
    rng = np.random.default_rng(seed)
    label = rng.choice([DIRECTIONS.index(name) for name in classes], rows)
    angle = np.array([np.pi, 0.0, np.pi / 2, -np.pi / 2])[label] + rng.normal(0, 0.5, rows)
    tilt = 0.05 * np.column_stack([np.cos(angle), np.sin(angle)])
    yield hits(np.full(rows, 3), rng.uniform(2, 60, rows), tilt, label, seed)


def showers(name: str, classes: tuple[str, ...], simulate: Simulate) -> Corpus:
    """A corpus of showers; all have the same features, so one model reads them all."""
    return Corpus(
        name=name,
        classes=classes,
        simulate=simulate,
        noun="shower",
        features=FEATURES,
        typical_length=20.0,
    )


def study() -> Study:
    """The calorimeter study."""
    return Study(
        name="calorimeter",
        source=Declared(
            downstream=showers("particles", PARTICLES, particles),
            pretraining=(
                showers("low-energy", LOW_ENERGY, low_energy),
                showers("cosmic", DIRECTIONS, cosmic),
            ),
            train_examples=2_000,
        ),
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="near", parts={"low-energy": 1.0}),
            Mixture(name="far", parts={"cosmic": 1.0}),
        ),
        ladder=(
            ModelSize(width=8, layers=1, heads=1),
            ModelSize(width=16, layers=1, heads=2),
            ModelSize(width=32, layers=1, heads=4),
        ),
        data_sizes=(125, 250, 500, 1000),
        seeds=(1, 2),
        subsets=2,
        recipe=Recipe(
            data=Data(pretraining_jets=3_000, features="all", constituents=32),
            schedule=Schedule(batch_size=16, epochs=3, pretraining_epochs=2),
            evaluation=Evaluation(validation_jets=500, test_jets=2_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
