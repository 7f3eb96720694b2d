"""Tables of what the analysis found; measured things first, fitted laws after them.

Everything fits 80 columns for mixtures named in up to 12 characters. What may be said is decided in
the values shown, not here. The whole of every check, cell by cell, is in the JSON and the report.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jetscale import scaling, words
from jetscale.analysis import Analysis
from jetscale.display.console import instead_of_loss, note, say, show_table
from jetscale.scaling import Diagnostics, MixtureConventions, StudyFit
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED
from jetscale.scaling.engine.laws import PARAMETERS
from jetscale.scaling.goal import Answers

_MANY = 10  # pairs from which those without the baseline are told in short
_SHORT = {"6ND without embedding": "no embedding"}


def show_analysis(found: Analysis) -> None:
    """Show the measured part, the part with laws, and a line for what is missing."""
    with instead_of_loss(found.quantity):
        _show_parts(found)
    if found.metric is not None:
        show_metric(found.metric)


def _show_parts(found: Analysis) -> None:
    if found.unlike:
        say(f"Beware: {found.unlike}.")
    if found.routes and found.comparison is None:
        say(found.headline)
    if found.paired is not None:
        show_paired(found.paired)
    if found.comparison is not None:
        show_comparison(found.comparison)
    elif found.fits is not None and "comparison" not in found.missing:
        show_fit(found.fits)
        show_routes(found.routes)
        if found.diagnostics is not None:
            show_checks(found.fits, found.diagnostics, found.conventions)
    if found.comparison is not None or "comparison" in found.missing:
        show_shifts(found.route_shifts)
    _lines(found.reasons)


def show_shifts(shifts: Sequence[scaling.RouteShift]) -> None:
    """Show differences of exponents by route; of many pairs those that are shown, and a count."""
    many = {route for route, n in Counter(s.route for s in shifts).items() if n > _MANY}
    folded = [s for s in shifts if s.route in many and not s.shown]
    _lines(f"by {shift.clause}" for shift in shifts if shift not in folded)
    for route, count in Counter(shift.route for shift in folded).items():
        say(f"- by {route}: no shift shown: {words.counted(count, 'pair')}")


def show_metric(found: Answers) -> None:
    """Show the link from the loss and what doubles the score, or halves its distance from 1."""
    goal = {"inverse": f"doubles {found.metric.name}", "missing": "halves the errors"}
    say(f"What {goal.get(found.metric.kind, f'halves {found.metric.name}')}, by extrapolation:")
    _lines(one.text for one in found.goals)
    if found.link is not None:
        say(f"- {found.link.text}")


def show_paired(study: scaling.PairedStudy) -> None:
    """Show loss differences and effective data by data size; of many pairs the baseline's."""
    named = [p for p in study.pairs if len(study.pairs) <= _MANY or p.baseline == study.baseline]
    whole = [pair for pair in named if pair.listed]
    for pair in whole:
        rows, searched = [], pair.overall.recipe is not None
        for row in (*pair.listed, pair.overall):
            size = "all" if row.examples is None else words.short(row.examples)
            factor, shown = row.data_factor, ""
            if factor is not None:
                known = factor.low == factor.low and factor.high == factor.high  # not nan
                text = words.ranged(factor, words.times) if known else words.times(factor.value)
                shown = f"{factor.bound} x{text}".strip()
            lower = f"{row.n_lower} of {row.n_pairs}"
            rate = ("–" if row.recipe is None else f"± {row.recipe:.3f}",) if searched else ()
            rows.append((size, words.difference(row.difference), *rate, lower, shown))
        title = f"Measured: loss of {pair.mixture} minus {pair.baseline}, same N, D and seed"
        rate = ("rates",) if searched else ()
        show_table(title, ("D", "difference", *rate, "lower in", "effective data"), rows)
        if pair.single_sizes:
            note(f"{pair.single_sizes} data sizes at which one model size was run are not listed.")
    if others := [pair for pair in study.pairs if pair not in whole]:
        overall = (
            (
                *(pair.mixture, pair.baseline, words.difference(pair.overall.difference)),
                f"{pair.overall.n_lower} of {pair.overall.n_pairs}",
            )
            for pair in others
        )
        columns = ("mixture", "minus", "difference", "lower in")
        title = "Measured: loss differences of the other pairs, all D"
        show_table(title, columns, overall, left=2)
    if any(pair.overall.recipe is not None for pair in study.pairs):
        note("Rates: how much of a difference may be the learning rates, from their search.")
    note(
        "95% intervals over model sizes (all: D averaged within each); the test set and training "
        "subsets that all sizes share are not covered. Effective data: by which factor the "
        "baseline would need more data to reach the same loss; < and > are limits, where a loss "
        "lies beyond its curve."
    )
    _lines(words.grouped("not paired", study.not_paired))


