"""What pretraining transfers: D_T of the transfer law, as it grows with D, N and pretraining jets.

    python analysis/transfer.py [--out FOLDER] [--epochs 8]      after analysis/supply.py; a minute

Reads the run tables that supply.py reads and prints Markdown. It writes grid.csv, the runs of the
composition grid, for `jetscale fit --law transfer`, and pretraining.csv, the pretrained runs of all
P, for `jetscale fit --law pretraining`.
"""

import argparse
import math
import runpy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

import jetscale
from jetscale.scaling import Options
from jetscale.scaling.table import validate
from jetscale.store.local import make_folder
from jetscale.words import short

Array = NDArray[np.float64]

HERE = Path(__file__).parent
SUPPLY = runpy.run_path(str(HERE / "supply.py"), run_name="analysis")
COMPOSITION_JETS, ARM = SUPPLY["COMPOSITION_JETS"], SUPPLY["ARM"]
LAW = ["seed", "loss", "flops", "trunk"]
REFERENCE, LOG_MIDDLE = 32_000, math.log(2_000)  # the P and the D at which D_T is told
WORTH = 0.1  # of D: what counts as worth having where a law is asked


def pretraining_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The pretrained runs alone, as the law of this name wants them."""
    return runs.loc[runs["mixture"] != "scratch", [*LAW, *ARM, "examples"]]


class Transferred:
    """Losses at one model size: E + B / (D + D_T)^beta, D_T = k D^x P^z, and 0 from scratch.

    E, B and beta are common to all runs; k, x and z are those of a mixture. Least squares of log
    loss, weighted by the spread at each D; replicates redraw the residuals of whole seeds.
    """

    def __init__(self, runs: pd.DataFrame) -> None:
        keys = ["mixture", "pretraining_examples", "seed"]
        wide = runs.pivot_table(index=keys, columns="examples", values="loss").dropna()
        self.mixtures = [str(m) for m in dict.fromkeys(runs["mixture"]) if m != "scratch"]
        self.log_d = np.log(wide.columns.to_numpy(float))
        self.log_loss = np.log(wide.to_numpy())
        self.supply = wide.index.get_level_values(1).to_numpy(float)
        names = list(wide.index.get_level_values(0))
        self.which = np.array([([*self.mixtures, "scratch"]).index(name) for name in names])
        self.spread = wide.groupby(keys[:2]).transform(np.log).groupby(keys[:2]).var()
        self.errors = np.sqrt(self.spread.mean().to_numpy())
        self.theta = self._fit(self.log_loss)

    def expected(self, theta: Array) -> Array:
        """Log losses of all runs (seeds of all arms, D)."""
        floor, log_b, beta, *own = theta
        # of scratch nothing is transferred
        moves = np.vstack([np.reshape(own, (-1, 3)), [-np.inf, 0, 0]])[self.which]
        with np.errstate(divide="ignore"):
            by_supply = moves[:, 2] * np.log(np.maximum(self.supply, 1) / REFERENCE)
        moved = (moves[:, 0] + by_supply)[:, None] + moves[:, [1]] * (self.log_d - LOG_MIDDLE)
        total = np.logaddexp(self.log_d, moved)
        return np.asarray(np.log(floor + np.exp(log_b - beta * (total - LOG_MIDDLE))))

    def _fit(self, log_loss: Array) -> Array:
        best = None
        for x in (0.2, 0.6):
            start = [0.8, -0.7, 0.5, *([7.0, x, 0.3] * len(self.mixtures))]
            low = [0.0, -9.0, 0.05, *([-9.0, -2.0, -2.0] * len(self.mixtures))]
            high = [3.0, 9.0, 3.0, *([15.0, 2.0, 3.0] * len(self.mixtures))]
            found = least_squares(
                lambda theta: ((self.expected(theta) - log_loss) / self.errors).ravel(),
                start,
                bounds=(low, high),
                x_scale="jac",
            )
            best = found if best is None or found.cost < best.cost else best
        assert best is not None
        return np.asarray(best.x)

    def replicates(self, count: int, seed: int = 3) -> Array:
        """Parameters of refits (count, P) to redrawn residuals of whole seeds."""
        rng, middle = np.random.default_rng(seed), self.expected(self.theta)
        rest = self.log_loss - middle
        rest *= np.sqrt(rest.size / (rest.size - len(self.theta)))
        draws = rng.integers(len(rest), size=(count, len(rest)))
        return np.array([self._fit(middle + rest[drawn]) for drawn in draws])


def transferred_table(runs: pd.DataFrame, count: int = 200) -> Iterable[str]:
    """D_T at the model size that has several supplies, by mixture, with 95% intervals."""
    sizes = runs.loc[~runs["pretraining_examples"].isin((0, COMPOSITION_JETS)), "params"].unique()
    law = Transferred(runs[runs["params"].isin(sizes)])
    drawn = np.vstack([law.theta, law.replicates(count)])
    yield f"| mixture | D_T at D = 2k, P = {short(REFERENCE)} | x | z |\n|---|---|---|---|"
    for i, mixture in enumerate(law.mixtures):
        own = drawn[:, 3 + 3 * i : 6 + 3 * i]
        ends = np.quantile(own[1:], [0.025, 0.975], axis=0)
        worth = [short(float(f"{np.exp(v):.2g}")) for v in (own[0, 0], *ends[:, 0])]
        cells = [f"{own[0, j]:.2f} [{ends[0, j]:.2f}, {ends[1, j]:.2f}]" for j in (1, 2)]
        yield f"| {mixture} | {worth[0]} [{worth[1]}, {worth[2]}] | {' | '.join(cells)} |"
    square = ((law.expected(law.theta) - law.log_loss) / law.errors) ** 2
    yield f"\nmean square of the residuals over that of the seeds: {square.mean():.2f}"


def law_worth(runs: pd.DataFrame) -> Iterable[str]:
    """The D at which D_T of the transfer law is a tenth of D, by mixture and size."""
    several = runs["pretraining_examples"].isin((0, COMPOSITION_JETS))
    table = runs.loc[several, [*LAW, *ARM, "examples"]]
    laws = jetscale.fit(validate(table), Options(law="transfer"))
    data = np.unique(table["examples"]).astype(float)
    yield f"| mixture | N | D_T = {WORTH:g} D at D | 95% |\n|---|---|---|---|"
    for mixture in (name for name in table["mixture"].unique() if name != "scratch"):
        theta = laws[mixture].all_theta
        k, x, y = np.log(theta[:, 5]), theta[:, 6], theta[:, 7]
        for params in np.unique(table["params"]):
            with np.errstate(divide="ignore", over="ignore"):
                where = np.exp((k + y * np.log(params) - np.log(WORTH)) / (1 - x))
            ends = (where[0], *np.quantile(where[1:], [0.025, 0.975]))
            beyond = [np.inf if end > data[-1] else end for end in ends]
            value, low, high = (SUPPLY["said"](float(end), data) for end in beyond)
            yield f"| {mixture} | {params:,} | {value} | [{low}, {high}] |"


def main() -> None:
    """Print the tables and write the run tables of the laws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/supply/analysis"))
    parser.add_argument("--epochs", type=int, choices=(2, 8), default=2)
    asked = parser.parse_args()
    out, runs = make_folder(asked.out), SUPPLY["study"](asked.epochs)[0]
    pretraining_table(runs).to_csv(out / "pretraining.csv", index=False)
    grid = runs[runs["pretraining_examples"].isin([0, COMPOSITION_JETS])]
    grid.to_csv(out / "grid.csv", index=False)
    print("\n".join(transferred_table(runs)), end="\n\n")
    print("\n".join(law_worth(runs)))


if __name__ == "__main__":
    main()
