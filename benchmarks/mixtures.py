"""How long twelve mixtures take to be compared and reported, and whether claims stay honest.

    OMP_NUM_THREADS=1 python benchmarks/mixtures.py

The run table is made from known laws with 1% noise: 5 model sizes x 6 data sizes x 2 seeds of
twelve mixtures, 66 pairs. Times are CPU seconds of one process. Then two checks by simulation:
mixtures of one law on cells that have nothing in common, and the tail that p-values of many pairs
come from. Prints Markdown.
"""

import time

import numpy as np
import pandas as pd

from jetscale.report import make_report
from jetscale.scaling import compare, fit, pair_runs
from jetscale.scaling.comparison.joint import tail
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import Array

THETA = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
STUDIES, DRAWS = 200, 30_000


def runs_of(
    name: str, theta: Array, params: Array, examples: Array, rng: np.random.Generator
) -> pd.DataFrame:
    """Two seeds of every cell with 1% noise."""
    n, d, seed = (a.ravel() for a in np.meshgrid(params, examples, range(2), indexing="ij"))
    loss = laws.loss(theta, n, d) * np.exp(0.01 * rng.normal(size=n.shape))
    columns = {"params": n, "examples": d, "seed": seed.astype(int), "loss": loss}
    return pd.DataFrame({"mixture": name} | columns)


def twelve() -> pd.DataFrame:
    """Twelve mixtures whose alpha and B differ by steps."""
    rng, parts = np.random.default_rng(5), []
    for i in range(12):
        theta = THETA * [1, 1, 1 + 0.1 * i, 1, 1] + [0, 0, 0, 0.004 * i, 0]
        sizes = np.geomspace(1e6, 6.4e7, 5), np.geomspace(1e7, 2.5e9, 6)
        parts.append(runs_of(f"mix{i:02d}", theta, *sizes, rng))
    return pd.concat(parts, ignore_index=True)


def independent() -> None:
    """Print how often fits to unlike cells of one law agree."""
    held, claims, rejected = 0, 0, 0
    for i in range(STUDIES):
        rng = np.random.default_rng(i)
        grids = (
            ("a", np.geomspace(1e7, 3e9, 5), np.geomspace(1e8, 1e11, 5)),
            ("b", np.geomspace(1.5e7, 2e9, 5), np.geomspace(1.7e8, 8e10, 5)),
        )
        parts = [runs_of(name, THETA, n, d, rng) for name, n, d in grids]
        pair = compare(fit(pd.concat(parts), replicates=200, seed=i)).pairs[0]
        delta = pair.delta_params_exponent
        held += delta.low <= 0 <= delta.high
        claims += pair.verdict.claims_shift
        rejected += pair.p_value < 0.05
    print(f"| {held / STUDIES:.3f} | {rejected / STUDIES:.3f} | {claims / STUDIES:.3f} |")


def calibration() -> None:
    """Print how often p from a tail of 999 draws is below a limit, over how often it should be."""
    for name, freedom in (("F(2, 20)", (2, 20)), ("F(2, 60)", (2, 60)), ("F(5, 60)", (5, 60))):
        rng, limits = np.random.default_rng(1), (1e-3, 0.05 / 66, 2.5e-4)
        below = dict.fromkeys(limits, 0)
        for _ in range(DRAWS // 1000):
            drawn, observed = rng.f(*freedom, (1000, 999)), rng.f(*freedom, 1000)
            for row in np.flatnonzero((drawn >= observed[:, None]).sum(axis=1) < 10):
                p_value = tail(drawn[row], observed[row])
                for limit in limits:
                    below[limit] += p_value <= limit
        print(f"| {name} |", *(f"{below[x] / DRAWS / x:.2f} |" for x in limits))


def main() -> None:
    """Print the tables."""
    frame = twelve()
    print("| part | CPU s |\n|---|---|")
    start = time.process_time()
    laws_of = fit(frame)
    for name, make in (
        ("laws", lambda: None),
        ("paired differences", lambda: pair_runs(frame)),
        ("comparison", lambda: compare(laws_of)),
        ("the whole report", lambda: make_report(frame, title="t", held_fixed=None)),
    ):
        make()
        print(f"| {name} | {time.process_time() - start:.1f} |", flush=True)
        start = time.process_time()
    print("\n| holds 0 | test rejects | shift claimed |\n|---|---|---|")
    independent()
    print("\n| statistic | 0.001 | 0.05 / 66 | 0.00025 |\n|---|---|---|---|")
    calibration()


if __name__ == "__main__":
    main()
