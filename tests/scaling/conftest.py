"""Run tables made from known laws."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling.engine import laws

TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """E, A, B, alpha, beta close to the published refit."""
    return TRUTH.copy()


@pytest.fixture(scope="session")
def grid() -> Callable[..., pd.DataFrame]:
    """Makes a full grid of runs from one law per mixture, with log-normal seed noise."""

    def make(
        mixtures: Mapping[str, Sequence[float]],
        params: Sequence[float] = tuple(np.geomspace(1e7, 3e9, 6)),
        examples: Sequence[float] = tuple(np.geomspace(1e8, 1e11, 8)),
        seeds: int = 2,
        noise: float = 0.01,
        random: int = 1,
    ) -> pd.DataFrame:
        rng = np.random.default_rng(random)
        parts = []
        for name, theta in mixtures.items():
            n, d, s = (
                axis.ravel() for axis in np.meshgrid(params, examples, range(seeds), indexing="ij")
            )
            loss = laws.loss(np.asarray(theta, dtype=float), n, d)
            loss = loss * np.exp(noise * rng.normal(size=loss.shape))
            columns = {"params": n, "examples": d, "loss": loss, "seed": s.astype(int)}
            parts.append(pd.DataFrame({"mixture": name} | columns))
        return pd.concat(parts, ignore_index=True)

    return make
