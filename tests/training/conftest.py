"""Small jets that can be learnt, and a small cell."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jetscale.mixtures.ragged import Ragged
from jetscale.study import Controls, ModelSize
from jetscale.training.result import Cell

CLASSES = ("QCD", "Hbb", "Tbl")


@pytest.fixture(scope="session")
def jets_of() -> Callable[..., Ragged]:
    """n jets of 1 to 12 constituents whose first feature tells the class, with noise."""

    def make(n: int, seed: int = 0) -> Ragged:
        random = np.random.default_rng(seed)
        lengths = random.integers(1, 13, n)
        labels = random.integers(0, len(CLASSES), n)
        values = random.normal(size=(lengths.sum(), 7)).astype(np.float32)
        values[:, 0] += np.repeat(labels, lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        for array in (values, offsets, labels):
            array.flags.writeable = False  # as in a stream mapped from disk
        return Ragged(values=values, offsets=offsets, labels=labels)

    return make


@pytest.fixture(scope="session")
def cell_of() -> Callable[..., Cell]:
    """A cell of 2 epochs at batch 8; keywords replace fields of the cell or of its controls."""

    def make(**changes: Any) -> Cell:
        controls = Controls(
            pretraining_jets=1,
            validation_jets=1,
            test_jets=1,
            features="kin",
            constituents=12,
            batch_size=8,
        )
        own = {name: changes.pop(name) for name in Cell.__slots__ if name in changes}
        cell = Cell(
            identity="cell-a",
            size=ModelSize(width=8, layers=1, heads=2),
            classes=CLASSES,
            controls=replace(controls, **changes),
            epochs=2,
            seed=1,
        )
        return replace(cell, **own)

    return make
