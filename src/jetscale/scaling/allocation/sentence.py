"""The answer in words: the law's where it is identified, else what was measured first."""

import math
from collections import Counter

from jetscale.scaling.allocation.values import TOLD_APART, Allocation, Choice, MixtureAllocation
from jetscale.words import between, loss, loss_interval, short, size

NOTABLE = 0.05  # decades beyond the measured compute that are worth a word
_NAMED = 3  # mixtures a sentence names


def sentence(found: Allocation) -> str:
    """Return the answer of an allocation."""
    lead = _lead(found) + _rival(found.mixtures[found.lowest], len(found.mixtures) > 1)
    if abs(found.decades_beyond) < NOTABLE:
        return lead
    side = "above" if found.decades_beyond > 0 else "below"
    return (
        f"{lead} This budget lies {abs(found.decades_beyond):.1f} decades {side} the measured "
        f"compute: an extrapolation{', and at that distance a guess' if found.guess else ''}."
    )


def _lead(found: Allocation) -> str:
    one, law = found.mixtures[found.lowest], "law" if found.route == "law" else found.route
    advice = _advice(one, found)
    if found.measured_first:
        return (
            f"{_measured(found)} The {law} expects {loss(one.loss.value)} at this budget, worse "
            "than what was measured for no more: it does not describe these runs; do not spend by "
            "it."
        )
    if found.choice is Choice.NOT_TOLD_APART:
        ranked = sorted(found.mixtures.values(), key=lambda m: -(m.best_share or 0))
        shown = ", ".join(f"{m.mixture} {m.best_share:.0%}" for m in ranked[:_NAMED])
        return (
            f"No measurable difference between the mixtures at {found.budget}: lowest loss in "
            f"{shown} of replicates. Any of them: {_any_of(found)}."
        )
    if one.loss.identified and found.best and not one.no_optimum:
        return f"For mixture {found.best} and {found.budget}: {advice}."
    share = found.best_share
    guess = f"The guess: {advice}."
    if one.no_optimum:
        guess = f"There is no usable optimum: {one.no_optimum}."
    elif share is not None and share >= TOLD_APART:
        guess = f"The best guess is {found.lowest}, in {share:.0%} of replicates: {advice}."
    elif share is not None:
        guess = f"The guess, with no measurable difference between mixtures: {_any_of(found)}."
    return (
        f"{_measured(found)} Not identified at this scale: the runs do not determine the {law}; "
        f"test what it predicts before you spend by it. {guess}"
    )


def _advice(one: MixtureAllocation, found: Allocation) -> str:
    """Return the run to make; sizes of a ladder are exact."""
    shown = (short if found.ladder else size)(one.params.value)
    text = f"train {shown} parameters on {size(one.examples.value)} {found.noun}s, expect loss "
    known = math.isfinite(one.loss.low) and math.isfinite(one.loss.high)
    text += loss_interval(one.loss) if known else f"{loss(one.loss.value)}, no usable interval"
    return text + (f" ({one.ladder_edge})" if one.ladder_edge else "")


def _rival(one: MixtureAllocation, several: bool) -> str:
    """Return what another route says that forecast held-out budgets better; empty for none."""
    if (other := one.rival) is None:
        return ""
    of = f"{one.mixture}: " if several else ""
    says = f"{of}{size(other.params.value)} parameters and loss {loss_interval(other.loss)}"
    return (
        f" The {other.route} route, which forecast the held-out budgets better than the law, says "
        f"{says}: follow it with --route {other.route.lower()}."
    )


def _any_of(found: Allocation) -> str:
    """Return the range of the runs of all mixtures."""
    all_of = [m for m in found.mixtures.values() if not m.no_optimum]
    sizes = [sorted(getattr(m, name).value for m in all_of) for name in ("params", "examples")]
    n, d = (between(size(values[0]), size(values[-1])) for values in sizes)
    losses = sorted(m.loss.value for m in all_of)
    ends = between(loss(losses[0]), loss(losses[-1]))
    low, high = min(m.loss.low for m in all_of), max(m.loss.high for m in all_of)
    if math.isfinite(low) and math.isfinite(high):
        ends += f" [{loss(low)}, {loss(high)}]"
    return f"train {n} parameters on {d} {found.noun}s, expect loss {ends}"


def _measured(found: Allocation) -> str:
    """Return what the budget has bought already; no mixture is named that noise may decide."""
    cells = found.measured
    if not cells:
        return f"No run costs as little as {found.budget}."
    name = found.measured_best
    if name is not None:
        cell, rank = cells[name], ", the lowest of all mixtures" if len(cells) > 1 else ""
        sizes = f"{short(cell.params)} parameters on {short(cell.examples)} {found.noun}s"
        reached = f"{sizes} reached loss {loss(cell.loss)}, measured{rank}"
        return f"For mixture {name} and {found.budget}: {reached}."
    reached = ", ".join(
        f"{loss(cell.loss)} ({n}: {short(cell.params)} parameters, {short(cell.examples)} "
        f"{found.noun}s)"
        for n, cell in list(cells.items())[:_NAMED]
    )
    return (
        f"Measured within {found.budget}: loss {reached}. No mixture is better by more than "
        f"runs of these cells differ by chance.{_over_pairs(found)}"
    )


def _over_pairs(found: Allocation) -> str:
    """Return what the mixture that wins most pairs is better than; empty if none is."""
    cells = found.measured
    examples = next(iter(cells.values())).examples
    pairs = [pair for pair in found.pairs if {pair.mixture, pair.baseline} <= cells.keys()]
    told = [one for pair in pairs if (one := pair.told_apart(examples))]
    first = Counter(name for name, _ in told).most_common(1)
    won = [clause for name, clause in told if name == first[0][0]]
    start = " Over pairs of runs of equal N, D and seed"
    return f"{start} {first[0][0]} is {', '.join(won)}." if won else ""
