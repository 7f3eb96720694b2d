"""Where a budget goes: what the laws would do, and what was measured for no more."""

from jetscale.analysis import Analysis
from jetscale.answers.values import Answer
from jetscale.scaling import Allocation
from jetscale.scaling.allocation.sentence import sentences
from jetscale.words import grouped


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
    first, *rest = sentences(one)
    left_out = (f"{line}." for line in grouped("No law is fitted", one.not_fitted))
    return Answer(
        question=f"Where does a budget of {one.budget.text} go?",
        answered=one.best_identified and not one.measured_first,
        instead="MEASURED ONLY" if one.measured else "NOT ANSWERED",
        sentences=(first, *left_out, *rest),
    )
