"""What the laws are for: the compute-optimal frontier, its comparison, and answers for budgets.

A prediction never stands alone: beside it is the best cell that was run within the budget, and a
mixture is only called the best where the laws behind the choice are identified.
"""

from collections.abc import Sequence

from jetscale.report import figures_law as figures
from jetscale.report import pairs
from jetscale.report.html import (
    NOT_IDENTIFIED,
    Context,
    Markup,
    bullets,
    estimate,
    join,
    number,
    paragraph,
    table,
    tag,
)
from jetscale.report.results import compute_range
from jetscale.scaling import Allocation, ConventionRow, MeasuredCell, StudyFit
from jetscale.scaling.routes.route import Route
from jetscale.words import short

_COLUMNS = (
    "budget (FLOPs)",
    "mixture",
    "N*",
    "D*",
    "expected loss",
    "measured N",
    "measured D",
    "measured loss",
)


def frontier(context: Context) -> Markup:
    """N*(C), D*(C), the exponents, and whether they differ."""
    results = context.results
    if results.fits is None:
        return paragraph(f"There is no frontier: {results.missing['fits']}.")
    return join(
        paragraph(
            "The model size N* and the number of jets D* that reach the lowest loss at compute C. "
            "Bands are 95% intervals, cut at the frame; solid lines cover the measured compute, "
            "dashed lines are extrapolated by the law."
        ),
        context.key(),
        _loose(results.fits),
        _figures(context, results.fits),
        tag("h3", "Do other routes agree?"),
        _routes(context, results.fits),
        tag("h3", "Does it depend on how compute is counted?"),
        _conventions(context),
        tag("h3", "Do the mixtures scale differently?"),
        pairs.section(context),
    )


def _loose(fits: StudyFit) -> Markup:
    """A line for the mixtures whose frontier must not be used."""
    names = [n for n, f in fits.mixtures.items() if not f.frontier["params_exponent"].identified]
    if not names:
        return Markup()
    text = (
        f"Frontier not identified at this scale for {', '.join(names)}: the bands show how little"
    )
    return paragraph(f"{text} the runs say.", class_="open")


def _figures(context: Context, fits: StudyFit) -> Markup:
    ends = compute_range(fits)
    panels = {
        "Best model size against compute": figures.frontier(fits, context.styles, "params", ends),
        "Best number of jets against compute": figures.frontier(
            fits, context.styles, "examples", ends
        ),
        "Exponent a with its interval; open: not identified": figures.exponents(
            fits, context.styles
        ),
    }
    return context.figures.panels(panels)


def _routes(context: Context, fits: StudyFit) -> Markup:
    """Exponent of N* by joint law, isoFLOP and envelope, and the verdict per mixture."""
    found = context.results.routes
    names = [route.name for route in next(iter(found.values())).routes]
    rows = [
        (name, *(_exponent(route) for route in routes.routes), routes.verdict)
        for name, routes in found.items()
    ]
    text = (
        "The exponent a of N* ∝ C^a by three routes with different assumptions. Intervals of the "
        "two that interpolate between runs cover the noise of seeds alone."
    )
    panels = {
        f"{name}: isoFLOP profiles and minima": figures.isoflop(
            name, routes.routes[1], context.results.runs, fits.cost, context.styles[name]
        )
        for name, routes in found.items()
        if routes.routes[1].points
    }
    placed = context.figures.panels(panels, "small") if panels else Markup()
    return join(paragraph(text), table(("mixture", *names, "verdict"), rows), placed)


def _conventions(context: Context) -> Markup:
    """Exponents under every compute convention the table allows."""
    found = context.results.conventions
    rows = [
        (
            name,
            row.name,
            *(
                tag("span", row.reason, class_="range reason") if value is None else estimate(value)
                for value in (row.params_exponent, row.data_exponent)
            ),
            number(row.budget, 2),
            *("–" if value is None else short(value.value) for value in (row.params, row.examples)),
        )
        for name, one in found.items()
        for row in one.rows
        if row is one.rows[0] or not _same(row, one.rows[0])
    ]
    meanings = {row.name: row.convention for one in found.values() for row in one.rows}
    columns = ("mixture", "compute", "a (N* ∝ C^a)", "b (D* ∝ C^b)", "at C", "N*", "D*")
    text = (
        "The exponents are those of a convention: how FLOPs are counted, whether N counts the "
        "embedding, whether pretraining is in C. N* and D* are those at the geometric middle of "
        "the measured compute, counted likewise."
    )
    return join(
        paragraph(text),
        table(columns, rows, text=2),
        bullets((f"{name}: {meaning}" for name, meaning in meanings.items()), "note"),
    )


