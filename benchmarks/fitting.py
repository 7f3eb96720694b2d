"""Speed and coverage of the fits.

Claims: 4,000 bootstrap refits of the 240-point Chinchilla table take under 5 s of one core, at
least 60 times less than BFGS with automatic gradients and 8 times less than BFGS with analytic
ones, never at a worse optimum; the cost is linear in replicates and cells; nominal 95% intervals
cover 93 to 97%. Usage (about 2, 1 and 10 minutes on one core):

    JETSCALE_TEST_DATA=DATA OMP_NUM_THREADS=1 python benchmarks/fitting.py
    JETSCALE_TEST_DATA=DATA OMP_NUM_THREADS=1 python benchmarks/fitting.py --growth
    OMP_NUM_THREADS=1 python benchmarks/fitting.py --coverage --simulations 500

Both BFGS minimise the same sum of Huber(1e-3) of log residuals of the same resamples with scipy,
each from the optimum of the full table, as the published bootstrap does; the search for that
optimum is not counted. Only some tens of replicates are run that way, and 4,000 extrapolated. Our
time includes the grid of starts of every replicate. Batches of all three alternate.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import scipy
import torch
from scipy.optimize import minimize

from jetscale.scaling import bootstrap
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.engine.profile import Grid, unknowns
from jetscale.scaling.engine.solver import Design, Solution, chunks, polish
from jetscale.scaling.estimate import percentile_interval

DELTA = 1e-3
REPLICATES = 4000
TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
COST = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
BUDGET = 1e21
Gradient = Callable[..., tuple[float, np.ndarray]]
Result = TypeVar("Result")


def chinchilla() -> pd.DataFrame:
    raw = pd.read_csv(Path(os.environ["JETSCALE_TEST_DATA"]) / "chinchilla_runs.csv")
    raw = raw[raw["loss"] < raw["loss"].nlargest(5).min()]
    examples = raw["Training FLOP"] / raw["Model Size"] / 6
    return pd.DataFrame({"params": raw["Model Size"], "examples": examples, "loss": raw["loss"]})


def begin(grid: Grid, weights: np.ndarray) -> np.ndarray:
    """Unknowns (R, 5) at the best point of the grid for each row of weights."""
    found = grid.surface(weights)
    flat = found.squares.reshape(len(found.squares), -1).argmin(axis=1)
    at = np.unravel_index(flat, found.squares.shape[1:])
    return unknowns(grid.law, grid.runs, weights, grid.nonlinear(found, at))


def solve(runs: Centred, weights: np.ndarray, delta: float, stride: int = 2) -> Solution:
    """The optimum of every row of weights, from the best point of its own grid."""
    grid, parts = Grid(CHINCHILLA, runs, stride), chunks(len(weights), len(runs.x))
    q = np.concatenate([begin(grid, weights[rows]) for rows in parts])
    return polish(Design.single(runs), q, runs.z[None], weights, delta)


def resamples(count: int, replicates: int) -> np.ndarray:
    return bootstrap.cell_weights(count, replicates, seed=42)


def by_autograd(
    p: np.ndarray, n: np.ndarray, d: np.ndarray, z: np.ndarray
) -> tuple[float, np.ndarray]:
    q = torch.tensor(p, requires_grad=True)
    x, y, target = (torch.from_numpy(values) for values in (n, d, z))
    terms = torch.stack([q[0] - q[3] * x, q[1] - q[4] * y, q[2].expand(len(n))])
    residuals = torch.logsumexp(terms, 0)
    value = torch.nn.functional.huber_loss(residuals, target, delta=DELTA, reduction="sum")
    torch.autograd.backward(value)
    assert q.grad is not None
    return value.item(), q.grad.numpy()


def by_hand(p: np.ndarray, n: np.ndarray, d: np.ndarray, z: np.ndarray) -> tuple[float, np.ndarray]:
    a, b, e = np.exp(p[0] - p[3] * n), np.exp(p[1] - p[4] * d), np.exp(p[2])
    total = a + b + e
    r = np.log(total) - z
    size = np.abs(r)
    inner = np.minimum(size, DELTA)
    g = np.clip(r, -DELTA, DELTA) / total
    ga, gb = g * a, g * b
    slope = np.array([ga.sum(), gb.sum(), e * g.sum(), -(ga @ n), -(gb @ d)])
    return (inner * (size - 0.5 * inner)).sum(), slope


def bfgs(
    gradient: Gradient, start: np.ndarray, logs: list[np.ndarray], weights: np.ndarray
) -> np.ndarray:
    """Objectives of one BFGS per row of weights."""
    ends = []
    for row in weights:
        rows = np.repeat(np.arange(len(row)), row.astype(int))
        data = tuple(values[rows] for values in logs)
        ends.append(minimize(gradient, start, args=data, jac=True, method="BFGS").fun)
    return np.array(ends)


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def speed(batches: int, size: int) -> None:
    table = chinchilla()
    runs, weights = Centred.from_runs(table), resamples(len(table), REPLICATES)
    point = CHINCHILLA.theta(solve(runs, np.ones((1, len(table))), DELTA).q, runs)[0]
    start = np.array([np.log(point[1]), np.log(point[2]), np.log(point[0]), point[3], point[4]])
    logs = [np.log(table[name].to_numpy()) for name in ("params", "examples", "loss")]
    solve(runs, weights[:200], DELTA)
    per, worst, ours = [], [], []
    for batch in range(batches):
        rows = slice(batch * size, (batch + 1) * size)
        mine, found = timed(lambda: solve(runs, weights, DELTA))
        times = [mine / REPLICATES]
        for gradient in (by_autograd, by_hand):
            seconds, ends = timed(partial(bfgs, gradient, start, logs, weights[rows]))
            times.append(seconds / size)
            worst.append((found.objective[rows] / ends - 1).max())
        per.append(times)
        ours.append(found)
    show_speed(np.array(per), batches * size, max(worst))
    full = solve(runs, weights, DELTA, stride=1)
    print(
        f"\nLargest excess over the optimum from the full grid of 841 starts, all {REPLICATES} "
        f"replicates: {(ours[0].objective / full.objective - 1).max():.1e}; "
        f"not converged: {int((~ours[0].converged).sum())}."
    )
    show_bootstrap(runs, ours[0])


def show_speed(per: np.ndarray, compared: int, worst: float) -> None:
    names = ("jetscale", "BFGS, automatic gradients (torch float64)", "BFGS, analytic gradients")
    print("| method | ms per replicate, mean (range) | 4,000 replicates, s | ratio (range) |")
    print("|---|---|---|---|")
    for name, times in zip(names, per.T, strict=True):
        ratio = times / per[:, 0]
        print(
            f"| {name} | {1e3 * times.mean():.2f} ({1e3 * times.min():.2f} - "
            f"{1e3 * times.max():.2f}) | {REPLICATES * times.mean():.2f} "
            f"| {times.mean() / per[:, 0].mean():.1f} ({ratio.min():.1f} - {ratio.max():.1f}) |"
        )
    print(
        f"\nBFGS ran on {compared} replicates and is extrapolated. Largest excess of our objective "
        f"over either BFGS on them: {worst:.1e} (relative; negative is better)."
    )


def show_bootstrap(runs: Centred, found: Solution) -> None:
    theta = CHINCHILLA.theta(found.q, runs)
    optimum = laws.optimum(theta, 1e24, COST)
    columns = dict(zip(laws.PARAMETERS, theta.T, strict=True))
    columns |= {"a": laws.exponents(theta, COST)[0], "N* at 1e24": optimum.params}
    print(
        f"\n| of {REPLICATES} replicates | standard deviation | 2.5% | 97.5% |\n|---|---|---|---|"
    )
    for name, values in columns.items():
        low, high = np.quantile(values, [0.025, 0.975])
        print(f"| {name} | {values.std():.4g} | {low:.4g} | {high:.4g} |")


def growth(repeats: int) -> None:
    """Times over replicates and over cells, each against a straight line."""
    runs = Centred.from_runs(chinchilla())
    solve(runs, resamples(240, 200), DELTA)
    by_replicates = [(count, runs, count, DELTA) for count in (500, 1000, 2000, 4000)]
    by_cells = []
    for n in (24, 48, 96, 192, 384):
        made = Centred.from_runs(simulated(np.random.default_rng(n), (n, 10, 1)))
        by_cells.append((10 * n, made, 300, 0.025))
    for name, cases in (("replicates", by_replicates), ("cells", by_cells)):
        # the cases alternate, so that a busy machine slows all of them alike
        seconds = np.array([[spent(*case[1:]) for case in cases] for _ in range(repeats)])
        print("| replicates | cells | grid, s | polish, s | sum, s, median (range) |")
        print("|---|---|---|---|---|")
        for case, halves in zip(cases, seconds.transpose(1, 0, 2), strict=True):
            total, (first, second) = halves.sum(axis=1), np.median(halves, axis=0)
            print(
                f"| {case[2]} | {len(case[1].x)} | {first:.3f} | {second:.3f} | "
                f"{np.median(total):.3f} ({total.min():.3f} - {total.max():.3f}) |"
            )
        sizes = np.array([case[0] for case in cases], dtype=float)
        show_line(name, sizes, np.median(seconds.sum(axis=2), axis=0))
        print(flush=True)


def spent(runs: Centred, replicates: int, delta: float) -> tuple[float, float]:
    """CPU seconds of the grid of starts and of the polish of a bootstrap."""
    weights = resamples(len(runs.x), replicates)
    grid, design = Grid(CHINCHILLA, runs, stride=2), Design.single(runs)
    parts = chunks(replicates, len(runs.x))
    first, q = timed(lambda: np.concatenate([begin(grid, weights[rows]) for rows in parts]))
    second, _ = timed(lambda: polish(design, q, runs.z[None], weights, delta))
    return first, second


def show_line(name: str, sizes: np.ndarray, seconds: np.ndarray) -> None:
    """The line a + b x size of least relative squares, and how far the times lie from it."""
    design = np.column_stack([np.ones_like(sizes), sizes])
    line = np.linalg.lstsq(design / seconds[:, None], np.ones_like(sizes), rcond=None)[0]
    off = ", ".join(f"{value:+.0%}" for value in seconds / (design @ line) - 1)
    power = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    last = np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2])
    print(f"\nSeconds = {line[0]:.3f} + {1e3 * line[1]:.4f} x {name} / 1000; off by {off}.")
    print(f"Power of growth {power:.2f} over the table, {last:.2f} over its last doubling.")


def simulated(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    misfit: float = 0,
    trunk: float = 0,
    tilt: float = 1,
) -> pd.DataFrame:
    """Runs of the law with 1% seed noise, and deviations of cells and of (params, seed).

    ``shape`` says how many sizes, data sizes and seeds.
    ``tilt`` is the noise at the largest data size over that at the smallest one.
    """
    n, d, seeds = shape
    axes = np.geomspace(1e7, 3e9, n), np.geomspace(1e8, 1e11, d)
    i, j, k = (a.ravel() for a in np.indices(shape))
    off = 0.01 * rng.normal(size=len(i)) + misfit * rng.normal(size=(n, d))[i, j]
    off += trunk * rng.normal(size=(n, seeds))[i, k]
    off *= tilt ** (j / (d - 1) - 0.5)
    loss = laws.loss(TRUTH, axes[0][i], axes[1][j]) * np.exp(off)
    columns = {"params": axes[0][i], "examples": axes[1][j], "seed": k, "cell": i * d + j}
    return pd.DataFrame({"loss": loss} | columns)


def quantities(theta: np.ndarray) -> np.ndarray:
    best = laws.optimum(theta, BUDGET, COST)
    return np.stack([laws.exponents(theta, COST)[0], np.log(best.params), best.loss])


def covered(
    shape: tuple[int, int, int], method: str, simulations: int, replicates: int, **truth: float
) -> tuple[np.ndarray, float]:
    """Share of intervals of a, N* and L* that hold the truth, and the median width for a."""
    objective, exact, hits, widths = Objective("huber", 0.025), quantities(TRUTH), [], []
    for random in range(simulations):
        runs = simulated(np.random.default_rng(random), shape, **truth)
        family = Family(CHINCHILLA, Centred.from_runs(runs))
        q = family.fit(np.ones((1, len(runs))), objective).q
        drawn = bootstrap.resample(family, q, runs, objective, replicates, random, method)[0]
        ends = [percentile_interval(v, len(drawn.cells)) for v in quantities(drawn.theta)]
        hits.append([low <= v <= high for (low, high), v in zip(ends, exact, strict=True)])
        widths.append(ends[0][1] - ends[0][0])
    return np.mean(hits, axis=0), float(np.median(widths))


Case = tuple[str, dict[str, float], tuple[int, int, int], tuple[str, ...]]
EXACT: tuple[str, dict[str, float]] = ("law exact", {})
OFF = ("1% misfit of cells", {"misfit": 0.01})
TRUNKS = ("1% misfit of trunks", {"trunk": 0.01})
FALLS = ("noise and misfit fall 4-fold with D", {"misfit": 0.01, "tilt": 0.25})
GROWS = ("noise and misfit grow 4-fold with D", {"misfit": 0.01, "tilt": 4.0})
CASES: list[Case] = [
    *((*truth, (4, 3, 2), ("components", "wild")) for truth in (EXACT, OFF)),
    *((*truth, (4, 4, 2), ("components", "wild")) for truth in (EXACT, OFF)),
    *((*truth, (4, 5, 2), ("components",)) for truth in (EXACT, OFF)),
    *((*truth, (6, 6, 2), ("components", "wild", "cells")) for truth in (EXACT, OFF)),
    *((*truth, (8, 8, 3), ("cells",)) for truth in (EXACT, OFF)),
    *((*truth, (4, 5, 2), ("trunks",)) for truth in (EXACT, TRUNKS)),
    *((*truth, (6, 6, 2), ("trunks",)) for truth in (EXACT, TRUNKS)),
    *((*truth, (8, 6, 2), ("trunks",)) for truth in (EXACT, TRUNKS)),
    (*TRUNKS, (6, 6, 2), ("components",)),
    *((*truth, (6, 6, 2), ("components", "cells")) for truth in (FALLS, GROWS)),
]


def coverage(simulations: int, replicates: int) -> Iterator[str]:
    yield "| truth | N x D x seeds | method | a | N* | L* | median width of a |"
    yield "|---|---|---|---|---|---|---|"
    for name, truth, shape, methods in CASES:
        for method in methods:
            share, width = covered(shape, method, simulations, replicates, **truth)
            cells = " x ".join(map(str, shape))
            shares = " | ".join(f"{value:.3f}" for value in share)
            yield f"| {name} | {cells} | {method} | {shares} | {width:.4f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=199)
    parser.add_argument("--batches", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, torch {torch.__version__}, load "
        f"average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    if options.coverage:
        seconds = time.process_time()
        for line in coverage(options.simulations, options.replicates):
            print(line, flush=True)
        print(f"\n{time.process_time() - seconds:.0f} CPU s; {options.simulations} simulations")
        return
    if not options.growth:
        speed(options.batches, 10)
        print()
    growth(5)


if __name__ == "__main__":
    main()
