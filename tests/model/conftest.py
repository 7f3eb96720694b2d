"""Random jets for the tests of the model."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from jetscale.mixtures.ragged import Ragged


@pytest.fixture(scope="session")
def jets_of() -> Callable[..., Ragged]:
    """Jets with the given numbers of constituents."""

    def make(lengths: Sequence[int], features: int = 7, classes: int = 3, seed: int = 0) -> Ragged:
        random = np.random.default_rng(seed)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Ragged(
            values=random.normal(size=(offsets[-1], features)).astype(np.float32),
            offsets=offsets,
            labels=random.integers(0, classes, len(lengths)),
        )

    return make
