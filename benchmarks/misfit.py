"""Whether 95% intervals hold where the law is wrong, noise is uneven and runs share a trunk.

Claims: 95% prediction intervals hold 93 to 97% of runs up to a decade of compute beyond the fit,
also where losses follow another law than the one fitted; where it is right they are at most 1.5
times wider than without misfit; the test of misfit errs in 5% of tables; L*, N* and a are held
where noise grows with D and where runs of one trunk err together. A richer law is chosen only
where it is needed, and then forecasts nearer and with narrower intervals. Exponents of the two
halves of a real table agree within their intervals. Usage (about 8, 4, 1, 8, 1 and 2 minutes on one
core; the last two need a real table, any that `jetscale fit --runs` reads):

    OMP_NUM_THREADS=1 python benchmarks/misfit.py forecasts --simulations 100
    OMP_NUM_THREADS=1 python benchmarks/misfit.py parameters --simulations 100
    OMP_NUM_THREADS=1 python benchmarks/misfit.py test --simulations 400
    OMP_NUM_THREADS=1 python benchmarks/misfit.py choice --simulations 40
    OMP_NUM_THREADS=1 python benchmarks/misfit.py real --runs TABLE.csv
    OMP_NUM_THREADS=1 python benchmarks/misfit.py halves --runs TABLE.csv [--law overfit]
    ... halves --runs TABLE.csv --seen 1      (or inf, or --uncertainty cells: other intervals)

A simulation fits one made-up table and looks at five runs beyond it: both sizes larger, one of
them, and between. ``law alone`` are intervals from the same replicates of the law with the same
noise and no misfit, as they were made before.
"""

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from comparison import SEEN

from jetscale.errors import FitError
from jetscale.scaling import components, fit, read_runs
from jetscale.scaling.bootstrap import Replicates, resample
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import percentile_interval
from jetscale.scaling.fitted import Settings
from jetscale.scaling.table import validate

COST = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
N0, D0 = 1e8, 5e9
Sizes = np.ndarray
Surface = Callable[[Sizes, Sizes], Sizes]


def bent(n: Sizes, d: Sizes) -> Sizes:
    """Both exponents fall with size, by .055 and .037 a decade."""
    x, y = np.log(n / N0), np.log(d / D0)
    by_params = 480 * N0**-0.35 * np.exp(-0.35 * x + 0.012 * x**2)
    return np.asarray(1.8 + by_params + 2100 * D0**-0.37 * np.exp(-0.37 * y + 0.008 * y**2))


def steeper(n: Sizes, d: Sizes) -> Sizes:
    """The exponent of N rises with it."""
    x = np.log(n / N0)
    by_params = 480 * N0**-0.35 * np.exp(-0.35 * x - 0.010 * x**2)
    return np.asarray(1.8 + by_params + 2100 * d**-0.37)


TRUTHS: dict[str, Surface] = {
    "the law": lambda n, d: laws.loss(TRUTH, n, d),
    "bent exponents": bent,
    "steepening": steeper,
    "outer power": lambda n, d: 1.7 + (480**1.4 * n**-0.5 + 2100**1.4 * d**-0.52) ** 0.7,
    "plateau": lambda n, d: laws.loss(TRUTH, n, d) + 0.15 / (1 + (n / 3e8) ** 0.8),
    "interaction": lambda n, d: laws.loss(TRUTH, n, d) + 6e4 * n**-0.28 * d**-0.28,
    "knee": lambda n, d: 1.7 + 480 * n**-0.35 + 2100 * d**-0.37 * (1 + (d / 1e10) ** 1.5) ** 0.1,
}


def cells(kind: str) -> tuple[Sizes, Sizes]:
    """N and D of the cells of a full grid ``6x6`` or of seven sizes at six budgets."""
    if kind == "isoflop":
        budget, ratio = np.geomspace(1e18, 1e21, 6)[:, None], np.geomspace(0.2, 5, 7)
        n = np.sqrt(budget / 120) * ratio
        return n.ravel(), (budget / 6 / n).ravel()
    rows, columns = map(int, kind.split("x"))
    axes = np.geomspace(1e7, 1e9, rows), np.geomspace(2e8, 1e11, columns)
    n, d = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    return n, d


