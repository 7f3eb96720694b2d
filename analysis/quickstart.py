"""Figure and table of the quickstart study, from its runs in MLflow.

    python analysis/quickstart.py [--out FOLDER]

Writes quickstart.png (loss against data at the largest model; effective data against data) and
prints the paired differences as Markdown. Results are read from $JETSCALE_HOME (default ./runs).
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import jetscale
from jetscale.scaling import Difference, PairedStudy, pair_runs
from jetscale.store.local import make_folder

SWEEP = Path(__file__).parents[1] / "sweeps" / "quickstart.py"
COLOURS = ("#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito, safe for all


def runs() -> pd.DataFrame:
    """The run table of the quickstart; raises StudyError if there are no runs."""
    return jetscale.runs(jetscale.load_study(SWEEP))


def colours(frame: pd.DataFrame) -> dict[str, str]:
    """One colour per mixture, in the order of the study."""
    return dict(zip(frame["mixture"].unique(), COLOURS, strict=False))


def draw_losses(axes: Axes, frame: pd.DataFrame) -> None:
    """Test loss against D at the largest model, mean and every seed."""
    largest = frame[frame["params"] == frame["params"].max()]
    for name, colour in colours(frame).items():
        part = largest[largest["mixture"] == name]
        mean = part.groupby("examples")["loss"].mean()
        axes.plot(mean.index, mean.to_numpy(), color=colour, marker="o", label=name)
        axes.plot(part["examples"], part["loss"], color=colour, marker="_", linestyle="none")
    axes.set(xscale="log", xlabel="downstream jets D", ylabel="test loss")
    axes.set_title(f"Loss at N = {largest['params'].max():,} parameters", loc="left")
    axes.legend(frameon=False)


def draw_effective_data(axes: Axes, frame: pd.DataFrame, study: PairedStudy) -> None:
    """Effective-data factor of every mixture against the baseline, with 95% intervals.

    A triangle is a limit: the loss lies beyond the baseline's measured curve.
    """
    palette = colours(frame)
    for i, pair in enumerate(p for p in study.pairs if p.baseline == study.baseline):
        for row in pair.by_examples:
            factor = row.data_factor
            if factor is None or row.examples is None:
                continue
            place = row.examples * 1.06**i  # side by side
            value, low, high = factor.value, factor.low, factor.high
            ends = [value if "<" in factor.bound else low, value if ">" in factor.bound else high]
            axes.plot([place, place], ends, color=palette[pair.mixture])
            axes.plot(
                place,
                value,
                color=palette[pair.mixture],
                marker="^" if ">" in factor.bound else "v" if "<" in factor.bound else "o",
                linestyle="none",
                label=pair.mixture if row is pair.by_examples[0] else None,
            )
    axes.axhline(1, color=palette[study.baseline], linewidth=1)
    axes.set(xscale="log", yscale="log", ylim=(0.5, 5), xlabel="downstream jets D")
    axes.set_yticks([0.5, 1, 2, 4], ["x0.5", "x1", "x2", "x4"])
    axes.minorticks_off()
    axes.set_title(f"Effective data, relative to {study.baseline}", loc="left")
    axes.legend(frameon=False)


def draw(frame: pd.DataFrame, study: PairedStudy, path: Path) -> None:
    """Both panels as one PNG."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    draw_losses(left, frame)
    draw_effective_data(right, frame, study)
    sizes = sorted(frame["examples"].unique())
    for axes in (left, right):
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def markdown(study: PairedStudy) -> str:
    """Paired differences as a table."""
    lines = ["| mixture - baseline | D | difference | lower in |", "|---|---|---|---|"]
    for pair in study.pairs:
        name = f"{pair.mixture} - {pair.baseline}"
        lines += [f"| {name} | {_row(row)} |" for row in (*pair.by_examples, pair.overall)]
    return "\n".join(lines)


def _row(row: Difference) -> str:
    size = "all" if row.examples is None else f"{row.examples:,.0f}"
    d = row.difference
    interval = f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
    return f"{size} | {interval} | {row.n_lower} of {row.n_pairs}"


def main() -> None:
    """Write the figure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart/analysis"))
    out = make_folder(parser.parse_args().out)
    frame = runs()
    study = pair_runs(frame)
    draw(frame, study, out / "quickstart.png")
    print(markdown(study))
    print(f"\nfigure: {out / 'quickstart.png'}")


if __name__ == "__main__":
    mpl.use("Agg")
    main()