def _same(row: ConventionRow, own: ConventionRow) -> bool:
    """True where a convention changes nothing: without pretraining there is none to count."""
    return (row.params_exponent, row.budget) == (own.params_exponent, own.budget)


def _exponent(route: Route) -> Markup:
    if route.params_exponent is None:
        return tag("span", route.missing, class_="range reason")
    return estimate(route.params_exponent)


def budgets(context: Context) -> Markup:
    """Prediction and best measured cell for a row of budgets, then every warning."""
    results = context.results
    if results.fits is None:
        return paragraph(f"There is no allocation: {results.missing['fits']}.")
    if not results.allocations:
        return paragraph("No budget was asked for.")
    low, high = compute_range(results.fits)
    text = (
        f"Measured compute: {number(low)} to {number(high)} FLOPs. {results.fits.cost.convention}. "
        "N*, D* and the expected loss are predictions of the law; beside them stands the measured "
        "cell of lowest loss that the budget pays for, its loss a mean over seeds."
    )
    shares = _chosen(results.allocations)
    columns = [*_COLUMNS, *(("lowest loss in",) if shares else ())]
    rows = [row for answer in results.allocations for row in _rows(answer, shares)]
    return join(
        paragraph(text),
        _choice(results.allocations),
        table(columns, rows, text=2),
        _warnings(results.allocations),
    )


def _chosen(answers: Sequence[Allocation]) -> bool:
    """True where there is a choice of mixture and the laws behind it are identified."""
    return all(len(answer.mixtures) > 1 and answer.best_identified for answer in answers)


def _choice(answers: Sequence[Allocation]) -> Markup:
    """How to read the choice of mixture, if there is one."""
    if len(answers[0].mixtures) == 1:
        return Markup()
    if not _chosen(answers):
        loose = [n for n, found in answers[0].mixtures.items() if not found.loss.identified]
        return paragraph(
            f"Which mixture is best at a budget is {NOT_IDENTIFIED}: the runs do not determine the "
            f"law of {', '.join(loose)}. Compare the measured cells.",
            class_="open",
        )
    paired = "" if answers[0].paired else ", resampled independently as their cells differ"
    return paragraph(
        "The last column is the share of bootstrap replicates in which the mixture has the lowest "
        f"expected loss of all{paired}."
    )


def _rows(answer: Allocation, shares: bool) -> list[tuple[object, ...]]:
    return [
        (
            number(answer.budget_flops),
            name,
            estimate(found.params),
            estimate(found.examples),
            estimate(found.loss),
            *_measured(found.measured),
            *((f"{found.best_share:.0%}",) if shares else ()),
        )
        for name, found in answer.mixtures.items()
    ]


def _measured(cell: MeasuredCell | None) -> tuple[str, str, str]:
    if cell is None:
        return "all cost more", "–", "–"
    return short(cell.params), short(cell.examples), number(cell.loss, 4)


def _warnings(answers: Sequence[Allocation]) -> Markup:
    lines = [
        f"{number(answer.budget_flops)} FLOPs: {line}"
        for answer in answers
        for mixture in answer.mixtures.values()
        for line in mixture.warnings
    ]
    general = [line for answer in answers for line in answer.warnings]
    left_out = [f"{name}: not fitted: it {why}" for name, why in answers[0].not_fitted.items()]
    shown = list(dict.fromkeys([*left_out, *general, *lines]))
    if not shown:
        return Markup()
    summary = tag("summary", f"Warnings about these answers: {len(shown)}")
    return tag("details", summary, bullets(shown, "warnings"))
