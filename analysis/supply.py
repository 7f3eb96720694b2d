"""When pretraining stops paying: the downstream jets at which its advantage is gone.

    python analysis/supply.py            the tables
    python analysis/supply.py --keep     its run table again, from $JETSCALE_HOME
    python analysis/supply.py --epochs 8 the study at eight epochs in place of two

Reads composition-runs.csv and supply-runs.csv beside it, or composition8-runs.csv and
supply8-runs.csv, and prints Markdown; the figure is drawn by supply_figure.py, what is transferred
is in transfer.py.

The *break-even* of a mixture is the D at which the mean difference of log loss to scratch, at the
same N, D and seed, crosses zero. The difference is taken for a smooth function of log D that does
not fall: an intercept and integrated hats of non-negative height, fitted by weighted least squares.
Interval: refits to redrawn differences. Every redraw takes as many whole seeds as there are (all D
of one trunk together) from those of all mixtures and sizes, scaled to the spread at that N and D,
and adds to every cell what the curves miss beyond noise. Means over sizes are redrawn the wider for
what sizes of one seed have in common, as they train on the same jets. Beyond the measured D nothing
is said.
*Rates* is the break-even if all differences are moved by what the learning rates may make of them.
"""

import argparse
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

import jetscale
from jetscale.scaling import pair_runs
from jetscale.scaling.estimate import student_interval
from jetscale.scaling.searched import recipe_error
from jetscale.study import load_optimiser
from jetscale.words import short

Array = NDArray[np.float64]

HERE = Path(__file__).parent
SWEEP = HERE.parent / "sweeps" / "supply.py"
COMPOSITION_JETS, SUPPLIES = 128_000, (2_000, 8_000, 32_000)
SMALLEST, LARGEST = 970, 32_000  # parameters and jets of the grid of composition
KEPT = (
    *("mixture", "params", "width", "examples", "seed", "subset", "loss", "validation_loss"),
    *("flops", "pretraining_examples", "pretraining_flops", "steps", "peak_rate", "trunk", "key"),
)
PAIR = ["params", "examples", "seed"]
ARM = ["mixture", "pretraining_examples", "params"]
KNOTS, FINE, REPLICATES = 4, 301, 2000


def tables_at(epochs: int) -> tuple[Path, Path]:
    """The run tables of the composition study and of this one."""
    suffix = "8" if epochs == 8 else ""
    return HERE / f"composition{suffix}-runs.csv", HERE / f"supply{suffix}-runs.csv"


def keep(epochs: int) -> pd.DataFrame:
    """The finished supply runs of all pretraining sizes; raises StudyError if there are none."""
    os.environ["SUPPLY_EPOCHS"] = str(epochs)
    parts = []
    for jets in SUPPLIES:
        os.environ["SUPPLY_JETS"] = str(jets)
        parts.append(jetscale.runs(jetscale.load_study(SWEEP), source="records"))
    return pd.concat(parts)[list(KEPT)]