def simulate(
    rng: np.random.Generator,
    surface: Surface,
    kind: str,
    seeds: int,
    noise: float = 0.005,
    rough: float = 0.0,
    growth: float = 0.0,
    trunk: float = 0.0,
    drift: float = 0.0,
    memory: float = 0.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs, and five runs up to a decade of compute beyond them.

    ``growth`` is the power of D the noise follows. A trunk, one per N and seed, moves its runs by
    ``trunk``, and by ``drift`` times log10 D about the middle; ``memory`` is the correlation of
    the noise of its neighbouring runs.
    """
    n, d = cells(kind)
    number = np.repeat(np.arange(len(n)), seeds)
    table = pd.DataFrame({"params": n[number], "examples": d[number], "cell": number})
    table["seed"] = np.tile(np.arange(seeds), len(n))
    largest = int(np.argmax(n * d))
    s, big = np.sqrt(10), np.array([n[largest], d[largest]])
    held = pd.DataFrame(big * [[s, s], [10, 1], [1, 10], [3, 3], [1.7, 1.7]])
    held.columns = pd.Index(["params", "examples"])
    for rows in (table, held):
        n, d = rows["params"].to_numpy(), rows["examples"].to_numpy()
        off = noise * (d / D0) ** growth * rng.normal(size=len(n))
        if rows is table:
            effects = rough * rng.normal(size=number.max() + 1)[number]
            off += effects * (d / D0) ** growth
            label = table.groupby(["params", "seed"]).ngroup().to_numpy()
            moves = rng.normal(size=(2, label.max() + 1))[:, label]
            off += trunk * moves[0] + drift * moves[1] * np.log10(d / D0)
            if memory:  # an autoregression along D, runs of a trunk being ordered by it
                for one in range(label.max() + 1):
                    places = np.flatnonzero(label == one)
                    for first, second in pairwise(places):
                        fresh = noise * rng.normal() * np.sqrt(1 - memory**2)
                        off[second] = memory * off[first] + fresh
            if trunk or drift or memory:
                table["trunk"] = label.astype(str)
        else:
            off += rough * rng.normal(size=len(n))
        rows["loss"] = surface(n, d) * np.exp(off)
    return table, held


def fitted(runs: pd.DataFrame, replicates: int, seed: int, method: str) -> tuple[Sizes, Replicates]:
    """Parameters and replicates, with the width of the Huber loss that `fit` would take."""
    spread = np.log(runs["loss"]).groupby(runs["cell"]).var().mean()
    objective = Objective("huber", max(1e-3, 2.5 * np.sqrt(spread)) if spread > 0 else 1e-3)
    family = Family(CHINCHILLA, Centred.from_runs(runs))
    q = family.fit(np.ones((1, len(runs))), objective).q
    drawn = resample(family, q, runs, objective, replicates, seed, method)[0]
    return family.theta(q, 0)[0], drawn


def forecast(drawn: Replicates, held: pd.DataFrame, seed: int) -> tuple[Sizes, Sizes]:
    """95% prediction intervals (k, 2) of runs, with misfit and of the law alone."""
    n, d = held["params"].to_numpy(), held["examples"].to_numpy()
    noise = drawn.outlook.noise(n, d, np.ones(len(n)))
    noise *= np.random.default_rng(seed).standard_normal(noise.shape)
    both = drawn.outlook.losses(n[:, None], d[:, None])[:, 1:]
    alone = drawn.outlook.seen.law.loss(drawn.theta, n[:, None], d[:, None])
    made = [np.log(losses) + noise for losses in (both, alone)]
    ends = [[percentile_interval(row, len(drawn.cells)) for row in rows] for rows in made]
    return np.exp(ends[0]), np.exp(ends[1])


CASES = [
    ("6x6", 2, {}),
    ("6x6", 1, {}),
    ("isoflop", 1, {}),
    ("4x5", 2, {"noise": 0.01, "rough": 0.005}),
    ("6x6", 1, {"noise": 0.01, "rough": 0.01}),
]


def forecasts(simulations: int, replicates: int) -> Iterator[str]:
    yield "| truth | cells, seeds | noise | held | by run | width | of law alone |"
    yield "|---|---|---|---|---|---|---|"
    for kind, seeds, how in CASES:
        for name, surface in TRUTHS.items():
            found, width, plain = [], [], []
            for i in range(simulations):
                runs, held = simulate(np.random.default_rng(i), surface, kind, seeds, **how)
                _, drawn = fitted(runs, replicates, i, "components")
                both, alone = forecast(drawn, held, i)
                measured = held["loss"].to_numpy()
                found.append((both[:, 0] <= measured) & (measured <= both[:, 1]))
                width.append(np.log(both[:, 1] / both[:, 0]))
                plain.append(np.log(alone[:, 1] / alone[:, 0]))
            share = np.mean(found, axis=0)
            noise = f"{how.get('noise', 0.005):.1%}" + (
                f" + cells {how['rough']:.1%}" if "rough" in how else ""
            )
            each = " ".join(f"{value:.2f}" for value in share)
            yield (
                f"| {name} | {kind}, {seeds} | {noise} | {share.mean():.3f} | {each} | "
                f"{np.median(width):.4f} | {np.median(np.divide(width, plain)):.2f} |"
            )


TABLES: list[tuple[str, str, int, str, dict[str, float]]] = [
    ("even noise", "6x6", 2, "components", {"noise": 0.01}),
    ("noise grows 4-fold with D", "6x6", 2, "components", {"noise": 0.01, "growth": 0.223}),
    ("noise falls 4-fold with D", "6x6", 2, "components", {"noise": 0.01, "growth": -0.223}),
    (
        *("noise and effects of cells grow 4-fold with D", "6x6", 2, "components"),
        {"noise": 0.01, "rough": 0.01, "growth": 0.223},
    ),
    ("trunks", "6x6", 2, "trunks", {"noise": 0.01, "trunk": 0.01}),
    ("trunks of unlike slope", "6x6", 2, "trunks", {"noise": 0.01, "trunk": 0.01, "drift": 0.01}),
    ("trunks of very unlike slope", "6x6", 2, "trunks", {"noise": 0.005, "drift": 0.02}),
    ("noise of neighbours along a trunk alike", "6x6", 2, "trunks", {"noise": 0.01, "memory": 0.8}),
    ("trunks of unlike slope, one seed", "8x6", 1, "trunks", {"trunk": 0.005, "drift": 0.005}),
]


def quantities(theta: Sizes) -> Sizes:
    best = laws.optimum(theta, 1e21, COST)
    exponent = laws.exponents(theta, COST)[0]
    return np.stack([theta[..., 4], exponent, np.log(best.params), best.loss])


def parameters(simulations: int, replicates: int) -> Iterator[str]:
    yield "| runs of the law with | cells, seeds | beta | a | N* | L* | median width of a |"
    yield "|---|---|---|---|---|---|---|"
    exact = quantities(TRUTH)
    for name, kind, seeds, method, how in TABLES:
        hits, widths = [], []
        for i in range(simulations):
            runs = simulate(np.random.default_rng(i), TRUTHS["the law"], kind, seeds, **how)[0]
            drawn = fitted(runs, replicates, i, method)[1]
            ends = [percentile_interval(v, len(drawn.cells)) for v in quantities(drawn.theta)]
            hits.append([low <= v <= high for (low, high), v in zip(ends, exact, strict=True)])
            widths.append(ends[1][1] - ends[1][0])
        shares = " | ".join(f"{value:.3f}" for value in np.mean(hits, axis=0))
        yield f"| {name} | {kind}, {seeds} | {shares} | {np.median(widths):.4f} |"


def test(simulations: int, replicates: int) -> Iterator[str]:
    yield "| truth | cells, seeds | noise | p < .05 | p < .01 |"
    yield "|---|---|---|---|---|"
    chosen = ("the law", "bent exponents", "outer power", "interaction", "knee")
    cases = [("the law", "6x6", 1, {"growth": 0.223}), ("the law", "isoflop", 1, {"growth": 0.223})]
    cases += [(name, kind, s, {}) for name in chosen for kind, s in (("6x6", 1), ("isoflop", 1))]
    cases += [(name, "8x8", 1, {"noise": 0.002}) for name in chosen]
    cases += [("the law", "6x6", 2, {"rough": 0.005})]
    for name, kind, seeds, how in cases:
        found = []
        for i in range(simulations if name == "the law" else simulations // 4):
            runs = simulate(np.random.default_rng(i), TRUTHS[name], kind, seeds, **how)[0]
            parts = fitted(runs, 1, i, "components")[1].components
            assert parts is not None
            found.append(parts.p_value)
        said = ", ".join(f"{key} {value:g}" for key, value in how.items()) or "even 0.005"
        shares = [np.mean(np.less(found, level)) for level in (0.05, 0.01)]
        yield f"| {name} | {kind}, {seeds} | {said} | {shares[0]:.3f} | {shares[1]:.3f} |"


def choice(simulations: int, replicates: int) -> Iterator[str]:
    yield "| truth | cells, seeds | noise | chosen | held | width | error | held | width | error |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for kind, seeds, how in CASES[:4]:
        for name, surface in TRUTHS.items():
            laws_, parts = [], []
            for i in range(simulations):
                runs, held = simulate(np.random.default_rng(i), surface, kind, seeds, **how)
                table, truth = runs.drop(columns="cell").assign(mixture="m"), surface(*sizes(held))
                for law in ("chinchilla", "auto"):
                    found = fit(table, law=law, replicates=replicates)
                    ends, _ = forecast(found["m"].replicates, held, i)
                    measured, best = held["loss"].to_numpy(), found["m"].losses(*sizes(held, 1))
                    inside = (ends[:, 0] <= measured) & (measured <= ends[:, 1])
                    off = np.log(best[:, 0] / truth)
                    parts.append([inside, np.log(ends[:, 1] / ends[:, 0]), off**2])
                laws_.append(found.options.law)
            counts = ", ".join(f"{law} {laws_.count(law)}" for law in sorted(set(laws_)))
            noise = f"{how.get('noise', 0.005):.1%}"
            shown = [f"| {name} | {kind}, {seeds} | {noise} | {counts}"]
            for own in (np.array(parts[::2]), np.array(parts[1::2])):
                share, width, error = (
                    own[:, 0].mean(),
                    np.median(own[:, 1]),
                    own[:, 2].mean() ** 0.5,
                )
                shown.append(f"{share:.3f} | {width:.4f} | {error:.2%}")
            yield " | ".join(shown) + " |"


def sizes(held: pd.DataFrame, columns: int = 0) -> tuple[Sizes, Sizes]:
    n, d = (held[name].to_numpy() for name in ("params", "examples"))
    return (n[:, None], d[:, None]) if columns else (n, d)


def real(path: Path) -> Iterator[str]:
    table = validate(read_runs(path))
    compute = table["params"] * table["examples"]
    largest = np.sort(table["params"].unique())
    cuts = {f"the {k} largest N": table["params"] >= largest[-k] for k in (1, 3, 6, 10)}
    cuts |= {f"C above 1/{k} of the largest": compute > compute.max() / k for k in (3, 10, 30, 100)}
    columns = "inside | error of law alone | error | half width"
    yield f"| left out | runs | inside by law alone | {columns} | auto | {columns} |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for name, out in cuts.items():
        held, reduced = table[out], table[~out].drop(columns="cell")
        if (
            reduced["params"].nunique() < 3
            or reduced[["params", "examples"]].value_counts().size < 9
        ):
            continue  # no law is left
        measured, shown = held["loss"].to_numpy(), [f"| {name} | {len(held)}"]
        for law in ("chinchilla", "auto"):
            found = fit(reduced, law=law, replicates=199)
            one = next(iter(found.mixtures.values()))
            ends, alone = forecast(one.replicates, held, 0)
            inside = [
                int(((e[:, 0] <= measured) & (measured <= e[:, 1])).sum()) for e in (ends, alone)
            ]
            best = one.losses(*sizes(held, 1))[:, 0], one.curve(*sizes(held))
            errors = [np.sqrt(np.mean(np.log(measured / value) ** 2)) for value in best]
            half = np.median(np.log(ends[:, 1] / ends[:, 0])) / 2
            shown.append(found.options.law if law == "auto" else f"{inside[1]}")
            shown.append(f"{inside[0]} | {errors[1]:.2%} | {errors[0]:.2%} | {half:.2%}")
        yield " | ".join(shown) + " |"


def halves(path: Path, law: str, replicates: int, uncertainty: str | None) -> Iterator[str]:
    """Exponents a of both halves of every mixture, cut where half of its runs lie on either side.

    Their distance is given over what both intervals leave between them: beyond 1 they disagree.
    """
    table = validate(read_runs(path)).drop(columns="cell")
    yield "| mixture | cut by | runs | a below | a above | distance |"
    yield "|---|---|---|---|---|---|"
    distances: list[float] = []
    how: Settings = {"law": law, "replicates": replicates, "uncertainty": uncertainty}
    for mixture, runs in table.groupby("mixture"):
        n, d = np.log(runs["params"]), np.log(runs["examples"])
        for cut, place in {"N": n, "D": d, "N D": n + d, "D / N": d - n}.items():
            below = place <= place.median()
            parts = runs[below], runs[~below]
            shown = f"| {mixture} | {cut} | {len(parts[0])}, {len(parts[1])} |"
            try:
                ends = [fit(part, **how)[str(mixture)]["a"] for part in parts]
            except FitError as none:
                yield f"{shown} {none} | | |"
                continue
            low, high = sorted(ends, key=lambda a: a.value)
            left = np.hypot(high.value - high.low, low.high - low.value)
            distances.append((high.value - low.value) / left)
            yield f"{shown} {ends[0]} | {ends[1]} | {distances[-1]:.2f} |"
    rms, beyond = np.sqrt(np.mean(np.square(distances))), np.greater(distances, 1).sum()
    yield f"\nRMS {rms:.2f} of {len(distances)}, {beyond} beyond 1; RMS 0.51 and 5% are expected"


def main() -> None:
    tables = {made.__name__: made for made in (forecasts, parameters, test, choice)}
    parser = argparse.ArgumentParser()
    parser.add_argument("table", choices=(*tables, "real", "halves"))
    parser.add_argument("--runs", type=Path, help="A run table, for real of one mixture.")
    parser.add_argument("--law", default="chinchilla", help="The law of halves.")
    parser.add_argument("--uncertainty", help="Intervals of halves, e.g. cells: no misfit.")
    parser.add_argument("--seen", type=float, default=0.5, help=SEEN)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--replicates", type=int, default=199)
    options = parser.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, numpy {np.__version__}\n")
    components._SEEN = options.seen
    seconds = time.process_time()
    if options.table == "real":
        lines = real(options.runs)
    elif options.table == "halves":
        lines = halves(options.runs, options.law, options.replicates, options.uncertainty)
    else:
        lines = tables[options.table](options.simulations, options.replicates)
    for line in lines:
        print(line, flush=True)
    print(f"\n{time.process_time() - seconds:.0f} CPU s")


if __name__ == "__main__":
    main()
