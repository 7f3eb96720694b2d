"""Effects of the factorial study: more labels against nearer jets.

    python analysis/factorial.py [--out FOLDER]   from factorial-runs.csv beside this file
    python analysis/factorial.py --export         writes that table from $JETSCALE_HOME
    python analysis/factorial.py --epochs 8       the study at eight epochs in place of two

Writes factorial.png or factorial8.png (effects; what the mixtures save) and prints Markdown: what
was planned to be seen; the effects of diversity (many minus few labels), of alignment (near minus
far jets) and of both together, and the mixtures against scratch; what stands behind each effect,
and each at one level of the other; what the two effects make of another difference, that of qcd+bsm
and qcd in the composition study; and the effects in the search, each mixture at its own best rate
of pretraining.

Every effect is taken pair by pair, at the same N, D and seed. Intervals are Student's over the
pairs of model size and seed, each with trunks of its own. Sizes of one seed train on the same jets:
*by seeds* is the half-width from the means of seeds alone. All runs share one test set. *Rates* and
*of pretraining* say how much of an effect may be the learning rates, of fine-tuning or of trunks.
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from scipy import stats

import jetscale
from jetscale.scaling.estimate import Estimate, student_interval
from jetscale.scaling.tuning import fit_rate_laws, regrets
from jetscale.store.local import make_folder

HERE = Path(__file__).parent
EFFECTS = {
    "diversity: many - few": {"many-far": 0.5, "many-near": 0.5, "few-far": -0.5, "few-near": -0.5},
    "alignment: near - far": {"few-near": 0.5, "many-near": 0.5, "few-far": -0.5, "many-far": -0.5},
    "interaction": {"many-near": 1.0, "few-near": -1.0, "many-far": -1.0, "few-far": 1.0},
}
ALONE = {
    "many - few, far jets": {"many-far": 1.0, "few-far": -1.0},
    "many - few, near jets": {"many-near": 1.0, "few-near": -1.0},
    "near - far, few labels": {"few-near": 1.0, "few-far": -1.0},
    "near - far, many labels": {"many-near": 1.0, "many-far": -1.0},
}
PLACES = {  # effective labels and alignment, as `jetscale measure` says of both sweeps
    "few-far": (2.0, 0.26),
    "many-far": (15.8, 0.29),
    "few-near": (3.8, 0.58),
    "many-near": (14.3, 0.61),
    "qcd": (3.9, 0.30),
    "qcd+bsm": (33.4, 0.54),
}
CORNERS = [name for name in PLACES if name in EFFECTS["interaction"]]
FEW_JETS = 1000
COLOURS = {  # Okabe and Ito
    **dict(zip(EFFECTS, ("#0072b2", "#d55e00", "#555555"), strict=True)),
    **dict(zip(CORNERS, ("#56b4e9", "#0072b2", "#e69f00", "#d55e00"), strict=True)),
}
Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the study with some number of epochs lies, and what it is set beside."""

    epochs: int

    @property
    def suffix(self) -> str:
        """What follows the study in the names of its files."""
        return "8" if self.epochs == 8 else ""

    def _table(self, study: str, kind: str) -> Path:
        return HERE / f"{study}{self.suffix}-{kind}.csv"

    @property
    def sweep(self) -> Path:
        """The sweep file."""
        return HERE.parent / "sweeps" / f"factorial{self.suffix}.py"

    @property
    def runs(self) -> pd.DataFrame:
        """The run table."""
        return pd.read_csv(self._table("factorial", "runs"))

    @property
    def search(self) -> pd.DataFrame:
        """The runs of the search of the rates."""
        return pd.read_csv(self._table("factorial", "search"), keep_default_na=False)

    @property
    def composition(self) -> pd.DataFrame:
        """The runs of the composition study with as many epochs."""
        return pd.read_csv(self._table("composition", "runs"))

    @property
    def supply(self) -> pd.DataFrame:
        """Those with fewer pretraining jets."""
        return pd.read_csv(self._table("supply", "runs"))

    def export(self) -> None:
        """Write the run table, with the columns of that of the composition study."""
        runs = jetscale.runs(jetscale.load_study(self.sweep), source="records")
        runs = runs.sort_values(["mixture", "params", "examples", "seed"])[list(self.composition)]
        runs.to_csv(self._table("factorial", "runs"), index=False, float_format="%.8g")


def by_mixture(frame: pd.DataFrame) -> pd.DataFrame:
    """Losses with a row per (params, examples, seed) and a column per mixture, complete rows."""
    pairs = ["params", "examples", "seed"]
    return frame.pivot_table(index=pairs, columns="mixture", values="loss").dropna()


def effect(losses: pd.DataFrame, weights: Weights) -> pd.Series:
    """A weighted sum of losses in every pair of runs at the same N, D and seed."""
    each = pd.Series(weights)
    return (losses[each.index] * each).sum(axis=1)


def mean_effect(values: pd.Series) -> Estimate:
    """Mean over pairs of model size and seed with its interval."""
    return student_interval(values.groupby(["params", "seed"]).mean().to_numpy())


