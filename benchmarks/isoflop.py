"""The isoFLOP route: bias of a parabola against the cubic used here, and whether intervals hold.

    python benchmarks/isoflop.py            both tables, some minutes
    JETSCALE_TEST_DATA=folder python benchmarks/isoflop.py    and the runs of arXiv 2203.15556

Bias: noise-free losses L = 1.8 + 480 / N^alpha + 2100 / D^beta at 1e21 FLOPs, C = 6 N D, on 7 sizes
evenly spaced in log N and centred on the true optimum; relative error of N*.

Coverage: simulated studies of one seed or more; how often the 95% interval of the exponent a holds
that of the truth, by route; how often a route is said to disagree with the law at p < 0.05; which
forecast better. Truths are the law itself and two losses that are not of its form. Prints Markdown.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from jetscale.scaling import CostModel, all_routes, fit
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.routes.isoflop import minimum
from jetscale.scaling.routes.levels import polynomial

SIX_ND = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
BUDGET, SIZES, STUDIES = 1e21, 7, 100
EXPONENTS = ((0.348, 0.366), (0.66, 0.40), (0.71, 0.35))
THETA = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
Loss = Callable[[Array, Array], Array]
Table = Callable[[Loss, np.random.Generator], pd.DataFrame]


def profile(alpha: float, beta: float, decades: float) -> tuple[Array, Array, float]:
    """Log sizes (7,), log losses (1, 7) and the true log N*."""
    theta = np.array([1.8, 480.0, 2100.0, alpha, beta])
    best = float(np.log(laws.optimum(theta, BUDGET, SIX_ND).params))
    x = best + np.log(10) * np.linspace(-decades, decades, SIZES)
    return x, np.log(laws.loss(theta, np.exp(x), BUDGET / 6 / np.exp(x)))[None], best


def errors(alpha: float, beta: float, decades: float) -> tuple[float, float]:
    """Relative errors of N* by parabola and by cubic."""
    x, y, best = profile(alpha, beta, decades)
    fine = np.linspace(x[0], x[-1], 20_001)
    parabola = fine[polynomial(x, y, fine, 2)[0].argmin()]
    return float(np.expm1(parabola - best)), float(np.expm1(minimum(x, y)[0][0] - best))


def law(n: Array, d: Array) -> Array:
    """The law that is fitted."""
    return laws.loss(THETA, n, d)


def bent(n: Array, d: Array) -> Array:
    """The same with an exponent alpha that changes with N."""
    return np.asarray(1.8 + 480 * n**-0.35 * n ** (-0.01 * np.log(n / 3e8)) + 2100 * d**-0.37)


def outer(n: Array, d: Array) -> Array:
    """The same terms under an outer power."""
    return np.asarray(1.8 + ((480 * n**-0.35) ** 1.6 + (2100 * d**-0.37) ** 1.6) ** (1 / 1.6))


def design(budgets: int, sizes: int, noise: float, drift: float = 0.0) -> Table:
    """Runs at a few budgets, sizes within a decade of the best, one seed.

    Their FLOPs drift from the budget by ``drift`` either way, from the smallest to the largest.
    """
    counted = np.exp(drift * np.tanh(np.linspace(-2, 2, sizes)))

    def make(loss: Loss, rng: np.random.Generator) -> pd.DataFrame:
        parts = []
        for c in np.geomspace(1e18, 1e21, budgets):
            n = float(laws.optimum(THETA, c, SIX_ND).params) * np.geomspace(0.1, 10, sizes)
            d = c / 6 / n * counted
            values = loss(n, d) * np.exp(noise * rng.normal(size=sizes))
            parts.append(pd.DataFrame({"params": n, "examples": d, "loss": values}))
        return pd.concat(parts, ignore_index=True).assign(mixture="m", seed=0)

    return make


def grid(seeds: int, noise: float) -> Table:
    """A full grid of 6 sizes and 8 data sizes."""

    def make(loss: Loss, rng: np.random.Generator) -> pd.DataFrame:
        axes = np.geomspace(1e7, 3e9, 6), np.geomspace(1e8, 1e11, 8), np.arange(float(seeds))
        n, d, s = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        values = loss(n, d) * np.exp(noise * rng.normal(size=n.shape))
        table = {"mixture": "m", "params": n, "examples": d, "seed": s.astype(int)}
        return pd.DataFrame(table | {"loss": values})

    return make


def exponent(loss: Loss) -> float:
    """Slope of log N* on log C between 1e18 and 1e21 FLOPs, by brute force."""
    n, best = np.exp(np.linspace(np.log(1e6), np.log(1e12), 60_001)), []
    budgets = np.geomspace(1e18, 1e21, 6)
    best = [np.log(n[loss(n, c / 6 / n).argmin()]) for c in budgets]
    return float(np.polyfit(np.log(budgets), best, 1)[0])


def coverage(loss: Loss, make: Table) -> str:
    """One row of the table."""
    truth, inside, there = exponent(loss), dict.fromkeys(("law", "isoFLOP", "envelope"), 0), {}
    widths: dict[str, list[float]] = {name: [] for name in inside}
    apart, better, there = 0, {"law": 0, "isoFLOP": 0, "": 0}, dict(inside)
    for random in range(STUDIES):
        runs = make(loss, np.random.default_rng(random))
        found = all_routes(fit(runs, replicates=200))["m"]
        for route in found.routes:
            if (a := route.params_exponent) is not None:
                there[route.name] += 1
                inside[route.name] += a.low <= truth <= a.high
                widths[route.name].append((a.high - a.low) / 2)
        apart += any(d.disagrees for d in found.disagreements if d.route == "isoFLOP")
        better[found.better] += 1
    shown = [
        f"{inside[name]}/{there[name]}, {np.median(widths[name]):.3f}" if there[name] else "–"
        for name in inside
    ]
    rival = f"{better['isoFLOP']} / {better['law']} / {better['']}"
    return f"{truth:.3f} | {' | '.join(shown)} | {apart} | {rival}"


def chinchilla(folder: Path) -> None:
    """Print the routes on the 240 runs of arXiv 2203.15556 as arXiv 2404.10102 read them off."""
    raw = pd.read_csv(folder / "chinchilla_runs.csv").sort_values("loss").iloc[:-5]
    params, flops = raw["Model Size"], raw["Training FLOP"]
    table = {"mixture": "m", "params": params, "examples": flops / 6 / params, "loss": raw["loss"]}
    found = all_routes(fit(pd.DataFrame(table)))["m"]
    for route in found.routes:
        print(f"- {route.name}: {route.params_exponent or route.missing}")
    print(f"- {found.verdict}")


def main() -> None:
    """Print the tables."""
    print("| alpha, beta | window | parabola | cubic |\n|---|---|---|---|")
    for alpha, beta in EXPONENTS:
        for decades in (0.5, 1.0):
            parabola, cubic = errors(alpha, beta, decades)
            window = f"+-{decades:g} decades"
            print(f"| {alpha:g}, {beta:g} | {window} | {parabola:+.1%} | {cubic:+.2%} |")
    columns = "truth | study | a | law | isoFLOP | envelope | disagree | better: isoFLOP / law / –"
    print(f"\n| {columns} |\n|---|---|---|---|---|---|---|---|")
    studies = {
        "6 budgets x 9 sizes, 0.5%": design(6, 9, 0.005),
        "4 budgets x 7 sizes, 0.5%": design(4, 7, 0.005),
        "6 x 9, 2%": design(6, 9, 0.02),
        "6 x 9, 0.5%, drift 4%": design(6, 9, 0.005, 0.04),
        "grid 6 x 8, one seed, 1%": grid(1, 0.01),
        "grid 6 x 8, three seeds, 1%": grid(3, 0.01),
    }
    for loss in (law, bent, outer):
        for name, make in studies.items():
            print(f"| {loss.__name__} | {name} | {coverage(loss, make)} |", flush=True)
    if "JETSCALE_TEST_DATA" in os.environ:
        chinchilla(Path(os.environ["JETSCALE_TEST_DATA"]))


if __name__ == "__main__":
    main()
