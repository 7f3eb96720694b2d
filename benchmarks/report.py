"""How long the whole analysis of a large study takes: 3 mixtures x 80 cells, 2,000 replicates.

    OMP_NUM_THREADS=1 python benchmarks/report.py

The run table is made from known laws with 1% noise: 8 model sizes x 10 data sizes x 2 seeds. Times
are of one process: CPU seconds and seconds on the clock, for each part by itself and for the report
as a whole, whose parts it repeats. Prints Markdown.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jetscale.report import make_report
from jetscale.scaling import all_routes, compare, conventions, diagnose, fit, pair_runs
from jetscale.scaling.engine import laws

LAWS = {
    "scratch": (0.5, 20.0, 30.0, 0.45, 0.42),
    "qcd": (0.5, 18.0, 20.0, 0.45, 0.42),
    "qcd+bsm": (0.5, 17.0, 15.0, 0.42, 0.45),
}
REPLICATES = 2000
NOISE = 0.01


def study() -> pd.DataFrame:
    """480 runs, C = 6 N D."""
    rng = np.random.default_rng(0)
    rows = [
        (name, n, d, seed, 6 * n * d, float(laws.loss(np.array(theta), n, d)))
        for name, theta in LAWS.items()
        for n in np.geomspace(1e4, 1e6, 8)
        for d in np.geomspace(1e4, 1e6, 10)
        for seed in range(2)
    ]
    frame = pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "flops", "loss"])
    frame["loss"] *= np.exp(NOISE * rng.standard_normal(len(frame)))
    return frame


def timed(name: str, make: Callable[[], Any]) -> Any:
    """Run one part and print its row."""
    clock, cpu = time.perf_counter(), time.process_time()
    value = make()
    print(f"| {name} | {time.process_time() - cpu:.1f} | {time.perf_counter() - clock:.1f} |")
    return value


def main() -> None:
    """Print a table of times."""
    frame = study()
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "plotly"))
    load = f"load average {os.getloadavg()[0]:.1f}"
    print(f"{platform.machine()}, Python {platform.python_version()}, {packages}, {load}\n")
    print("| part | CPU s | clock s |\n|---|---|---|")
    fits = timed("laws of three mixtures", lambda: fit(frame, replicates=REPLICATES))
    timed("paired differences", lambda: pair_runs(frame))
    timed("comparison: intervals, nested tests, permutation", lambda: compare(fits))
    timed("routes: isoFLOP and envelope", lambda: all_routes(fits))
    timed("checks", lambda: diagnose(fits))
    timed("compute conventions", lambda: conventions(fits))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.html"

        def write() -> None:
            make_report(frame, title="t", held_fixed=None, replicates=REPLICATES).write(out)

        timed("**the whole report, written**", write)


if __name__ == "__main__":
    main()