def show_fit(fits: StudyFit) -> None:
    """Show frontier exponents and law of every mixture, and whatever is not identified."""
    fitted, first = fits.mixtures.items(), next(iter(fits.mixtures.values()))
    ends = [(name, *map(words.starred, (one["a"], one["b"])), one.n_cells) for name, one in fitted]
    columns = ("mixture", "a (params)", "b (data)", "cells")
    show_table("Frontier: N* ~ C^a, D* ~ C^b", columns, ends)
    # under a law about pretraining, mixtures from scratch have fewer parameters than the others
    names = dict.fromkeys(parameter for _, one in fitted for parameter in one.parameters)
    shown = [name for name in names if name not in ("A", "B")]
    for start in range(0, len(shown), 3):  # three numbers with intervals fit a terminal
        part, rows = shown[start : start + 3], []
        for name, one in fitted:
            values = [one.parameters.get(parameter) for parameter in part]
            rows.append((name, *("–" if v is None else words.starred(v, ".2g") for v in values)))
        title = "Further parameters of the law" if start else f"Law: {fits.law}"
        show_table(title, ("mixture", *part), rows)
    shared = ", ".join(fits.options.shared)
    common = f"Common to all mixtures: {shared}. " if shared else ""
    star = _star(e for _, one in fitted for e in (one["a"], one["b"], *one.parameters.values()))
    note(
        f"{star}{common}Objective: {first.objective}. Intervals: "
        f"{fits.interval}; {fits.options.replicates} replicates. Compute: {fits.cost.convention}"
    )
    _lines(fits.warnings)
    _lines(words.folded({name: one.warnings for name, one in fitted}))


def _star(shown: Iterable[scaling.Estimate | None]) -> str:
    """What a star means, where there is one."""
    starred = any(found is not None and not found.identified for found in shown)
    return f"* {NOT_IDENTIFIED}. " if starred else ""


def show_routes(found: Mapping[str, scaling.Routes]) -> None:
    """Show the exponent of N* by every route, and whether the routes agree."""
    if not found:
        return
    names = [route.name for route in next(iter(found.values())).routes]
    rows = [
        (
            mixture,
            *("–" if (a := r.params_exponent) is None else words.starred(a) for r in one.routes),
        )
        for mixture, one in found.items()
    ]
    show_table("Exponent a of N* by route", ("mixture", *names), rows)
    note(
        "isoFLOP: minima of profiles at fixed budgets; envelope: where the next larger size "
        "becomes better. A difference from the law is that of the route on the runs from the same "
        "route on what the law predicts for them."
    )
    _lines(words.grouped("routes", {mixture: one.verdict for mixture, one in found.items()}))
    for name in names:
        lacking = {mixture: why for mixture, one in found.items() if (why := one[name].missing)}
        _lines(words.grouped(f"no exponent by {name}", lacking))


