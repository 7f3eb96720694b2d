"""Main effects of the factorial study: more labels against nearer jets.

    python analysis/factorial.py

Prints two Markdown tables from the runs in MLflow: mean losses, and the effects of diversity (many
minus few labels), of alignment (near minus far jets) and of both together. Results are read from
$JETSCALE_HOME (default ./runs).

Every effect is taken pair by pair, at the same N, D and seed. Intervals are Student's over the
pairs of model size and seed, each with trunks of its own; all share one test set.
"""

from pathlib import Path

import numpy as np
import pandas as pd

import jetscale
from jetscale.scaling.estimate import Estimate, student_interval

SWEEP = Path(__file__).parents[1] / "sweeps" / "factorial.py"
EFFECTS = {
    "diversity: many - few": {"many-far": 0.5, "many-near": 0.5, "few-far": -0.5, "few-near": -0.5},
    "alignment: near - far": {"few-near": 0.5, "many-near": 0.5, "few-far": -0.5, "many-far": -0.5},
    "interaction": {"many-near": 1.0, "few-near": -1.0, "many-far": -1.0, "few-far": 1.0},
}


def runs() -> pd.DataFrame:
    """The run table of the factorial; raises StudyError if there are no runs."""
    return jetscale.runs(jetscale.load_study(SWEEP))


def by_mixture(frame: pd.DataFrame) -> pd.DataFrame:
    """Losses with a row per (params, examples, seed) and a column per mixture, complete rows."""
    pairs = ["params", "examples", "seed"]
    return frame.pivot_table(index=pairs, columns="mixture", values="loss").dropna()


def effect(losses: pd.DataFrame, name: str) -> pd.Series:
    """An effect in every pair of runs at the same N, D and seed."""
    weights = pd.Series(EFFECTS[name])
    return (losses[weights.index] * weights).sum(axis=1)


def mean_effect(values: pd.Series) -> Estimate:
    """Mean over pairs of model size and seed with its interval."""
    return student_interval(values.groupby(["params", "seed"]).mean().to_numpy())


def rows(losses: pd.DataFrame) -> list[tuple[str, str, Estimate, int, int]]:
    """Effect, data size, mean, pairs in which it is negative, pairs."""
    found = []
    for name in EFFECTS:
        values = effect(losses, name)
        parts = [(f"{size:,}", part) for size, part in values.groupby("examples")]
        for label, part in [*parts, ("all", values)]:
            found.append((name, label, mean_effect(part), int((part < 0).sum()), len(part)))
    return found


def rates_share(frame: pd.DataFrame, name: str, label: str) -> float:
    """How much of an effect may be the learning rates: regrets of the search and their errors.

    As `jetscale.scaling.searched.recipe_error` says it of a difference; nan where nothing is known.
    """
    weights = pd.Series(EFFECTS[name])
    if "regret" not in frame:
        return float("nan")
    known = frame[frame["mixture"].isin(weights.index)]
    if label != "all":
        known = known[known["examples"] == int(label.replace(",", ""))]
    cells = known.drop_duplicates(["mixture", "regret", "regret_error"])
    means = cells.groupby("mixture")[["regret", "regret_error"]].mean()
    shift = (means["regret"] * weights).sum(skipna=False)
    squares = cells.groupby("mixture")["regret_error"].agg(lambda e: (e**2).sum() / len(e) ** 2)
    return float(np.hypot(shift, np.sqrt((weights**2 * squares).sum(skipna=False))))


def main() -> None:
    """Print both tables."""
    frame = runs()
    losses = by_mixture(frame)
    means = losses.groupby("examples").mean()
    print("| D | " + " | ".join(means.columns) + " |")
    print("|" + "---|" * (len(means.columns) + 1))
    for size, line in means.iterrows():
        print(f"| {size:,} | " + " | ".join(f"{value:.3f}" for value in line) + " |")
    print("\n| effect on the loss | D | mean [95 %] | rates | lower in |\n|---|---|---|---|---|")
    for name, label, value, lower, pairs in rows(losses):
        interval = f"{value.value:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"
        share = f"± {rates_share(frame, name, label):.3f}"
        print(f"| {name} | {label} | {interval} | {share} | {lower} of {pairs} |")


if __name__ == "__main__":
    main()
