"""Searches made from a known rate law and a loss that no part of the code assumes."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

LOG_C, WIDTH, STEPS = np.log(1e-2), -0.8, -0.25
"""The law of all made-up searches: log c, a and b."""


def excess(u: np.ndarray) -> np.ndarray:
    """Log loss above its minimum: flat below the best rate, steep above; a sum of two powers."""
    return np.log1p(0.15 * (np.exp(1.5 * u) / 1.5 + np.exp(-0.3 * u) / 0.3 - 1 / 1.5 - 1 / 0.3))


def search(
    rng: np.random.Generator,
    *,
    starts: Sequence[str] = ("scratch",),
    arms: int = 2,
    widths: Sequence[int] = (8, 16, 32),
    steps: Sequence[int] = (300, 1000, 3000),
    seeds: int = 3,
    factors: Sequence[float] = (0.25, 0.5, 1, 2, 4),
    noise: float = 0.03,
    offset: float = 0.05,
    scatter: float = 0.0,
    apart: float = 0.0,
) -> pd.DataFrame:
    """A search at factors of a base rate that is wrong in level and exponents.

    ``apart`` is the step of log c from one start to the next, ``scatter`` that of the optima.
    """
    parts = []
    for number, start in enumerate(starts):
        for arm in range(arms):
            for width in widths:
                for n in steps:
                    w, s = np.log(width / 16), np.log(n / 1000)
                    best = LOG_C + WIDTH * w + STEPS * s + number * apart + scatter * rng.normal()
                    log_rate = LOG_C + 0.2 - 0.75 * w - 0.15 * s + np.log(factors)
                    y = np.log(0.5) - 0.1 * w - 0.2 * s + excess(log_rate - best)[:, None]
                    y = y + offset * rng.normal(size=seeds)
                    y = y + noise * rng.normal(size=(len(factors), seeds))
                    rate, seed = np.meshgrid(np.exp(log_rate), np.arange(seeds), indexing="ij")
                    cell = {"start": start, "mixture": f"arm{arm}", "width": width}
                    cell |= {"examples": 10 * n, "steps": n, "rate": rate.ravel()}
                    cell |= {"seed": seed.ravel(), "loss": np.exp(y).ravel()}
                    parts.append(pd.DataFrame(cell))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def make_search() -> Callable[..., pd.DataFrame]:
    return search


@pytest.fixture(scope="session")
def true_law() -> tuple[float, float, float]:
    return LOG_C, WIDTH, STEPS
