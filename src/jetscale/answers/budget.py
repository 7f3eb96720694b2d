"""Where a budget goes: what was measured for no more, then what the laws would do."""

from collections.abc import Iterator

from jetscale.analysis import Analysis
from jetscale.answers.values import NO_DIFFERENCE, Answer
from jetscale.scaling import Allocation
from jetscale.words import loss, short, size

_NOTABLE = 0.05  # decades beyond the measured compute that are worth a word


def budget(found: Analysis) -> Answer:
    """Return the answer for the largest budget of an analysis that lies within its runs."""
    if not found.allocations:
        why = found.missing.get("allocations", found.missing.get("fits", "it was not asked for"))
        nothing = (f"Nothing is allocated: {why}.",)
        return Answer(question="Where does a budget go?", answered=False, sentences=nothing)
    within = [one for one in found.allocations if one.decades_beyond <= 0]
    return for_budget((within or found.allocations)[-1])


def for_budget(one: Allocation) -> Answer:
    """Return the answer for one budget."""
    return Answer(
        question=f"Where does a budget of {one.budget.text} go?",
        answered=one.best is not None or bool(one.measured),
        sentences=(_measured(one), *_predicted(one)),
    )


def _measured(one: Allocation) -> str:
    """Return the lowest loss that was measured for no more; of which mixture, if not by chance."""
    cells = one.measured
    if not cells:
        return f"No run costs as little as {one.budget.text}."
    if (name := one.measured_best) is not None:
        cell = cells[name]
        apart = ", lower than the others by more than chance" if len(cells) > 1 else ""
        sizes = f"{short(cell.params)} parameters on {short(cell.examples)} {one.noun}s"
        return f"Measured: loss {loss(cell.loss)} with {sizes}, {name}{apart}."
    ends = [
        _between(*(form(end(getattr(c, what) for c in cells.values())) for end in (min, max)))
        for what, form in (("loss", loss), ("params", short), ("examples", short))
    ]
    return (
        f"Measured: loss {ends[0]} with {ends[1]} parameters on {ends[2]} {one.noun}s; between "
        f"mixtures {NO_DIFFERENCE} beyond chance."
    )


def _predicted(one: Allocation) -> Iterator[str]:
    """Yield what the laws would do, and how far to believe them."""
    if one.measured_first:
        yield "The law expects worse than was measured: do not spend by it."
        return
    asked = [m for m in one.mixtures.values() if one.best in (None, m.mixture)]
    chosen = [m for m in asked if not m.no_optimum]
    if not chosen:
        yield "The laws have no usable optimum there."
        return
    n, d, expected = (
        _between(*(form(end(getattr(m, what).value for m in chosen)) for end in (min, max)))
        for what, form in (("params", size), ("examples", size), ("loss", loss))
    )
    low, high = min(m.loss.low for m in chosen), max(m.loss.high for m in chosen)
    who = f"{one.best}, " if one.best and len(one.mixtures) > 1 else ""
    doubt = "" if one.best_identified else "; not determined, test it before you spend by it"
    yield (
        f"By the laws: {who}{n} parameters on {d} {one.noun}s, loss {expected} [{loss(low)}, "
        f"{loss(high)}]{doubt}."
    )
    if abs(one.decades_beyond) >= _NOTABLE:
        side = "beyond" if one.decades_beyond > 0 else "below"
        yield f"That lies {abs(one.decades_beyond):.1f} decades {side} the measured compute."


def _between(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
