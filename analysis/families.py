"""Does the worth of pretraining depend on the architecture, or on what trunks are trained to do?

    python analysis/families.py              from families-runs.csv
    python analysis/families.py --export     writes that table from $JETSCALE_HOME

Prints Markdown: differences between mixtures in each family, how these differ between families,
completing jets against classifying them, and exponents.
"""

import argparse
import os
import runpy
from pathlib import Path

import pandas as pd

import jetscale
from jetscale.scaling import pair_runs
from jetscale.scaling.comparison.paired import Difference
from jetscale.scaling.estimate import student_interval

HERE = Path(__file__).parent
SWEEP = HERE.parent / "sweeps" / "families.py"
TABLE = HERE / "families-runs.csv"
variations = runpy.run_path(str(HERE / "variations.py"))
composition = variations["composition"]
TOLD = {
    "transformer-classify": "transformer, labels",
    "transformer-masked": "transformer, masked",
    "part-classify": "ParT, labels",
    "part-masked": "ParT, masked",
}
BASELINE = "transformer-classify"
PAIRS = (("qcd", "scratch"), ("qcd+bsm", "scratch"), ("qcd+bsm", "qcd"))
AGAINST = (  # families whose differences between mixtures are compared
    ("transformer-masked", "transformer-classify"),
    ("part-classify", "transformer-classify"),
    ("part-masked", "part-classify"),
    ("part-masked", "transformer-masked"),
)
PLACE = ["width", "examples", "seed"]  # what runs of all families share


def export() -> None:
    """Write the run tables of all families as one; runs from scratch stand in two of them."""
    found = []
    for name in TOLD:
        os.environ["VARIATION"] = name
        found.append(jetscale.runs(jetscale.load_study(SWEEP)).assign(variation=name))
    runs = pd.concat(found, ignore_index=True).reindex(columns=["variation", *composition["KEPT"]])
    runs.to_csv(TABLE, index=False, float_format="%.8g")


def read(path: Path = TABLE) -> dict[str, pd.DataFrame]:
    """The run table of each family."""
    whole = pd.read_csv(path)
    whole["trunk"] = whole["trunk"].fillna("")
    tables = {str(name): runs for name, runs in whole.groupby("variation", sort=False)}
    return {name: tables[name].drop(columns="variation") for name in TOLD if name in tables}