def read(*paths: Path) -> pd.DataFrame:
    """Run tables as one, with what the search of the rates says of every run."""
    parts = []
    for path in paths:
        part: pd.DataFrame = pd.read_csv(path)
        # every size on every number of jets: the edge of composition is left out
        part = part[(part["params"] >= SMALLEST) & (part["examples"] <= LARGEST)].copy()
        if "pretraining_examples" not in part:
            part["pretraining_examples"] = (part["mixture"] != "scratch") * COMPOSITION_JETS
        parts.append(part)
    runs: pd.DataFrame = pd.concat(parts, ignore_index=True)
    rates = load_optimiser(SWEEP.with_name("composition.py")).rates
    places = zip(runs["mixture"], runs["width"], runs["examples"], strict=True)
    found = [rates.regret_at(*place) if rates else None for place in places]
    runs["regret"] = [one.regret if one else np.nan for one in found]
    runs["regret_error"] = [one.error if one else np.nan for one in found]
    return runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One mixture with one supply at one model size, against scratch."""

    mixture: str
    supply: int
    params: int
    data: Array  # data sizes (K,)
    change: Array  # differences of log loss (seeds, K)
    pairs: pd.DataFrame  # pairs of runs, scratch with ``_base``


def arms_of(runs: pd.DataFrame) -> list[Arm]:
    """All arms with two complete seeds or more, by mixture, supply and size."""
    base = runs[runs["mixture"] == "scratch"]
    pairs = runs[runs["mixture"] != "scratch"].merge(base, on=PAIR, suffixes=("", "_base"))
    pairs["change"] = np.log(pairs["loss"] / pairs["loss_base"])
    arms = []
    sizes = np.sort(pairs["examples"].unique())
    for (mixture, supply, params), part in pairs.groupby(ARM):
        wide = part.pivot_table(index="seed", columns="examples", values="change")
        wide = wide.reindex(columns=sizes).dropna()
        if len(wide) > 1:
            arm = Arm(
                mixture=str(mixture),
                supply=int(str(supply)),
                params=int(str(params)),
                data=sizes.astype(float),
                change=wide.to_numpy(),
                pairs=part,
            )
            arms.append(arm)
    return arms


def hats(data: Array, at: Array) -> Array:
    """Columns (len(at), KNOTS + 2): plus and minus one, and integrals of hats over log D."""
    place = np.log(data[-1] / data[0])
    knots = np.linspace(0, 1, KNOTS)
    fine = np.linspace(0, 1, 4 * FINE)
    heights = np.array([np.interp(fine, knots, row) for row in np.eye(KNOTS)])
    steps = (heights[:, 1:] + heights[:, :-1]) / 2 * (fine[1] - fine[0])
    risen = np.concatenate([np.zeros((KNOTS, 1)), np.cumsum(steps, axis=1)], axis=1)
    x = np.log(at / data[0]) / place
    rising = np.array([np.interp(x, fine, row) for row in risen])
    return np.column_stack([np.ones(len(at)), -np.ones(len(at)), rising.T])


class Curve:
    """Fits curves that do not fall to differences (K,) at data sizes (K,) of given errors (K,)."""

    def __init__(self, data: Array, errors: Array) -> None:
        self.fine = np.geomspace(data[0], data[-1], FINE)
        self.at_data, self.at_fine = hats(data, data), hats(data, self.fine)
        self.weights = 1 / errors

    def heights(self, change: Array) -> Array:
        """Coefficients of the columns of `hats`."""
        found: Array = nnls(self.at_data * self.weights[:, None], change * self.weights)[0]
        return found

    def break_even(self, change: Array) -> float:
        """The D at which the fitted curve crosses zero; 0 below all measured D, inf above."""
        curve = self.at_fine @ self.heights(change)
        if curve[0] >= 0:
            return 0.0
        if curve[-1] <= 0:
            return np.inf
        i = int(np.argmax(curve > 0))
        share = curve[i - 1] / (curve[i - 1] - curve[i])
        return float(self.fine[i - 1] * (self.fine[i] / self.fine[i - 1]) ** share)


class Noise:
    """What differences of log loss scatter by, from all arms together."""

    def __init__(self, arms: Sequence[Arm]) -> None:
        spread: dict[int, list[Array]] = {}
        for arm in arms:
            spread.setdefault(arm.params, []).append(arm.change.var(axis=0, ddof=1))
        table = {params: np.mean(rows, axis=0) for params, rows in spread.items()}
        by_data = np.mean(list(table.values()), axis=0)
        # variance = one factor of the size times one of the data: three seeds alone tell little
        self.scale = {n: np.sqrt(by_data * np.mean(v / by_data)) for n, v in table.items()}
        self.pool = np.concatenate([self._standard(arm) for arm in arms])
        self.together = self._together(arms)
        self.misfit = 0.0
        self.misfit = self._misfit(arms)

    def _standard(self, arm: Arm) -> Array:
        """Deviations of every seed from the mean of its cell, in units of the scale there."""
        s = len(arm.change)
        away = (arm.change - arm.change.mean(axis=0)) * np.sqrt(s / (s - 1))
        return np.asarray(away / self.scale[arm.params])

    def errors(self, arm: Arm) -> Array:
        """Standard errors of the mean differences of an arm (K,)."""
        square = self.scale[arm.params] ** 2 / len(arm.change) + self.misfit**2
        return np.asarray(np.sqrt(square))

    def _misfit(self, arms: Sequence[Arm]) -> float:
        """Standard deviation of what cells are off their curve beyond the noise of the seeds."""
        beyond = []
        for arm in arms:
            errors, mean = self.errors(arm), arm.change.mean(axis=0)
            curve = Curve(arm.data, errors)
            heights = curve.heights(mean)
            free = len(mean) - int((heights > 0).sum())
            if free > 0:
                off = mean - curve.at_data @ heights
                beyond.append(float(np.mean(off**2 * len(mean) / free - errors**2)))
        return math.sqrt(max(0.0, float(np.mean(beyond))))

    def _together(self, arms: Sequence[Arm]) -> float:
        """Correlation of one seed's deviations at two sizes: they share training jets."""
        groups: dict[tuple[str, int], list[Array]] = {}
        for arm in arms:
            groups.setdefault((arm.mixture, arm.supply), []).append(self._standard(arm))
        found = [
            float((a * b).mean()) for some in groups.values() for a, b in combinations(some, 2)
        ]
        return max(0.0, float(np.mean(found))) if found else 0.0

    def redraws(self, arms: Sequence[Arm], rng: np.random.Generator) -> Array:
        """Mean differences (REPLICATES, K) of some sizes about the mean of their fitted curves."""
        middles, noises = [], []
        for arm in arms:
            curve = Curve(arm.data, self.errors(arm))
            middles.append(curve.at_data @ curve.heights(arm.change.mean(axis=0)))
            drawn = rng.integers(len(self.pool), size=(REPLICATES, len(arm.change)))
            noise = self.pool[drawn].mean(axis=1) * self.scale[arm.params]
            noises.append(noise + self.misfit * rng.normal(size=noise.shape))
        wider = math.sqrt(1 + (len(arms) - 1) * self.together)
        return np.asarray(np.mean(middles, axis=0) + wider * np.mean(noises, axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """Where the mean of some arms crosses zero."""

    value: float
    draws: Array  # of the refits
    rates: tuple[float, float]  # with all differences moved by what the rates may make of them
    mean: Array  # mean differences (K,)
    curve: Array  # fitted, over `Curve.fine`
    recipe: Array  # what the rates may make (K,), in log loss

    @property
    def ends(self) -> tuple[float, float]:
        """The 95% interval: 0 and inf are beyond the measured D."""
        # no interpolation: the values may be infinite
        low, high = np.quantile(self.draws, [0.025, 0.975], method="nearest")
        return float(low), float(high)


def break_even(arms: Sequence[Arm], noise: Noise, seed: int = 1) -> BreakEven:
    """The break-even of the mean of some arms with its interval."""
    rng = np.random.default_rng(seed)
    mean = np.mean([arm.change.mean(axis=0) for arm in arms], axis=0)
    errors = np.sqrt(np.sum([noise.errors(arm) ** 2 for arm in arms], axis=0)) / len(arms)
    curve = Curve(arms[0].data, errors)
    redrawn = noise.redraws(arms, rng)
    joined = pd.concat([arm.pairs for arm in arms])
    recipe = np.array(
        [
            (recipe_error(at) or 0.0) / at["loss"].mean()
            for at in (joined[joined["examples"] == d] for d in arms[0].data)
        ]
    )
    moved = [curve.break_even(mean + sign * recipe) for sign in (1, -1)]
    return BreakEven(
        value=curve.break_even(mean),
        draws=np.array([curve.break_even(row) for row in redrawn]),
        rates=(min(moved), max(moved)),
        mean=mean,
        curve=curve.at_fine @ curve.heights(mean),
        recipe=recipe,
    )


def coverage(arms: Sequence[Arm], noise: Noise, studies: int = 40) -> tuple[int, int]:
    """How many intervals of made-up studies hold the break-even they were made with; of how many.

    The fitted curves are the truth, and whole seeds of the real study the noise.
    """
    rng, held = np.random.default_rng(2), 0
    curves = [Curve(arm.data, noise.errors(arm)) for arm in arms]
    heights = [c.heights(a.change.mean(axis=0)) for c, a in zip(curves, arms, strict=True)]
    truths = [c.at_data @ h for c, h in zip(curves, heights, strict=True)]
    for _ in range(studies):
        made = []
        for arm, truth in zip(arms, truths, strict=True):
            seeds = noise.pool[rng.integers(len(noise.pool), size=len(arm.change))]
            made.append(replace(arm, change=truth + seeds * noise.scale[arm.params]))
        own = Noise(made)
        for arm, curve, truth in zip(made, curves, truths, strict=True):
            low, high = break_even([arm], own, int(rng.integers(2**31))).ends
            held += low <= curve.break_even(truth) <= high
    return held, studies * len(arms)


def said(value: float, data: Array) -> str:
    """A break-even in words: ``12k``, ``>32k`` or ``<500``."""
    if value <= 0 or np.isinf(value):
        return f"<{short(data[0])}" if value <= 0 else f">{short(data[-1])}"
    return short(float(f"{value:.2g}"))


def _line(name: str, found: BreakEven, data: Array) -> str:
    low, high = (said(end, data) for end in found.ends)
    rates = " to ".join(said(end, data) for end in found.rates)
    last = " | ".join(f"{found.mean[i]:+.3f}" for i in (0, 3, -1))
    return f"| {name} | {said(found.value, data)} | [{low}, {high}] | {rates} | {last} |"


def tables(arms: Sequence[Arm], noise: Noise) -> Iterable[str]:
    """Break-evens by model size, then by supply, as Markdown."""
    data = arms[0].data
    ends = " | ".join(f"at {short(data[i])}" for i in (0, 3, -1))
    columns = f"break-even D | 95% | rates | {ends} |\n|---|---|---|---|---|---|---|---|"
    full = [arm for arm in arms if arm.supply == COMPOSITION_JETS]
    yield f"| mixture | N | {columns}"
    for mixture in dict.fromkeys(arm.mixture for arm in full):
        own = [arm for arm in full if arm.mixture == mixture]
        groups = [(f"{arm.params:,}", [arm]) for arm in own]
        if len(own) > 5:
            groups += [("smallest three", own[:3]), ("largest three", own[-3:]), ("all", own)]
        for name, group in groups:
            yield _line(f"{mixture} | {name}", break_even(group, noise), data)
    yield f"\n| mixture | P | {columns}"
    for arm in same_size(arms):
        name = f"{arm.mixture} | {arm.supply:,}"
        yield _line(name, break_even([arm], noise), data)


def same_size(arms: Sequence[Arm]) -> list[Arm]:
    """The arms at the model size that has several supplies."""
    size = {arm.params for arm in arms if arm.supply != COMPOSITION_JETS}
    return [arm for arm in arms if arm.params in size]


def supply_table(arms: Sequence[Arm]) -> Iterable[str]:
    """Log loss with the largest supply minus that with a smaller one, Student's over seeds."""
    data = arms[0].data
    yield "| mixture | P | " + " | ".join(short(d) for d in data) + " | all D |"
    yield "|---" * (len(data) + 3) + "|"
    several = same_size(arms)
    full = {arm.mixture: arm for arm in several if arm.supply == COMPOSITION_JETS}
    for arm in (one for one in several if one.supply != COMPOSITION_JETS):
        gain = full[arm.mixture].change - arm.change
        whole = student_interval(gain.mean(axis=1))
        cells = " | ".join(f"{value:+.3f}" for value in gain.mean(axis=0))
        span = f"{whole.value:+.3f} [{whole.low:+.3f}, {whole.high:+.3f}]"
        yield f"| {arm.mixture} | {arm.supply:,} | {cells} | {span} |"


def factor_table(runs: pd.DataFrame) -> Iterable[str]:
    """Effective data of every arm relative to scratch, by model size; > and < are limits."""
    sizes = sorted(runs["examples"].unique())
    yield "| mixture | P | N | " + " | ".join(short(d) for d in sizes) + " |"
    yield "|---" * (len(sizes) + 3) + "|"
    base = runs[runs["mixture"] == "scratch"]
    groups = runs[runs["mixture"] != "scratch"].groupby(ARM)
    for (mixture, supply, params), part in groups:
        both = pd.concat([base[base["params"] == params], part])[["mixture", *PAIR, "loss"]]
        rows = pair_runs(both).pairs[0].by_examples
        factors = [row.data_factor for row in rows]
        cells = [f"{'><'['<' in f.bound] * bool(f.bound)}{f.value:.2f}" for f in factors if f]
        yield f"| {mixture} | {supply:,} | {params:,} | {' | '.join(cells)} |"


def study(epochs: int = 2) -> tuple[pd.DataFrame, list[Arm], Noise]:
    """The runs of both tables, all arms, and what these scatter by."""
    runs = read(*tables_at(epochs))
    arms = arms_of(runs)
    return runs, arms, Noise(arms)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write its run table again")
    parser.add_argument("--epochs", type=int, choices=(2, 8), default=2)
    parser.add_argument("--check", action="store_true", help="coverage of the intervals")
    asked = parser.parse_args()
    if asked.keep:
        table = tables_at(asked.epochs)[1]
        keep(asked.epochs).to_csv(table, index=False, float_format="%.8g")
    runs, arms, noise = study(asked.epochs)
    print("\n".join(tables(arms, noise)), end="\n\n")
    print("\n".join(supply_table(arms)), end="\n\n")
    print("\n".join(factor_table(runs)))
    if asked.check:
        print(
            "\n{} of {} intervals of made-up studies hold the truth".format(*coverage(arms, noise))
        )
    print(f"\ncells are off their curves by {noise.misfit:.4f} in log loss beyond noise")
    print(f"seeds correlate between sizes by {noise.together:.2f}")


if __name__ == "__main__":
    main()