def show_comparison(comparison: scaling.Comparison) -> None:
    """Show differences of exponents, tests, verdicts and ratios, pair by pair."""
    deltas, tests, shifts = [], [], list[scaling.Estimate | None]()
    asked = [test.shared for test in comparison.pairs[0].tests]
    for pair in comparison.pairs:
        both = (pair.delta_params_exponent, pair.delta_params_exponent_shared_floor)
        shifts += both
        deltas.append((pair.a, pair.b, *("–" if d is None else words.starred(d) for d in both)))
        p_values = {test.shared: test.p_value for test in pair.tests}
        shown = [p_values.get(shared) for shared in asked]
        shown.append(pair.permutation.p_value if pair.permutation else None)
        tests.append((pair.a, pair.b, *("–" if p is None else f"{p:.2g}" for p in shown)))
    columns = ("a", "b", "own floors E", "one floor E")
    show_table("Exponent of N*: b minus a", columns, deltas, left=2)
    names = ["one law" if found == PARAMETERS else ", ".join(found) for found in asked]
    title = "Can both laws share it? p-values"
    show_table(title, ("a", "b", *names, "swapped"), tests, left=2)
    note(
        "p, Holm-corrected over pairs: laws that share what heads the column against a law for "
        "each, by bootstrap of the null; swapped: one law, floor included, by permutation of "
        "labels."
    )
    verdicts = {f"{pair.b} minus {pair.a}": pair.verdict for pair in comparison.pairs}
    many = len(verdicts) > _MANY
    told = {name: one for name, one in verdicts.items() if one.claims_shift or not many}
    _lines(f"{name}: {verdict.text}" for name, verdict in told.items())
    for text, count in Counter(v.text for n, v in verdicts.items() if n not in told).items():
        say(f"- {text}: {words.counted(count, 'pair')}")
    for line in words.grouped("independent fits", comparison.unpaired):
        say(f"- {line}: what the cells of each do to its law does not cancel")
    note(
        f"{_star(shifts)}Intervals: {comparison.interval}. A shift of the "
        "exponent is claimed only where p for all exponents is below 0.05, both intervals lie on "
        "the same side of zero and both exponents are identified: a small p alone says that the "
        "curves differ in shape."
    )
    budget = comparison.pairs[0].budget
    note(f"At {budget:.2g} FLOPs, b over a; compute x2: the loss of a takes b half the FLOPs.")
    first = comparison.pairs[0].a
    near = (p for p in comparison.pairs if not many or p.a == first or p.verdict.claims_shift)
    _lines(f"{pair.b} over {pair.a}: {_ratios(pair)}" for pair in near)
    _lines(words.grouped("not compared", comparison.not_compared))


def _ratios(pair: scaling.PairComparison) -> str:
    """The frontiers of a pair at the budget, or that nothing of them is identified."""
    ratios = pair.params_ratio, pair.examples_ratio, pair.compute_multiplier
    shown = (f"x{words.ranged(r, words.times)}{'' if r.identified else ' *'}" for r in ratios)
    known = any(ratio.identified for ratio in ratios)
    return "N* {}, D* {}, compute {}".format(*shown) if known else NOT_IDENTIFIED


def show_allocation(
    allocation: scaling.Allocation, metric: Answers | None = None, *, full: bool = False
) -> None:
    """Show the answer for one budget, and where laws are of a metric its scores.

    A screen of it, or ``full`` with what is nearly as good, prices, floors and every warning.
    """
    with instead_of_loss(metric.metric.quantity if metric else "loss"):
        say(allocation.answer)
        _show_predicted(allocation)
        if allocation.budget.terms:
            note(f"Prices: {allocation.budget.terms}.")
        if full:
            _show_terms(allocation)
            _nearby(allocation)
        _show_measured(allocation)
        if full:
            _show_doubts(allocation)
    if metric is None:
        return
    rows, apart = [], []
    for name, found in allocation.mixtures.items():
        sizes = found.params.value, found.examples.value
        score = metric.score(name, found.loss, *sizes)
        ways = (score.by_law, score.by_loss)
        rows.append((name, *("–" if e is None else words.ranged(e, words.number) for e in ways)))
        apart += [name] if score.apart else []
    columns = ("mixture", f"law of {metric.metric.quantity}", "law of the loss and link")
    show_table(f"{metric.metric.name} of these runs", columns, rows)
    if apart:
        say(f"- {', '.join(apart)}: the two ways to {metric.metric.name} disagree; trust neither")
    show_metric(metric)


