"""Figure and tables of the composition study, from its run table.

    python analysis/composition.py [--out FOLDER]      from composition-runs.csv beside this file
    python analysis/composition.py --export            adds the runs in $JETSCALE_HOME to that table
    python analysis/composition.py --epochs 8          the grid at eight epochs in place of two
    python analysis/composition.py --epochs 8 --one-shape      its models with heads of one size

Writes composition.png, composition8.png or composition8-one-shape.png (losses and frontiers; loss
saved by pretraining) and prints Markdown: exponents, paired differences, verdicts, and what moves
an exponent.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import jetscale
from jetscale.errors import FitError, StudyError
from jetscale.scaling import (
    Estimate,
    Options,
    StudyFit,
    all_routes,
    compare,
    conventions,
    fit,
    pair_runs,
)
from jetscale.scaling.estimate import percentile_interval
from jetscale.scaling.fitted import Settings
from jetscale.scaling.metric import put_in_place
from jetscale.store.local import make_folder

HERE = Path(__file__).parent
SWEEPS = HERE.parent / "sweeps"
TABLE = HERE / "composition-runs.csv"
AT_EIGHT = HERE / "composition8-runs.csv"
MORE_SEEDS = HERE / "composition8-seeds-runs.csv"  # added later: forecasts were made without them
ONE_SHAPE = HERE / "composition8-one-shape-runs.csv"
COLOURS = {"scratch": "#555555", "qcd": "#0072b2", "qcd+bsm": "#d55e00"}  # Okabe and Ito
KEPT = (
    *("mixture", "params", "params_non_embedding", "width", "examples", "seed", "subset", "trunk"),
    *("steps", "peak_rate", "flops", "flops_6nd", "pretraining_flops", "pretraining_examples"),
    *("loss", "validation_loss", "accuracy", "auc", "rejection_Hbb", "rejection_Tbqq"),
    *("test_examples", "test_background", "seconds", "regret", "regret_error"),
)
ONE_RUN = ["mixture", "params", "examples", "seed"]
SCORES = ("rejection_Hbb", "rejection_Tbqq", "auc", "accuracy")
PARTS = {  # of each table: the sweep, and what its environment chooses of it
    TABLE: [("composition", {"COMPOSITION_PART": part}) for part in ("7x7", "edge")],
    AT_EIGHT: [
        ("variations", {"VARIATION": part, "COMPOSITION_PART": "6x7"})
        for part in ("grid8", "small8", "long8")
    ],
    MORE_SEEDS: [("variations", {"VARIATION": "seeds8", "COMPOSITION_PART": "6x5"})],
    ONE_SHAPE: [("composition8", {"COMPOSITION8_PART": part}) for part in ("5x7", "6x5", "5x5x6")],
}
LAW = {TABLE: "chinchilla", AT_EIGHT: "overfit", ONE_SHAPE: "overfit"}  # that forecasts best
LAWS = {
    "no-floor": "no floor",
    "chinchilla": "sum of two terms",
    "outer-power": "outer power",
    "overfit": "data term that grows with N",
}
REPLICATES = 400  # of the rows of the table of what moves an exponent


def export(table: Path) -> None:
    """Add what this machine has trained of the study to its run table, in place of the same runs.

    The study may be trained in several parts, on several machines.
    """
    found = [read(table)] if table.exists() else []
    for sweep, chosen in PARTS[table]:
        os.environ |= chosen
        study = jetscale.load_study(SWEEPS / f"{sweep}.py")
        try:
            found.append(jetscale.runs(study)[list(KEPT)])
        except StudyError as error:  # trained elsewhere
            print(f"{chosen}: {error}")
    runs = pd.concat(found, ignore_index=True).drop_duplicates(ONE_RUN, keep="last")
    if table == MORE_SEEDS:
        runs = runs[~runs["seed"].isin(read(AT_EIGHT)["seed"])]
    order = runs["mixture"].map(list(COLOURS).index)
    runs = runs.assign(order=order).sort_values(["order", "params", "examples", "seed"])
    runs[list(KEPT)].to_csv(table, index=False, float_format="%.12g")


def read(path: Path = TABLE) -> pd.DataFrame:
    """A run table."""
    frame = pd.read_csv(path)
    frame["trunk"] = frame["trunk"].fillna("")
    return frame


def laws(frame: pd.DataFrame, **how: Unpack[Settings]) -> StudyFit:
    """The laws of all mixtures."""
    return fit(frame.drop(columns="cell", errors="ignore"), Options(replicates=REPLICATES), **how)


def shift(fits: StudyFit, mixture: str) -> Estimate:
    """Exponent a of a mixture less that of scratch; replicates are paired by cell and seed."""
    values, ends = [], []
    for name in (mixture, "scratch"):
        one = fits[name]
        values.append(one["a"].value)
        ends.append(one.law.exponents(one.replicates.theta, fits.cost, fits.middle)[0])
    low, high = percentile_interval(ends[0] - ends[1], fits["scratch"].n_cells)
    return Estimate(value=values[0] - values[1], low=low, high=high, reason="")


def row(what: str, fits: StudyFit) -> str:
    """A line of the table of what moves the exponents."""
    cells = [shown(fits[name]["a"]) for name in COLOURS]
    cells += [shown(shift(fits, name), sign="+") for name in ("qcd", "qcd+bsm")]
    return f"| {what} | {' | '.join(cells)} |"


def shown(found: Estimate, sign: str = "") -> str:
    """An estimate with its interval; a star where it is not identified."""
    star = "" if found.identified else " *"
    return f"{found.value:{sign}.2f} [{found.low:{sign}.2f}, {found.high:{sign}.2f}]{star}"


def variants(frame: pd.DataFrame, law: str) -> Iterator[tuple[str, pd.DataFrame, Settings]]:
    """What could be otherwise: its name, the runs, and how they are fitted."""
    yield "all runs", frame, {}
    for seed in sorted(frame["seed"].unique()):
        yield f"seed and subset {seed} alone", frame[frame["seed"] == seed], {}
    yield "4,000 validation jets for test jets", frame.assign(loss=frame["validation_loss"]), {}
    for column, letter in (("params", "N"), ("examples", "D")):
        sizes = np.sort(frame[column].unique())
        yield f"without the smallest {letter}", frame[frame[column] > sizes[0]], {}
        yield f"without the largest {letter}", frame[frame[column] < sizes[-1]], {}
    for other, name in LAWS.items():
        if other != law:
            yield name, frame, {"law": other}
    yield "one floor for all mixtures", frame, {"shared": ("E",)}
    yield "least squares", frame, {"objective": "squares"}
    yield "absolute residuals", frame, {"objective": "absolute"}
    six = frame.assign(flops=6 * frame["params"] * frame["examples"])
    yield "compute as 6 N D", six, {}
    for score in [name for name in SCORES if name in frame]:
        yield score, put_in_place(frame, score)[0], {}


def moves(frame: pd.DataFrame, law: str) -> str:
    """The table of what moves exponents and differences, under this law if not said otherwise."""
    lines = ["| what | scratch | qcd | qcd+bsm | qcd - scratch | qcd+bsm - scratch |"]
    lines.append("|---|---|---|---|---|---|")
    for what, runs, how in variants(frame, law):
        asked: Settings = {"law": law, **how}
        try:
            lines.append(row(what, laws(runs, **asked)))
        except (FitError, KeyError) as error:
            lines.append(f"| {what} | {error} | | | | |")
    return "\n".join(lines)


def parameters(fits: StudyFit) -> str:
    """The parameters of the laws and the exponents by every route."""
    names = [name for name in fits["scratch"].parameters if name not in ("A", "B")]
    lines = [f"| mixture | {' | '.join(names)} | a, law | a, isoFLOP | a, envelope |"]
    lines.append("|---" * (len(names) + 4) + "|")
    for name, routes in all_routes(fits).items():
        cells = [shown(fits[name][p]) for p in names]
        by_route = [route.params_exponent for route in routes.routes]
        cells += ["-" if e is None else shown(e) for e in by_route]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def counted(fits: StudyFit) -> str:
    """The exponent a under every way to count compute."""
    lines = ["| mixture | compute | a |", "|---|---|---|"]
    for name, one in conventions(fits).items():
        for each in one.rows:
            a = each.params_exponent
            lines.append(f"| {name} | {each.name} | {'-' if a is None else shown(a)} |")
    return "\n".join(lines)


def differences(frame: pd.DataFrame) -> str:
    """Paired differences of the loss by data size."""
    lines = ["| mixture - baseline | D | difference | lower in | effective data |"]
    lines.append("|---|---|---|---|---|")
    for pair in pair_runs(frame).pairs:
        for one in (*pair.by_examples, pair.overall):
            size = "all" if one.examples is None else f"{one.examples:,.0f}"
            d, f = one.difference, one.data_factor
            factor = "" if f is None else f"{f.bound} x{f.value:.2f} [{f.low:.2f}, {f.high:.2f}]"
            lines.append(
                f"| {pair.mixture} - {pair.baseline} | {size} | {d.value:+.3f} [{d.low:+.3f}, "
                f"{d.high:+.3f}] | {one.n_lower} of {one.n_pairs} | {factor.strip()} |"
            )
    return "\n".join(lines)


def draw_losses(axes: Axes, frame: pd.DataFrame, fits: StudyFit) -> None:
    """Mean loss against compute, with the frontier of each law."""
    for name, colour in COLOURS.items():
        part = (
            frame[frame["mixture"] == name]
            .groupby(["params", "examples"])[["flops", "loss"]]
            .mean()
        )
        axes.plot(part["flops"], part["loss"], ".", color=colour, alpha=0.6)
        budgets = np.geomspace(*fits.flops, 60)
        one = fits[name]
        best = one.law.optimum(one.theta, budgets, fits.cost)
        axes.plot(budgets, best.loss, color=colour, label=name)
    axes.set(xscale="log", xlabel="FLOPs of a run, without pretraining", ylabel="test loss")
    axes.set_title("Every cell, and the frontier of each law", loc="left")
    axes.legend(frameon=False)


def draw_savings(axes: Axes, frame: pd.DataFrame) -> None:
    """Loss saved by pretraining against data, by model size."""
    means = frame.groupby(["mixture", "params", "examples"])["loss"].mean()
    sizes = sorted(frame["params"].unique())
    for name in ("qcd", "qcd+bsm"):
        for i, size in enumerate(sizes):
            saved = means[name][size] - means["scratch"][size]
            axes.plot(
                saved.index,
                saved,
                color=COLOURS[name],
                alpha=0.25 + 0.75 * i / (len(sizes) - 1),
                label=name if i == len(sizes) - 1 else None,
            )
    axes.axhline(0, color=COLOURS["scratch"], linewidth=1)
    axes.set(xscale="log", xlabel="downstream jets D", ylabel="test loss minus that of scratch")
    axes.set_title("What pretraining saves; darker: larger models", loc="left")
    axes.legend(frameon=False)


def draw(frame: pd.DataFrame, fits: StudyFit, path: Path) -> None:
    """Both panels as one PNG."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    draw_losses(left, frame, fits)
    draw_savings(right, frame)
    sizes = sorted(frame["examples"].unique())
    right.set_xticks(sizes, [f"{size / 1000:g}k" for size in sizes])
    right.minorticks_off()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Write the figure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/composition/analysis"))
    parser.add_argument("--epochs", type=int, choices=(2, 8), default=2)
    parser.add_argument("--one-shape", action="store_true")
    parser.add_argument("--export", action="store_true")
    options = parser.parse_args()
    table = TABLE if options.epochs == 2 else ONE_SHAPE if options.one_shape else AT_EIGHT
    tables = [AT_EIGHT, MORE_SEEDS] if table == AT_EIGHT else [table]
    if options.export:
        for each in tables:
            export(each)
        return
    frame = pd.concat([read(each) for each in tables], ignore_index=True)
    law = LAW[table]
    fits = laws(frame, law=law)
    path = make_folder(options.out) / table.with_suffix(".png").name.replace("-runs", "")
    draw(frame, fits, path)
    for table_of in (parameters(fits), counted(fits), differences(frame)):
        print(f"{table_of}\n")
    print(f"{moves(frame, law)}\n")
    for pair in compare(fits).pairs:
        print(f"- {pair.b} minus {pair.a}: {pair.verdict.text}; {pair.clause}")
    print(f"\nfigure: {path}")


if __name__ == "__main__":
    mpl.use("Agg")
    main()
