"""What moves the exponents of the composition study: its cells with one choice made otherwise.

    python analysis/variations.py              from variations-runs.csv and composition-runs.csv
    python analysis/variations.py --export     writes the first of them from $JETSCALE_HOME

Prints Markdown: differences between mixtures under each choice, and what each does to exponents.
"""

import argparse
import os
import runpy
from pathlib import Path

import numpy as np
import pandas as pd

import jetscale
from jetscale.errors import FitError
from jetscale.scaling import pair_runs
from jetscale.scaling.comparison.paired import Difference
from jetscale.scaling.estimate import student_interval

HERE = Path(__file__).parent
SWEEP = HERE.parent / "sweeps" / "variations.py"
TABLE = HERE / "variations-runs.csv"
composition = runpy.run_path(str(HERE / "composition.py"))
BASELINE = "composition"
TOLD = {
    BASELINE: "as in composition",
    "epochs8": "8 epochs for 2",
    "epochs32": "32 epochs",
    "best": "the best of these, each mixture its own",
    "rates": "one rate law for all, not searched",
    "draw": "all jets drawn anew",
}
CELL = ["mixture", "params", "examples"]
SHOWN = (500, 1_000, 2_000, 4_000, 8_000, 16_000)


def export() -> None:
    """Write the run tables of all variations as one."""
    found = []
    for name in list(TOLD)[1:]:
        os.environ["VARIATION"] = name
        found.append(jetscale.runs(jetscale.load_study(SWEEP)).assign(variation=name))
    runs = pd.concat(found, ignore_index=True).reindex(columns=["variation", *composition["KEPT"]])
    runs.to_csv(TABLE, index=False, float_format="%.8g")


def read() -> dict[str, pd.DataFrame]:
    """The run table of each variation, the same cells and seeds of the composition study first."""
    varied, whole = pd.read_csv(TABLE), composition["read"]()
    cells = [*CELL[1:], "seed"]
    same = whole.merge(varied[cells].drop_duplicates(), on=cells)
    tables = {BASELINE: same}
    for name, runs in varied.groupby("variation", sort=False):
        tables[str(name)] = runs.drop(columns="variation").assign(trunk=runs["trunk"].fillna(""))
    passes = [tables[name] for name in (BASELINE, "epochs8", "epochs32") if name in tables]
    if len(passes) > 1:
        tables["best"] = best_of(passes)
    return {name: tables[name] for name in TOLD if name in tables}


def best_of(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The runs of each mixture and cell from the table whose mean validation loss is lowest.

    Their FLOPs are left out: they jump with the number of epochs, and compute is then 6 N D.
    """
    runs = pd.concat([one.assign(table=i) for i, one in enumerate(tables)], ignore_index=True)
    means = runs.groupby([*CELL, "table"])["validation_loss"].mean().reset_index()
    chosen = means.loc[means.groupby(CELL)["validation_loss"].idxmin(), [*CELL, "table"]]
    best = runs.merge(chosen, on=[*CELL, "table"]).drop(columns="table")
    return best.drop(columns="flops", errors="ignore")


def paired(runs: pd.DataFrame) -> dict[tuple[str, str, int], str]:
    """Differences of loss and effective data by mixture, baseline and data size."""
    return {
        (pair.mixture, pair.baseline, int(row.examples or 0)): told(row)
        for pair in pair_runs(runs).pairs
        for row in pair.by_examples
    }


def told(row: Difference) -> str:
    """A difference with its interval, and what it is worth in data."""
    found, factor = row.difference, row.data_factor
    text = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    if factor is None or factor.bound:
        return text
    return f"{text}, x{factor.value:.2f} [{factor.low:.2f}, {factor.high:.2f}]"


def differences(tables: dict[str, pd.DataFrame]) -> str:
    """Differences between mixtures under each choice, by data size."""
    found = {name: paired(runs) for name, runs in tables.items()}
    lines = [f"| mixture - baseline | D | {' | '.join(TOLD[name] for name in found)} |"]
    lines.append("|---|---|" + "---|" * len(found))
    for mixture, base, size in found[BASELINE]:
        shown = (one.get((mixture, base, size), "-") for one in found.values())
        lines.append(f"| {mixture} - {base} | {size:,} | {' | '.join(shown)} |")
    return "\n".join(lines)


def changes(tables: dict[str, pd.DataFrame]) -> str:
    """What each choice does to the loss of a mixture: log ratio to the baseline's run, in percent.

    Intervals are over model sizes.
    """
    names = [name for name in tables if name != BASELINE]
    lines = [f"| mixture | D | {' | '.join(TOLD[name] for name in names)} |"]
    lines.append("|---|---|" + "---|" * len(names))
    keys = [*CELL, "seed"]
    both = {n: tables[n].merge(tables[BASELINE], on=keys, suffixes=("", "_base")) for n in names}
    for mixture in composition["COLOURS"]:
        for size in SHOWN:
            cells = (change(one[one["mixture"] == mixture], size) for one in both.values())
            lines.append(f"| {mixture} | {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def change(runs: pd.DataFrame, size: int) -> str:
    """The mean log ratio of losses at a data size, with its interval."""
    mine = runs[runs["examples"] == size]
    if mine.empty:
        return "-"
    mine = mine.assign(ratio=100 * np.log(mine["loss"] / mine["loss_base"]))
    mean = student_interval(mine.groupby("params")["ratio"].mean().to_numpy())
    return f"{mean.value:+.1f}% [{mean.low:+.1f}, {mean.high:+.1f}]"


def exponents(tables: dict[str, pd.DataFrame]) -> str:
    """What each choice does to the exponent a and to its differences."""
    lines = ["| what | scratch | qcd | qcd+bsm | qcd - scratch | qcd+bsm - scratch |"]
    lines.append("|---|---|---|---|---|---|")
    for name, runs in tables.items():
        try:
            lines.append(composition["row"](TOLD[name], composition["laws"](runs)))
        except (FitError, KeyError):  # no law: too few sizes, or a loss that rises with them
            lines.append(f"| {TOLD[name]} | - | - | - | - | - |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--export", action="store_true")
    if parser.parse_args().export:
        return export()
    tables = read()
    print(f"{exponents(tables)}\n\n{changes(tables)}\n\n{differences(tables)}")
    return None


if __name__ == "__main__":
    main()