def _show_predicted(allocation: scaling.Allocation) -> None:
    """Show the best run of every mixture by its law."""
    by = "laws" if allocation.route == "law" else f"{allocation.route} route"
    title = f"Predicted by the {by} at {allocation.budget.text}"
    title += ", measured model sizes" if allocation.ladder else ""
    several = len(allocation.mixtures) > 1
    rows = (
        (
            name if found.loss.identified else f"{name} *",
            words.ranged(found.params, words.short if allocation.ladder else words.size),
            words.ranged(found.examples, words.size),
            words.loss_interval(found.loss),
            *(() if (won := found.best_share) is None else (words.whole_percent(won),)),
        )
        for name, found in allocation.mixtures.items()
    )
    nouns = f"{allocation.noun}s"
    columns = ("mixture", "N* params", f"D* {nouns}", "loss", *(("best",) if several else ()))
    show_table(title, columns, rows)
    meaning = "best: share of bootstrap replicates with the lowest loss. " if several else ""
    loose = any(not found.loss.identified for found in allocation.mixtures.values())
    star = "* optimum not identified at this scale. " if loose else ""
    note(f"{star}{meaning}Compute: {allocation.convention}")
    _lines(words.grouped("not fitted", allocation.not_fitted))


def _show_terms(allocation: scaling.Allocation) -> None:
    """Show what the budget pays for, and what free data would change."""
    nouns = f"{allocation.noun}s"
    if allocation.budget.unit != "FLOPs":
        runs = ", ".join(f"{name} {found.flops:.2g}" for name, found in allocation.mixtures.items())
        note(f"FLOPs of these runs: {runs}.")
    for name, found in allocation.mixtures.items():
        if (free := found.data_free) is not None:
            say(
                f"- {name}: {found.data_share:.0%} of the budget pays for {nouns}; were they free, "
                f"N* {words.size(float(free.params))}, D* {words.size(float(free.examples))}, loss "
                f"{words.loss(float(free.loss))}"
            )


def _show_measured(allocation: scaling.Allocation) -> None:
    """Show the lowest measured loss of every mixture within the budget."""
    measured: list[tuple[str, ...]] = []
    for name, found in allocation.mixtures.items():
        if (cell := found.measured) is None:
            measured.append((name, "none is that cheap"))
            continue
        sizes = (words.short(cell.params), words.short(cell.examples), f"{cell.flops:.2g}")
        measured.append((name, *sizes, words.loss(cell.loss)))
    show_table("Measured within the budget", ("mixture", "N", "D", "FLOPs", "loss"), measured)


def _show_doubts(allocation: scaling.Allocation) -> None:
    """Show what learning rates may cost, and every warning."""
    costs = {name: one.recipe for name, one in allocation.mixtures.items()}
    shown = ", ".join(f"{name} {cost:.3f}" for name, cost in costs.items() if cost is not None)
    if shown:
        note(f"Better learning rates might lower a loss by: {shown}, from their search.")
    _lines(allocation.warnings)
    _lines(words.folded({name: found.warnings for name, found in allocation.mixtures.items()}))


def _rise(found: scaling.Estimate) -> str:
    """A relative rise in percent, the unit written once: ``+3.7% [3.1, 4.2]``."""
    digits = 0 if max(map(abs, (found.value, found.low, found.high))) >= 0.1 else 1
    ends = ", ".join(f"{100 * end:.{digits}f}" for end in (found.low, found.high))
    return f"{100 * found.value:+.{digits}f}% [{ends}]"


