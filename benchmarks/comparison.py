"""False alarms and power of `compare`, by simulation.

Claims: of two mixtures with equal exponents at most 6% are called different at the 5% level, by
any test or by the verdict; a shift of the exponent a by 0.1 is claimed in at least 80% of studies
of 36 cells with 3 seeds and 1% noise. Usage (about 25 minutes of one core):

    OMP_NUM_THREADS=1 python benchmarks/comparison.py
    ... comparison.py --only smoothly --seen 1      (or inf: intervals that count more misfit)

Both mixtures follow L = E + A / N^alpha + B / D^beta. A shift of a = beta / (alpha + beta) keeps
alpha + beta, and the height of both terms at the geometric middle of the grid. Every simulation
runs `fit` and `compare` as a user would, with fewer replicates.
"""

import argparse
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from jetscale.scaling import StudyFit, Verdict, compare, components, fit
from jetscale.scaling.comparison.claims import side_of_zero
from jetscale.scaling.comparison.joint import QUESTIONS
from jetscale.scaling.engine import laws
from jetscale.scaling.misfit import Basis

TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
NOISE = 0.01
SEEN = "Share of the misfit seen that intervals of parameters count; inf: all that runs allow."
PARAMS, EXAMPLES = (1e7, 3e9), (1e8, 1e11)
COLUMNS = (
    "a held",
    "own floors",
    "one floor",
    "one law",
    "alpha, beta",
    "alpha",
    "beta",
    "E",
    "swapped",
    "claimed",
)


@dataclass(frozen=True)
class Case:
    """How the second mixture differs, and what disturbs the losses beside noise."""

    name: str
    shape: tuple[int, int, int] = (6, 6, 3)
    shift: float = 0.0
    height: float = 1.0
    """Factor on B."""
    floor: float = 1.8
    common: float = 0.0
    """Deviation from the law of every cell, the same for both mixtures."""
    own: float = 0.0
    """Deviation of every cell of every mixture."""
    smooth: float = 0.0
    """Smooth deviation of every mixture, for itself."""
    trunks: tuple[float, float] = (0.0, 0.0)
    """Deviation of every trunk of either mixture; one without any is from scratch."""


NULL = (
    Case("law exact"),
    Case("cells off by 1%, both mixtures alike", common=0.01),
    Case("cells off by 1%, each mixture for itself", own=0.01),
    Case("0.8 B, E 1.7", height=0.8, floor=1.7),
    Case("off smoothly by 0.3%, each mixture for itself", smooth=0.003),
    Case("off smoothly by 1%, each mixture for itself", smooth=0.01),
    Case("law exact", shape=(4, 5, 2)),
    Case("cells off by 1%, each mixture for itself", shape=(4, 5, 2), own=0.01),
    Case("trunks off by 1%, both pretrained", shape=(4, 5, 2), trunks=(0.01, 0.01)),
    Case("trunks off by 1%, one from scratch", shape=(4, 5, 2), trunks=(0.0, 0.01)),
    Case("trunks off by 1%, one from scratch", trunks=(0.0, 0.01)),
)
SHIFTED = (
    Case("law exact", shift=0.05),
    Case("law exact", shift=0.1),
    Case("cells off by 1%, both mixtures alike", shift=0.1, common=0.01),
    Case("cells off by 1%, each mixture for itself", shift=0.1, own=0.01),
    Case("off smoothly by 0.3%, each mixture for itself", shift=0.1, smooth=0.003),
    Case("off smoothly by 1%, each mixture for itself", shift=0.1, smooth=0.01),
    Case("0.8 B, E 1.7", shift=0.1, height=0.8, floor=1.7),
    Case("law exact", shape=(4, 5, 2), shift=0.1),
)


def shifted(case: Case) -> np.ndarray:
    """The law of the second mixture."""
    _, A, B, alpha, beta = TRUTH
    a = beta / (alpha + beta) + case.shift
    new_alpha, new_beta = (1 - a) * (alpha + beta), a * (alpha + beta)
    n, d = (np.sqrt(ends[0] * ends[1]) for ends in (PARAMS, EXAMPLES))
    heights = A * n ** (new_alpha - alpha), case.height * B * d ** (new_beta - beta)
    return np.array([case.floor, *heights, new_alpha, new_beta])


