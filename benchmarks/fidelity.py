"""How well simulated jets agree with published JetClass jets, class by class.

Claim: a classifier that sees jet-level observables cannot tell simulated from real jets: AUC 0.65
or less (0.5 is perfect) for every class with enough real jets. Usage (about 8 minutes, one core):

    python benchmarks/fidelity.py --data FOLDER

FOLDER (or JETSCALE_TEST_DATA) holds published jets as NumPy files: ``jetclass_hbb_2000.npz``,
``jetclass_500/`` and ``jetclass_top_100/``; simulated jets are matched to them in 25 GeV bins of
pT. One observable at a time: mean (standard deviation), the 1-Wasserstein distance in real standard
deviations, the Kolmogorov-Smirnov distance, and the AUC of the observable by itself. All together:
gradient boosting (scikit-learn), AUC of scores from 5-fold cross-validation, with DeLong's 95 %
interval. Subjettiness is computed by FastJet from the listed constituents of either side.
"""

import argparse
import os
import platform
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import awkward as ak
import fastjet
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split

from jetscale.executor import process_pool
from jetscale.jets.observables import TAUS, Constituents, jet_observables, tau_ratios
from jetscale.jets.production.production import Production
from jetscale.jets.schema import JETCLASS, PART_FLAGS

Floats = NDArray[np.float64]
EDGES = np.arange(500.0, 1001.0, 25.0)
SHOWN = (
    "multiplicity", "below_1_gev", "below_2_gev", "below_5_gev", "leading_1", "pt_dispersion",
    "mass", "angularity_1", "angularity_2", "pt_within_0.2", "largest_distance", "tau21", "tau32",
)  # fmt: skip
PER_REAL = 10  # simulated jets per real one, at most
REPEATS = 2  # cross-validations averaged
TYPES = [name.removeprefix("part_is") for name in PART_FLAGS]


def read_real(folder: Path) -> dict[str, list[Constituents]]:
    """Real jets of each class, one entry per source; the large H -> bb sample stands alone."""
    hbb = np.load(folder / "jetclass_hbb_2000.npz")
    small = {n: np.load(folder / "jetclass_500" / f"{n}.npy") for n in ("labels", *_ARRAYS)}
    top = folder / "jetclass_top_100"
    vectors, mask = np.load(top / "pf_vectors.npy"), np.load(top / "pf_mask.npy")
    found = {}
    for k, name in enumerate(JETCLASS):
        of_class = small["labels"].argmax(axis=1) == k
        found[name] = [Constituents.of_padded(*(small[n][of_class] for n in _ARRAYS))]
    found["Tbqq"].append(Constituents.of_padded(vectors, mask))
    found["Hbb"] = [Constituents.of_padded(hbb["pfVectors"], hbb["pfMask"])]
    return found


_ARRAYS = ("pfVectors", "pfMask")


def joined(parts: list[Constituents]) -> Constituents:
    counts = np.concatenate([np.diff(part.start) for part in parts])
    flat = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("px", "py", "pz", "energy")
    }
    return Constituents(start=np.concatenate([[0], np.cumsum(counts)]), **flat)


def jet_pt(jets: Constituents) -> Floats:
    return np.hypot(jets.sums(jets.px), jets.sums(jets.py))