def _nearby(allocation: scaling.Allocation) -> None:
    """Show what is nearly as good, how long the run takes, and what the floor decides."""
    near: list[tuple[str, ...]] = []
    floors: list[tuple[str, ...]] = []
    for name, found in allocation.mixtures.items():
        if (band := found.band) is not None:
            ends = (" to ".join(map(words.size, ends)) for ends in (band.params, band.examples))
            near.append((name, *ends, *(_rise(one.rise) for one in found.smaller)))
        for one in found.floors:
            sizes = words.size(one.params), words.size(one.examples)
            loss = words.loss_interval(one.loss)
            floors.append((name, one.floor, *sizes, loss, f"x{one.fit:.2f}"))
    if near:
        title = "Sizes nearly as good at this budget, and losses of smaller ones"
        show_table(title, ("mixture", "N within 1%", "their D", "N*/3", "N*/10"), near)
        note("N*/3, N*/10: how much more loss a smaller, cheaper model has at the same budget.")
    hours = {n: f.hours for n, f in allocation.mixtures.items() if f.hours is not None}
    if hours and allocation.budget.unit == "FLOPs":
        said = ", ".join(f"{name} {words.duration(value)}" for name, value in hours.items())
        note(f"Time of these runs on one device, at the measured speed: {said}.")
    if floors:
        names = ("mixture", "floor E", "N*", "D*", "loss", "misfit")
        show_table("The same with other floors", names, floors, left=2)
        note("Misfit: what the fit minimises, over that with own floors; at x1 runs fit as well.")


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        say(f"- {line}")


def show_checks(
    fits: StudyFit, found: Diagnostics, conventions: Mapping[str, MixtureConventions]
) -> None:
    """Show forecasts, influence, lack of fit and window, then the exponent by convention."""
    checks = []
    for mixture, one in found.mixtures.items():
        cells = [
            "–" if f.reason else f"{f.mean_error:+.1%} {f.inside}/{len(f.cells)}"
            for f in one.forecasts
        ]
        worst, p_value = one.influence.worst, one.residuals.p_value
        cells.append("–" if worst is None else f"{abs(worst.relative_shift):.2f}")
        # without second seeds the test that asks whether neighbours err alike is the only one
        p_value = one.residuals.smooth.p_value if one.residuals.reason else p_value
        cells.append("<0.002" if p_value < 0.002 else f"{p_value:.2g}")
        # a window is judged where the exponent is identified
        refits = [window.params_exponent for window in one.windows]
        judged = sum(value is not None and value.identified for value in refits)
        moved = f"{sum(window.significant for window in one.windows)} of {judged}"
        known = judged and fits[mixture]["a"].identified
        checks.append((mixture, *cells, moved if known else "not judged"))
    columns = ("mixture", "largest N", "largest C", "worst cell", "misfit p", "window moves a")
    show_table("Can the fits be trusted?", columns, checks)
    note(
        "Largest N, C: mean error of a forecast of the runs of the largest model, or of most "
        "compute, from the others (plus: measured above forecast, which was too hopeful), and how "
        "many lie in their 95% prediction intervals. Worst cell: "
        "without it a moves by so many half widths of its interval. Misfit p: small where cells "
        "deviate from the law more than seeds do, or without second seeds where neighbouring "
        "cells err alike. Window: in how many refits without an edge of "
        "the grid a leaves its interval by more than chance; not judged where a is not identified."
    )
    names = list(dict.fromkeys(row.name for one in conventions.values() for row in one.rows))
    if len(names) < 2:
        return
    rows = []
    for mixture, counted in conventions.items():
        values = {row.name: row.params_exponent for row in counted.rows}
        exponents = (
            "–" if value is None else f"{value.value:.3f}{'' if value.identified else ' *'}"
            for value in map(values.get, names)
        )
        rows.append((mixture, *exponents))
    shown = (_SHORT.get(name, name) for name in names)
    show_table("Exponent a by compute convention", ("mixture", *shown), rows)