def differences(tables: dict[str, pd.DataFrame]) -> str:
    """Differences of loss between mixtures in each family, by data size and over all."""
    lines = [f"| mixture - baseline | D | {' | '.join(TOLD[name] for name in tables)} |"]
    lines.append("|---|---|" + "---|" * len(tables))
    found: dict[tuple[str, str, float | None], dict[str, Difference]] = {}
    for name, runs in tables.items():
        for pair in pair_runs(runs).pairs:
            for row in (*pair.by_examples, pair.overall):
                place = pair.mixture, pair.baseline, row.examples
                found.setdefault(place, {})[name] = row
    for (mixture, base, size), rows in found.items():
        cells = (shown(rows[name]) if name in rows else "-" for name in tables)
        jets = "all" if size is None else f"{size:,.0f}"
        lines.append(f"| {mixture} - {base} | {jets} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(row: Difference) -> str:
    """A difference, and in how many pairs of runs the mixture has the lower loss."""
    return f"{variations['told'](row)}, {row.n_lower} of {row.n_pairs}"


def effects(runs: pd.DataFrame, mixture: str, base: str) -> pd.Series:
    """Loss of a mixture minus that of its baseline by width, data size and seed."""
    losses = runs.pivot_table(index=PLACE, columns="mixture", values="loss")
    return (losses[mixture] - losses[base]).dropna()


def interval(values: pd.Series) -> str:
    """The mean over widths, of the means over data sizes and seeds, with its interval."""
    if values.empty:
        return "-"
    found = student_interval(values.groupby("width").mean().to_numpy())
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def by_width(tables: dict[str, pd.DataFrame]) -> str:
    """Differences between mixtures at each width, data sizes and seeds averaged; no interval."""
    widths = sorted({int(width) for runs in tables.values() for width in runs["width"]})
    lines = [f"| mixture - baseline | family | {' | '.join(f'width {w}' for w in widths)} |"]
    lines.append("|---|---|" + "---|" * len(widths))
    for mixture, base in PAIRS:
        for name, runs in tables.items():
            found = effects(runs, mixture, base).groupby("width")
            told = {w: f"{v.mean():+.3f}, {(v < 0).sum()} of {len(v)}" for w, v in found}
            cells = " | ".join(told.get(width, "-") for width in widths)
            lines.append(f"| {mixture} - {base} | {TOLD[name]} | {cells} |")
    return "\n".join(lines)


def between(tables: dict[str, pd.DataFrame]) -> str:
    """How much larger a difference between mixtures is in one family than in another."""
    sizes = sorted(next(iter(tables.values()))["examples"].unique())
    columns = [*(f"D = {size:,}" for size in sizes), "all"]
    lines = [f"| mixture - baseline | family - family | {' | '.join(columns)} |"]
    lines.append("|---|---|" + "---|" * len(columns))
    for mixture, base in PAIRS:
        for one, other in AGAINST:
            if one not in tables or other not in tables:
                continue
            both = (effects(tables[name], mixture, base) for name in (one, other))
            more = (next(both) - next(both)).dropna()  # cells that both families have
            jets = more.index.get_level_values("examples")
            cells = [*(interval(more[jets == size]) for size in sizes), interval(more)]
            names = f"{TOLD[one]} - {TOLD[other]}"
            lines.append(f"| {mixture} - {base} | {names} | {' | '.join(cells)} |")
    return "\n".join(lines)


def objectives(tables: dict[str, pd.DataFrame]) -> str:
    """Loss after completing jets minus loss after classifying them, for the same jets."""
    lines = ["| architecture | mixture | D | masked - labels | lower in |", "|---|---|---|---|---|"]
    for architecture in ("transformer", "part"):
        names = [f"{architecture}-{what}" for what in ("masked", "classify")]
        if not set(names) <= tables.keys():
            continue
        pair = [tables[name] for name in names]
        for mixture in ("qcd", "qcd+bsm"):
            masked, labelled = (
                runs[runs["mixture"] == mixture].set_index(PLACE)["loss"] for runs in pair
            )
            more = (masked - labelled).dropna()
            jets = more.index.get_level_values("examples")
            for size in (*sorted(set(jets)), None):
                mine = more if size is None else more[jets == size]
                cells = f"{interval(mine)} | {(mine < 0).sum()} of {len(mine)} |"
                at = "all" if size is None else f"{size:,}"
                lines.append(f"| {architecture} | {mixture} | {at} | {cells}")
    return "\n".join(lines)


def order(tables: dict[str, pd.DataFrame]) -> str:
    """In how many cells, seeds averaged, the mixtures stand in which order from the lowest loss."""
    lines = ["| family | order by loss, lowest first: cells |", "|---|---|"]
    for name, runs in tables.items():
        losses = runs.pivot_table(index=PLACE[:2], columns="mixture", values="loss")
        orders = losses.apply(lambda row: " < ".join(row.sort_values().index), axis=1)
        counts = orders.value_counts(sort=True)
        told = "; ".join(f"{what}: {cells}" for what, cells in counts.items())
        lines.append(f"| {TOLD[name]} | {told} |")
    return "\n".join(lines)


def exponents(tables: dict[str, pd.DataFrame]) -> str:
    """The exponent a in each family with enough data sizes for a law, and its differences."""
    lines = ["| family | scratch | qcd | qcd+bsm | qcd - scratch | qcd+bsm - scratch |"]
    lines.append("|---|---|---|---|---|---|")
    for name, runs in tables.items():
        if runs["examples"].nunique() > 2:
            lines.append(composition["row"](TOLD[name], composition["laws"](runs)))
    return "\n".join(lines)


def losses(tables: dict[str, pd.DataFrame]) -> str:
    """Mean losses over seeds: a line per family, mixture and width, a column per data size."""
    sizes = sorted(next(iter(tables.values()))["examples"].unique())
    lines = [f"| family | mixture | width, N | {' | '.join(f'{size:,}' for size in sizes)} |"]
    lines.append("|---|---|---|" + "---|" * len(sizes))
    for name, runs in tables.items():
        for (mixture, width, params), cell in runs.groupby(
            ["mixture", "width", "params"], sort=False
        ):
            if mixture == "scratch" and name.endswith("masked"):
                continue  # the runs of the other objective
            means = cell.groupby("examples")["loss"].mean()
            cells = " | ".join(f"{means[size]:.3f}" if size in means else "-" for size in sizes)
            lines.append(f"| {TOLD[name]} | {mixture} | {width}, {params:,} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--export", action="store_true")
    if parser.parse_args().export:
        return export()
    tables = read()
    parts = (order, differences, by_width, between, objectives, exponents, losses)
    print("\n\n".join(part(tables) for part in parts))
    return None


if __name__ == "__main__":
    main()