def matched(real: Floats, simulated: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Simulated jets with the pT spectrum of the real ones, in 25 GeV bins."""
    times = int(np.clip(len(simulated) // len(real), 1, PER_REAL))
    wanted = times * np.histogram(real, EDGES)[0]
    bins = np.digitize(simulated, EDGES) - 1
    rows = [rng.permutation(np.flatnonzero(bins == b))[:n] for b, n in enumerate(wanted)]
    return np.sort(np.concatenate(rows))


def observables(jets: Constituents) -> tuple[list[str], Floats]:
    """Names and values, with the ratios of N-subjettiness of the constituents."""
    names, values = jet_observables(jets)
    momenta = {"px": jets.px, "py": jets.py, "pz": jets.pz, "E": jets.energy}
    particles = ak.unflatten(ak.zip(momenta), np.diff(jets.start))
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 3.0)
    cluster = fastjet.ClusterSequence(particles, whole)
    tau = ak.to_numpy(cluster.njettiness(njets=[1, 2, 3, 4], beta=1.0, R0=0.8))
    ratios = tau_ratios({name: tau[:, i] for i, name in enumerate(TAUS)})
    return [*names, *ratios], np.column_stack([values, *ratios.values()])


def auc(real: Floats, simulated: Floats) -> tuple[float, float]:
    """AUC of one number, and its standard error (DeLong et al., Biometrics 44 (1988) 837)."""
    m, n = len(simulated), len(real)
    ranks = stats.rankdata(np.concatenate([simulated, real]))
    above = (ranks[:m] - stats.rankdata(simulated)) / n
    below = 1 - (ranks[m:] - stats.rankdata(real)) / m
    return float(above.mean()), float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))


def model(seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=8, class_weight="balanced",
        random_state=seed,
    )  # fmt: skip


def classifier_auc(real: Floats, simulated: Floats) -> tuple[float, float]:
    """AUC with standard error of boosted trees, from scores of jets not trained on."""
    x = np.concatenate([real, simulated])
    y = np.repeat([0, 1], [len(real), len(simulated)])
    scores = [
        cross_val_predict(
            model(seed), x, y, method="predict_proba",
            cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        )[:, 1]
        for seed in range(REPEATS)
    ]  # fmt: skip
    score = np.mean(scores, axis=0)
    return auc(score[y == 0], score[y == 1])


def print_row(name: str, real: Floats, simulated: Floats) -> None:
    alone, _ = auc(real, simulated)
    print(
        f"| {name} | {real.mean():.4g} ({real.std():.3g}) "
        f"| {simulated.mean():.4g} ({simulated.std():.3g}) "
        f"| {stats.wasserstein_distance(real, simulated) / real.std():.3f} "
        f"| {stats.ks_2samp(real, simulated).statistic:.3f} | {alone:.3f} |"
    )


def print_observables(title: str, real: Constituents, simulated: Constituents) -> None:
    names, x = observables(real)
    _, y = observables(simulated)
    print(f"\n### {title}: {len(x)} real, {len(y)} simulated\n")
    print(
        "| observable | real | simulated | Wasserstein / sd | KS | AUC |\n|---|---|---|---|---|---|"
    )
    log_pt = [np.log(np.hypot(jets.px, jets.py)) for jets in (real, simulated)]
    print_row("ln pT of constituents", *log_pt)
    for name in SHOWN:
        k = names.index(name)
        print_row(name, x[:, k], y[:, k])


def print_auc(name: str, real: Floats, simulated: Floats) -> None:
    area, error = classifier_auc(real, simulated)
    low, high = np.clip([area - 1.96 * error, area + 1.96 * error], 0, 1)
    print(
        f"| {name} | {len(real)} | {len(simulated)} | {area:.3f} | {low:.3f} to {high:.3f} |",
        flush=True,
    )


def print_classifiers(real: dict[str, Floats], simulated: dict[str, Floats]) -> None:
    print("\n## Classifier: simulated against real\n")
    print("| class | real | simulated | AUC | 95 % interval |\n|---|---|---|---|---|")
    for name in JETCLASS:
        print_auc(name, real[name], simulated[name])
    hbb, model_hbb = real["Hbb"], simulated["Hbb"]
    half = len(hbb) // 2
    print_auc("Hbb, first half of the real jets", hbb[:half], model_hbb[::2])
    print_auc("Hbb, second half", hbb[half:], model_hbb[1::2])
    few = {name: simulated[name][: 10 * len(real[name])] for name in JETCLASS if name != "Hbb"}
    rest = np.concatenate([real[name] for name in few])
    print_auc("nine classes without Hbb, pooled", rest, np.concatenate(list(few.values())))
    print_auc("control: simulated against simulated Hbb", model_hbb[::2], model_hbb[1::2])
    print_auc("control: real against real Hbb", hbb[::2], hbb[1::2])


def print_scatter(simulated: dict[str, Floats]) -> None:
    """How far the AUC of a small class strays from 0.5 where there is nothing to tell."""
    rng, areas = np.random.default_rng(0), []
    for trial in range(len(JETCLASS)):
        of_class = rng.permutation(simulated[JETCLASS[trial]])
        areas.append(classifier_auc(of_class[:50], of_class[50:550])[0])
    print(
        "\nControl, 50 simulated jets against up to 500 others of their class, once per class: AUC "
        f"{np.mean(areas):.3f}, standard deviation {np.std(areas):.3f}, "
        f"{min(areas):.3f} to {max(areas):.3f}"
    )


def print_importance(names: list[str], real: Floats, simulated: Floats) -> None:
    """What the classifier uses: loss of AUC when an observable is shuffled in held-out jets."""
    x, y = np.concatenate([real, simulated]), np.repeat([0, 1], [len(real), len(simulated)])
    fit_x, test_x, fit_y, test_y = train_test_split(x, y, test_size=0.4, random_state=0, stratify=y)
    trained = model(0).fit(fit_x, fit_y)
    told: Any = permutation_importance(
        trained, test_x, test_y, scoring="roc_auc", n_repeats=10, random_state=0
    )
    print("\n## What the Hbb classifier uses\n\n| observable | AUC lost when shuffled |\n|---|---|")
    for k in np.argsort(-told.importances_mean)[:6]:
        print(f"| {names[k]} | {told.importances_mean[k]:.4f} +- {told.importances_std[k]:.4f} |")


def real_tops(folder: Path) -> dict[str, Floats]:
    """Constituents of the 100 tops that come with types and impact parameters (as tanh)."""
    top = folder / "jetclass_top_100"
    inside = np.load(top / "pf_mask.npy")[:, 0] > 0
    rows = np.load(top / "pf_features.npy").transpose(0, 2, 1)[inside].astype(np.float64)
    momentum = np.load(top / "pf_vectors.npy").transpose(0, 2, 1)[inside].astype(np.float64)
    names = {"d0": 11, "d0_error": 12, "dz": 13, "dz_error": 14}
    columns = {name: rows[:, k] for name, k in names.items()}
    columns["jet"] = np.nonzero(inside)[0].astype(np.float64)
    return columns | {
        "kind": rows[:, 6:11].argmax(axis=1), "pt": np.hypot(momentum[:, 0], momentum[:, 1])
    }  # fmt: skip


def simulated_tops(table: pa.Table) -> dict[str, Floats]:
    def flat(name: str) -> Floats:
        flat_column = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat_column, dtype=np.float64)

    counts = table["part_px"].combine_chunks().value_lengths().to_numpy()
    return {
        "jet": np.repeat(np.arange(len(table)), counts).astype(np.float64),
        "kind": np.stack([flat(name) for name in PART_FLAGS], axis=1).argmax(axis=1),
        "pt": np.hypot(flat("part_px"), flat("part_py")),
        "d0": np.tanh(flat("part_d0val")),
        "dz": np.tanh(flat("part_dzval")),
        "d0_error": np.minimum(flat("part_d0err"), 1),
        "dz_error": np.minimum(flat("part_dzerr"), 1),
    }


def print_types(real: dict[str, Floats], simulated: dict[str, Floats]) -> None:
    print("\n## Constituent types and tracks: 100 real tops\n")
    print("| per jet | real | simulated |\n|---|---|---|")
    for k, name in enumerate(TYPES):
        for what in ("number", "share of pT"):
            runs = []
            for side in (real, simulated):
                jet, weight = side["jet"].astype(int), side["pt"]
                chosen = side["kind"] == k
                each = np.bincount(jet[chosen], minlength=jet.max() + 1).astype(float)
                if what != "number":
                    part = np.bincount(jet[chosen], weight[chosen], jet.max() + 1)
                    each = part / np.bincount(jet, weight)
                runs.append(f"{each.mean():.3f} +- {each.std() / np.sqrt(len(each)):.3f}")
            print(f"| {name}, {what} | {runs[0]} | {runs[1]} |")
    print("\n| charged hadrons, quantiles | real | simulated |\n|---|---|---|")
    for name in ("d0", "dz", "d0_error", "dz_error"):
        runs = []
        for side in (real, simulated):
            values = np.abs(side[name][side["kind"] == 0])
            shown = (f"{q:.4f}" for q in np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9, 0.95]))
            runs.append(" ".join(shown))
        label = f"abs tanh {name}" if name in ("d0", "dz") else f"{name} (mm)"
        print(f"| {label}: 10 25 50 75 90 95 % | {runs[0]} | {runs[1]} |")


def simulate(jets: int, seed: int, workers: int) -> dict[str, pa.Table]:
    job = Production(corpus="jetclass", role="test", jets=jets, seed=seed)
    with process_pool(workers) as pool:
        table = pa.concat_tables(list(job.tables(pool)))
    told = job.provenance()
    rates = [s["accepted"] / s["cpu_seconds"] for s in told["sources"].values()]
    versions = [*told["versions"].items(), ("scikit-learn", version("scikit-learn"))]
    print(
        f"{date.today()}, {platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {number}" for name, number in versions)
        + f"; {jets} jets simulated with seed {seed}, {np.mean(rates):.0f} accepted per CPU s"
    )
    return {name: table.filter(pc.equal(table["jet_label"], k)) for k, name in enumerate(JETCLASS)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulated against published jets.")
    parser.add_argument("--data", type=Path, default=os.environ.get("JETSCALE_TEST_DATA"))
    parser.add_argument("--jets", type=int, default=30_000, help="simulated, all ten classes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.data is None or not (options.data / "jetclass_hbb_2000.npz").is_file():
        sys.exit("no published jets: name their folder with --data or JETSCALE_TEST_DATA")
    real = {name: joined(parts) for name, parts in read_real(options.data).items()}
    tables = simulate(options.jets, options.seed, options.workers)
    print("\n## Observables")
    rng, seen, made = np.random.default_rng(options.seed), {}, {}
    for name in JETCLASS:
        every = Constituents.of_table(tables[name])
        tables[name] = tables[name].take(matched(jet_pt(real[name]), jet_pt(every), rng))
        chosen = Constituents.of_table(tables[name])
        print_observables(name, real[name], chosen)
        names, seen[name] = observables(real[name])
        made[name] = observables(chosen)[1]
    print_classifiers(seen, made)
    print_scatter(made)
    print_importance(names, seen["Hbb"], made["Hbb"])
    print_types(real_tops(options.data), simulated_tops(tables["Tbqq"]))


if __name__ == "__main__":
    main()