def simulated(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    """A run table of both mixtures."""
    n, d, _ = case.shape
    i, j, k = (axis.ravel() for axis in np.indices(case.shape))
    params, examples = np.geomspace(*PARAMS, n)[i], np.geomspace(*EXAMPLES, d)[j]
    common = case.common * rng.normal(size=(n, d))
    smooth = Basis.over(params, examples).at(params, examples)
    parts = []
    laws_of = {"first": TRUTH, "second": shifted(case)}
    for (name, theta), trunk in zip(laws_of.items(), case.trunks, strict=True):
        off = common + case.own * rng.normal(size=(n, d))
        noise = off[i, j] + NOISE * rng.normal(size=len(i))
        if case.smooth:
            noise += case.smooth * smooth @ rng.normal(size=smooth.shape[1])
        noise += trunk * rng.normal(size=(n, case.shape[2]))[i, k] if trunk else 0.0
        loss = laws.loss(theta, params, examples) * np.exp(noise)
        columns = {"params": params, "examples": examples, "seed": k, "loss": loss}
        names = [f"{name} {a} {b}" if trunk else "" for a, b in zip(i, k, strict=True)]
        parts.append(pd.DataFrame({"mixture": name, "trunk": names} | columns))
    frame = pd.concat(parts, ignore_index=True)
    return frame if any(case.trunks) else frame.drop(columns="trunk")


def outcomes(fits: StudyFit, case: Case) -> list[float]:
    """What each column of the table counts."""
    pair = compare(fits).pairs[0]
    one_floor = pair.delta_params_exponent_shared_floor
    assert one_floor is not None
    assert pair.permutation is not None
    by_question = {test.shared: test.p_value for test in pair.tests}
    p_values = [by_question[shared] for shared in QUESTIONS] + [pair.permutation.p_value]
    claimed = pair.verdict in (Verdict.LARGER_MODELS, Verdict.MORE_DATA)
    truths = (theta[4] / (theta[3] + theta[4]) for theta in (TRUTH, shifted(case)))
    ends = ((one["a"].low, one["a"].high) for one in fits.mixtures.values())
    held = [low <= a <= high for a, (low, high) in zip(truths, ends, strict=True)]
    return [
        np.mean(held),
        *(side_of_zero(d) != 0 for d in (pair.delta_params_exponent, one_floor)),
        *(p <= 0.05 for p in p_values),
        claimed,
    ]


def rows(cases: tuple[Case, ...], simulations: int, replicates: int) -> Iterator[str]:
    """A Markdown table, one row per case."""
    yield f"| truth | N x D x seeds | shift of a | {' | '.join(COLUMNS)} |"
    yield "|---" * (3 + len(COLUMNS)) + "|"
    for case in cases:
        said = []
        for number in range(simulations):
            runs = simulated(case, np.random.default_rng(number))
            said.append(outcomes(fit(runs, replicates=replicates, seed=number), case))
        shares = np.mean(said, axis=0)
        errors = np.sqrt(shares * (1 - shares) / simulations)
        cells = " | ".join(f"{s:.3f} ({e:.3f})" for s, e in zip(shares, errors, strict=True))
        yield f"| {case.name} | {' x '.join(map(str, case.shape))} | {case.shift:g} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--null-simulations", type=int, default=300)
    parser.add_argument("--power-simulations", type=int, default=60)
    parser.add_argument("--replicates", type=int, default=99)
    parser.add_argument("--only", default="", help="Cases with this in their names.")
    parser.add_argument("--seen", type=float, default=0.5, help=SEEN)
    options = parser.parse_args()
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, load average "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {options.replicates} replicates"
    )
    components._SEEN = options.seen
    seconds = time.process_time()
    parts = ((NULL, options.null_simulations), (SHIFTED, options.power_simulations))
    for cases, simulations in parts:
        print(f"\n{simulations} simulations per row\n")
        chosen = tuple(case for case in cases if options.only in case.name)
        for line in rows(chosen, simulations, options.replicates):
            print(line, flush=True)
    print(f"\n{time.process_time() - seconds:.0f} CPU s")


if __name__ == "__main__":
    main()
