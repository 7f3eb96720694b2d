"""Where a budget goes: what was measured for no more, then what the laws would do."""

import math
from collections.abc import Iterator

from jetscale.analysis import Analysis
from jetscale.answers.values import NO_DIFFERENCE, Answer
from jetscale.scaling import Allocation
from jetscale.scaling.allocation.sentence import NOTABLE
from jetscale.words import between, grouped, loss, short, size

_NAMED = 3  # mixtures a sentence names
_NEGLIGIBLE = 0.05  # share of replicates below which a mixture is not among the best


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
        answered=one.best_identified and not one.measured_first,
        instead="MEASURED ONLY" if one.measured else "NOT ANSWERED",
        sentences=(_measured(one), *_predicted(one)),
    )


def _measured(one: Allocation) -> str:
    """Return the lowest loss that was measured for no more, and of which mixtures it may be."""
    cells = one.measured
    if not cells:
        return f"No run costs as little as {one.budget.text}."
    noise = 0.0 if math.isnan(one.noise) else one.noise
    first = next(iter(cells.values()))
    alike = {n: c for n, c in cells.items() if c is first or not first.told_apart(c, noise)}
    ends = [
        between(*(form(end(getattr(c, what) for c in alike.values())) for end in (min, max)))
        for what, form in (("loss", loss), ("params", short), ("examples", short))
    ]
    whose = " of mixtures with a law" if one.not_fitted else ""
    told = f"Measured{whose}: loss {ends[0]} with {ends[1]} parameters on {ends[2]} {one.noun}s"
    others = [name for name in cells if name not in alike]
    if not others:
        many = len(cells) > 1
        end = f"; between mixtures {NO_DIFFERENCE} beyond chance" if many else f", {min(cells)}"
        return f"{told}{end}."
    than = ", ".join(others) if len(others) <= _NAMED else f"{len(others)} others"
    return f"{told}, {' or '.join(alike)}: lower than {than} by more than chance."


def _predicted(one: Allocation) -> Iterator[str]:
    """Yield what the laws would do, and how far to believe them."""
    yield from (f"{line}." for line in grouped("No law is fitted", one.not_fitted))
    if one.measured_first:
        yield "The law expects worse than was measured: do not spend by it."
        return
    asked = [m for m in one.mixtures.values() if one.best in (None, m.mixture)]
    near = [m for m in asked if m.best_share is None or m.best_share >= _NEGLIGIBLE]
    chosen = [m for m in near if not m.no_optimum]
    if not chosen:
        yield "The laws have no usable optimum there."
        return
    n, d, expected = (
        between(*(form(end(getattr(m, what).value for m in chosen)) for end in (min, max)))
        for what, form in (("params", size), ("examples", size), ("loss", loss))
    )
    low, high = min(m.loss.low for m in chosen), max(m.loss.high for m in chosen)
    several = len(one.mixtures) + len(one.not_fitted) > 1
    who = f"{' or '.join(m.mixture for m in chosen[:_NAMED])}, " if several else ""
    doubt = "" if one.best_identified else "; not determined, test it before you spend by it"
    yield (
        f"By the laws: {who}{n} parameters on {d} {one.noun}s, loss {expected} [{loss(low)}, "
        f"{loss(high)}]{doubt}."
    )
    if abs(one.decades_beyond) >= NOTABLE:
        side = "beyond" if one.decades_beyond > 0 else "below"
        yield f"That lies {abs(one.decades_beyond):.1f} decades {side} the measured compute."
