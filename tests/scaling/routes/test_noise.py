import numpy as np
import pandas as pd
import pytest

from jetscale.scaling import fit
from jetscale.scaling.routes.noise import CELLS, SEEDS, cell_noise
from jetscale.scaling.table import validate

LAW = {"m": (1.8, 480.0, 2100.0, 0.35, 0.37)}


@pytest.mark.long
@pytest.mark.parametrize("fitted", [False, True])
def test_one_seed_tells_the_noise_by_what_cells_scatter(grid, fitted):
    found = []
    for random in range(20):
        runs = validate(grid(LAW, seeds=1, random=random))
        law = fit(runs, replicates=50)["m"] if fitted else None
        noise = cell_noise(runs, law)
        assert noise.source == CELLS
        assert noise.freedom >= 30
        found.append(noise.errors[0])
    # known to 1 / sqrt(2 * 20 * 30), 3%
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(0.01, rel=0.1)


def test_seeds_tell_it_unless_cells_scatter_more(grid):
    runs = validate(grid(LAW, seeds=4))
    spread = np.sqrt(np.log(runs["loss"]).groupby(runs["cell"]).var().mean())
    bumps = np.exp(0.05 * np.random.default_rng(0).normal(size=48))
    rough = runs.assign(loss=runs["loss"] * bumps[runs["cell"]])
    noise = cell_noise(runs, None)
    if noise.source == SEEDS:
        np.testing.assert_allclose(noise.errors, spread / 2)
    assert noise.errors[0] == pytest.approx(spread / 2, rel=0.3)
    assert cell_noise(rough, None).errors[0] == pytest.approx(0.05, rel=0.3)


def test_a_copied_run_is_no_proof_of_silence(grid):
    runs = grid(LAW, seeds=1)
    copy = pd.concat([runs, runs.iloc[:1].assign(seed=1)], ignore_index=True)
    noise = cell_noise(validate(copy), None)
    assert noise.source == CELLS
    assert noise.errors[1] == pytest.approx(0.01, rel=0.4)


def test_few_cells_tell_nothing(grid):
    few = grid(LAW, params=(1e7, 1e8), examples=(1e9, 1e10), seeds=1)
    assert not cell_noise(validate(few), None).known