def by_seeds(values: pd.Series) -> float:
    """Half-width of the interval of the mean from the means of seeds alone."""
    found = student_interval(values.groupby("seed").mean().to_numpy())
    return found.high - found.value


def smallest_seen(values: pd.Series) -> float:
    """The effect whose interval would have excluded zero with 80% power."""
    means = values.groupby(["params", "seed"]).mean()
    quantiles = stats.t.ppf([0.975, 0.8], len(means) - 1)
    return float(quantiles.sum() * means.sem())


def groups(sizes: pd.Index) -> dict[str, list[int]]:
    """Data sizes one by one, those of few jets, and all."""
    known = sorted(set(sizes))
    few = [size for size in known if size <= FEW_JETS]
    return {f"{size:,}": [size] for size in known} | {f"to {FEW_JETS:,}": few, "all": known}


def of_sizes(values: pd.Series, sizes: list[int]) -> pd.Series:
    """The pairs at some data sizes."""
    return values[values.index.get_level_values("examples").isin(sizes)]


def shown(found: Estimate) -> str:
    """An effect on the loss with its interval."""
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def table(frame: pd.DataFrame, contrasts: Mapping[str, Weights]) -> str:
    """A table of weighted sums of losses: a row per group of data sizes, a column for each."""
    losses = by_mixture(frame)
    values = [effect(losses, weights) for weights in contrasts.values()]
    lines = ["| D | " + " | ".join(contrasts) + " |", "|---" * (len(values) + 1) + "|"]
    for label, sizes in groups(losses.index.unique("examples")).items():
        cells = [shown(mean_effect(of_sizes(one, sizes))) for one in values]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def doubts(frame: pd.DataFrame, source: Source) -> str:
    """The table of what stands behind each effect, and behind each at one level of the other."""
    losses, trunks = by_mixture(frame), trunk_regrets(source)
    heads = "| effect on the loss | D | mean [95%] | by seeds | rates | of pretraining | lower in |"
    lines = [f"{heads} seen with 80% |", "|---" * 8 + "|"]
    known = groups(losses.index.unique("examples"))
    for name, weights in (EFFECTS | ALONE).items():
        values = effect(losses, weights)
        for label, sizes in known.items():
            part = of_sizes(values, sizes)
            lines.append(
                f"| {name} | {label} | {shown(mean_effect(part))} | ± {by_seeds(part):.3f} "
                f"| ± {rates_share(frame, weights, sizes):.3f} "
                f"| ± {rates_share(trunks, weights, nearest(trunks, sizes)):.3f} "
                f"| {(part < 0).sum()} of {len(part)} | {smallest_seen(part):.3f} |"
            )
    return "\n".join(lines)


def rates_share(frame: pd.DataFrame, weights: Weights, sizes: list[int]) -> float:
    """How much of an effect may be the learning rates: regrets of the search and their errors.

    As `jetscale.scaling.searched.recipe_error` says it of a difference; nan where nothing is known.
    """
    if "regret" not in frame:
        return float("nan")
    each = pd.Series(weights)
    known = frame[frame["mixture"].isin(each.index) & frame["examples"].isin(sizes)]
    cells = known.drop_duplicates(["mixture", "regret", "regret_error"])
    means = cells.groupby("mixture")["regret"].mean()
    shift = (means * each).sum(skipna=False)
    squares = cells.groupby("mixture")["regret_error"].agg(lambda e: (e**2).sum() / len(e) ** 2)
    return float(np.hypot(shift, np.sqrt((each**2 * squares).sum(skipna=False))))


def trunk_regrets(source: Source) -> pd.DataFrame:
    """By how much the rates of pretraining miss the best ones searched, in loss after fine-tuning.

    The run table holds the regrets of the rates of fine-tuning alone.
    """
    search = source.search
    found = pd.DataFrame([asdict(one) for one in regrets(search, fit_rate_laws(search))])
    return found[found["start"] == "pretraining"].rename(columns={"error": "regret_error"})


def own_rates(source: Source) -> str:
    """The effects on the validation loss of the search, each mixture at its best pretraining rate.

    Of the factors tried the best is that of the lowest mean validation loss of a mixture.
    """
    search = source.search
    tried = search[search["start"] == "pretraining"]
    best = tried.groupby(["mixture", "factor"])["loss"].mean().unstack().idxmin(axis=1)
    found = table(tried[tried["factor"] == tried["mixture"].map(best)], EFFECTS)
    factors = ", ".join(f"{name} x {factor:g}" for name, factor in best.items())
    return f"{found}\n\nbest rates of pretraining: {factors}"


def nearest(searched: pd.DataFrame, sizes: list[int]) -> list[int]:
    """The data sizes of a search that lie next to some others."""
    known = searched["examples"].unique()
    return sorted({int(known[np.argmin(np.abs(np.log(known / size)))]) for size in sizes})


