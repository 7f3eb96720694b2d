"""What a study says, in two sentences made from its numbers: the measured one first."""

from jetscale.report.html import (
    NOT_IDENTIFIED,
    Context,
    Markup,
    inline,
    join,
    number,
    paragraph,
    tag,
)
from jetscale.report.results import Results
from jetscale.scaling import DataFactor, Difference, PairComparison, PairedMixtures


def section(context: Context) -> Markup:
    """The two sentences and the key to the mixtures."""
    results = context.results
    sentences = paragraph(measured_sentence(results)), paragraph(law_sentence(results))
    note = paragraph("Brackets are 95% intervals throughout.", class_="note")
    return join(tag("div", *sentences, class_="answer"), note, context.key())


def measured_sentence(results: Results) -> str:
    """How the losses compare, with no law assumed."""
    if results.paired is None:
        return f"Nothing is compared: {results.missing['paired']}."
    baseline = results.paired.baseline
    pairs = [pair for pair in results.paired.pairs if pair.baseline == baseline]
    if not pairs:
        return f"No mixture has runs in common with the baseline {baseline}."
    return f"Measured against {baseline}: {'; '.join(map(_pair_clause, pairs))}."


def _pair_clause(pair: PairedMixtures) -> str:
    overall = pair.overall
    clause = (
        f"{pair.mixture} has the lower test loss in {overall.n_lower} of {overall.n_pairs} pairs "
        f"of runs, by a mean difference of {inline(overall.difference)} "
        f"over {overall.n_sizes} model {'size' if overall.n_sizes == 1 else 'sizes'}"
    )
    ends = [row for row in (pair.by_examples[0], pair.by_examples[-1]) if row.data_factor]
    worth = [_worth(row, row.data_factor) for row in dict.fromkeys(ends) if row.data_factor]
    return f"{clause}, worth {' and '.join(worth)}" if worth else clause


def _worth(row: Difference, factor: DataFactor) -> str:
    limit = {">": "at least ", "<": "at most ", "<>": "(limits only) "}.get(factor.bound, "")
    value = number(factor.factor.value, 2) if factor.bound else inline(factor.factor, 2)
    return f"{limit}{value} times the data at D = {number(row.examples or 0)}"


def law_sentence(results: Results) -> str:
    """What the laws say about the compute-optimal balance, or that they don't."""
    if results.fits is None:
        return f"No scaling law is fitted: {results.missing['fits']}."
    if results.comparison is None:
        return f"The compute-optimal balance: {'; '.join(_exponent_clauses(results))}."
    pairs = [p for p in results.comparison.pairs if results.names[0] in (p.a, p.b)]
    pairs = pairs or list(results.comparison.pairs)
    loose = [pair for pair in pairs if pair.verdict == NOT_IDENTIFIED]
    if len(loose) == len(pairs):
        reasons = [r for p in pairs for r in p.delta_params_exponent.reason.split("; ")]
        return (
            "Whether the mixtures differ in how the best model and data size grow with compute is "
            f"{NOT_IDENTIFIED} ({'; '.join(dict.fromkeys(reasons))}): a difference of exponents "
            "must not be read off these runs."
        )
    clauses = "; ".join(map(_verdict_clause, pairs))
    return f"Exponent a of the best model size N* ∝ C^a: {clauses}."


def _exponent_clauses(results: Results) -> list[str]:
    assert results.fits is not None
    found = []
    for name, fitted in results.fits.mixtures.items():
        value = fitted.frontier["params_exponent"]
        text = f"N* ∝ C^{inline(value)}" if value.identified else NOT_IDENTIFIED
        found.append(f"{name} {text}")
    return found


def _verdict_clause(pair: PairComparison) -> str:
    if pair.verdict == NOT_IDENTIFIED:
        return f"{pair.b} against {pair.a} {NOT_IDENTIFIED}"
    change = inline(pair.delta_params_exponent)
    return f"{pair.b} minus {pair.a} is {change}, {pair.verdict} (p = {number(pair.p_value, 2)})"