def explained() -> dict[str, dict[str, float]]:
    """Weights of the corners that make what each axis predicts of qcd+bsm minus qcd.

    The plane through the four corners, in log of effective labels and in alignment, is taken from
    the place of qcd to that of qcd+bsm.
    """
    places = pd.DataFrame(PLACES, index=["labels", "alignment"]).T
    places["labels"] = np.log(places["labels"])
    corners = places.loc[CORNERS]
    design = np.column_stack([np.ones(len(corners)), corners])
    slopes = pd.DataFrame(np.linalg.pinv(design)[1:], index=corners.columns, columns=CORNERS)
    step = places.loc["qcd+bsm"] - places.loc["qcd"]
    parts = slopes.mul(step, axis=0)
    parts.loc["both"] = parts.sum()
    return {str(name): {c: float(parts.loc[name, c]) for c in CORNERS} for name in parts.index}


def contrasts(params: pd.Index, source: Source) -> dict[int, pd.Series]:
    """The measured qcd+bsm minus qcd, by number of pretraining jets, at some model sizes."""
    supply, composition = source.supply, source.composition
    tables = {32_000: supply[supply["pretraining_examples"] == 32_000], 128_000: composition}
    step = {"qcd+bsm": 1.0, "qcd": -1.0}
    return {
        jets: effect(by_mixture(table[table["params"].isin(params)]), step)
        for jets, table in tables.items()
    }


def explanation(frame: pd.DataFrame, source: Source) -> str:
    """The table of what the two effects make of qcd+bsm minus qcd, and of what was measured."""
    losses = by_mixture(frame)
    predicted = {name: effect(losses, weights) for name, weights in explained().items()}
    measured = contrasts(losses.index.unique("params"), source)
    heads = [*(f"by {name}" for name in predicted), *(f"measured, P = {p:,}" for p in measured)]
    lines = ["| D | " + " | ".join(heads) + " |", "|" + "---|" * (len(heads) + 1)]
    for label, sizes in groups(losses.index.unique("examples")).items():
        parts = [of_sizes(one, sizes) for one in (*predicted.values(), *measured.values())]
        lines.append(f"| {label} | " + " | ".join(shown(mean_effect(one)) for one in parts) + " |")
    return "\n".join(lines)


def planned(params: pd.Index, sizes: pd.Index, pairs: int, source: Source) -> str:
    """The table of what was known before: spread of qcd+bsm minus qcd, and what would be seen.

    The spread is that of means of one model size and seed about the mean of the size. A main effect
    is half the sum of two such differences, the interaction is one less the other.
    """
    known = contrasts(params, source)
    share = stats.t.ppf([0.975, 0.8], pairs - 1).sum() / np.sqrt(pairs)
    lines = ["| D | spread | main effect seen | interaction seen |", "|---|---|---|---|"]
    for label, some in groups(sizes).items():
        squares, freedom = 0.0, 0
        for one in known.values():
            found = of_sizes(one, some).groupby(["params", "seed"]).mean()
            each = found.groupby("params")
            squares += ((found - each.transform("mean")) ** 2).sum()
            freedom += len(found) - each.ngroups
        spread = float(np.sqrt(squares / freedom))
        seen = share * spread / np.sqrt(2), share * spread * np.sqrt(2)
        lines.append(f"| {label} | {spread:.3f} | {seen[0]:.3f} | {seen[1]:.3f} |")
    return "\n".join(lines)


def draw_series(axes: Axes, series: Mapping[str, pd.Series]) -> None:
    """Means with intervals by data size, side by side."""
    for i, (name, values) in enumerate(series.items()):
        sizes = sorted({int(size) for size in values.index.get_level_values("examples")})
        found = [mean_effect(of_sizes(values, [size])) for size in sizes]
        axes.errorbar(
            [size * 1.06 ** (i - len(series) / 2 + 0.5) for size in sizes],
            [one.value for one in found],
            yerr=[one.high - one.value for one in found],
            fmt="o-",
            capsize=2,
            color=COLOURS[name],
            label=name,
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="downstream jets D")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Effects on the left, mixtures against scratch on the right, as one PNG."""
    losses = by_mixture(frame)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    draw_series(left, {name: effect(losses, weights) for name, weights in EFFECTS.items()})
    draw_series(right, {name: losses[name] - losses["scratch"] for name in CORNERS})
    left.set(ylabel="effect on the test loss")
    left.set_title("Diversity, alignment, and both together", loc="left")
    right.set(ylabel="test loss minus that of scratch")
    right.set_title("What each mixture saves", loc="left")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Write the figure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/factorial/analysis"))
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--epochs", type=int, choices=(2, 8), default=2)
    options = parser.parse_args()
    source = Source(options.epochs)
    if options.export:
        return source.export()
    frame = source.runs
    path = make_folder(options.out) / f"factorial{source.suffix}.png"
    draw(frame, path)
    index = by_mixture(frame).index
    levels = (index.unique("params"), index.unique("examples"))
    pairs = len(index) // len(levels[1])
    saved = {f"{name} - scratch": {name: 1.0, "scratch": -1.0} for name in CORNERS}
    tables = (
        planned(*levels, pairs, source),
        table(frame, EFFECTS | saved),
        doubts(frame, source),
        explanation(frame, source),
        own_rates(source),
    )
    print("\n\n".join(tables))
    print(f"\nfigure: {path}")
    return None


if __name__ == "__main__":
    mpl.use("Agg")
    main()
