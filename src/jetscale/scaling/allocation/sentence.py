"""The answer in words: what the laws would do where they determine it, and what was measured."""

import math
from collections import Counter
from collections.abc import Iterator

from jetscale.scaling.allocation.measured import MeasuredCell
from jetscale.scaling.allocation.values import Allocation, Choice, MixtureAllocation
from jetscale.words import between, loss, loss_interval, short, size

NOTABLE = 0.05  # decades beyond the measured compute that are worth a word
_NAMED = 3  # mixtures a sentence names
_NEGLIGIBLE = 0.05  # share of replicates below which a mixture is not among the best


def sentences(found: Allocation) -> tuple[str, ...]:
    """Return the answer of an allocation, the words of every output.

    What was measured comes first, unless the laws determine a run that is better.
    """
    measured, predicted = (_measured(found), _over_pairs(found)), (*_predicted(found),)
    by_law = found.best_identified and not found.measured_first
    told = (*predicted, *measured) if by_law else (*measured, *predicted)
    return tuple(filter(None, (*told, _rival(found), _distance(found))))


def sentence(found: Allocation) -> str:
    """Return the answer of an allocation as one text."""
    return " ".join(sentences(found))


def _measured(found: Allocation) -> str:
    """Return the lowest loss that was measured for no more, and of which mixtures it may be."""
    cells = found.measured
    if not cells:
        return f"No run costs as little as {found.budget.text}."
    alike = _alike(found)
    ends = [
        between(*(form(end(getattr(c, what) for c in alike.values())) for end in (min, max)))
        for what, form in (("loss", loss), ("params", short), ("examples", short))
    ]
    whose = " of mixtures with a law" if found.not_fitted else ""
    told = f"Measured{whose}: loss {ends[0]} with {ends[1]} parameters on {ends[2]} {found.noun}s"
    others = [name for name in cells if name not in alike]
    if not others:
        alone = f", {min(cells)}" if len(found.mixtures) > 1 else ""
        end = "; these cells do not tell the mixtures apart" if len(cells) > 1 else alone
        return f"{told}{end}."
    than = ", ".join(others) if len(others) <= _NAMED else f"{len(others)} others"
    return f"{told}, {' or '.join(alike)}: lower than {than} by more than chance."


def _alike(found: Allocation) -> dict[str, MeasuredCell]:
    """Return the lowest measured cell, and those that chance does not tell from it."""
    noise = 0.0 if math.isnan(found.noise) else found.noise
    first = next(iter(found.measured.values()))
    told = found.measured.items()
    return {n: c for n, c in told if c is first or not first.told_apart(c, noise)}


def _over_pairs(found: Allocation) -> str:
    """Return what pairs of runs say where the cells tell no mixture apart; empty for nothing."""
    cells = found.measured
    if not cells or len(_alike(found)) < len(cells):
        return ""
    examples = next(iter(cells.values())).examples
    pairs = [pair for pair in found.pairs if {pair.mixture, pair.baseline} <= cells.keys()]
    told = [one for pair in pairs if (one := pair.told_apart(examples))]
    first = Counter(name for name, _ in told).most_common(1)
    won = [clause for name, clause in told if name == first[0][0]]
    start = "Over pairs of runs of equal N, D and seed"
    return f"{start} {first[0][0]} is {', '.join(won)}." if won else ""


def _predicted(found: Allocation) -> Iterator[str]:
    """Yield the run that the laws, or a route, would make, and how far to believe it."""
    by = "laws" if found.route == "law" else f"{found.route} route"
    lowest = found.mixtures[found.lowest]
    if found.measured_first:
        yield (
            f"By the {by}: loss {loss(lowest.loss.value)}, worse than was measured for no more; "
            "that does not describe these runs, do not spend by it."
        )
        return
    chosen = [m for m in _asked(found) if not m.no_optimum]
    if not chosen:
        yield f"By the {by} there is no usable optimum: {lowest.no_optimum}."
        return
    n, d, expected = (
        between(*(form(end(getattr(m, what).value for m in chosen)) for end in (min, max)))
        for what, form in (
            ("params", short if found.ladder else size),  # sizes of a ladder are exact
            ("examples", size),
            ("loss", loss),
        )
    )
    low, high = min(m.loss.low for m in chosen), max(m.loss.high for m in chosen)
    known = math.isfinite(low) and math.isfinite(high)
    ends = f" [{loss(low)}, {loss(high)}]" if known else ", no usable interval"
    ends += _alone(chosen)
    several = len(found.mixtures) + len(found.not_fitted) > 1
    names = [m.mixture for m in chosen]
    named = " or ".join(names) if len(names) <= _NAMED else f"any of {len(names)} mixtures"
    who = named if several else ""
    edge = f" ({chosen[0].ladder_edge})" if len(chosen) == 1 and chosen[0].ladder_edge else ""
    run = f"{n} parameters on {d} {found.noun}s"
    if found.best_identified:
        lead = f"with {who} train" if who else "train"
        yield f"By the {by}: {lead} {run}, expect loss {expected}{ends}{edge}."
        return
    doubt = "not determined, test it before you spend by it"
    yield f"By the {by}: {who and f'{who}, '}{run}, loss {expected}{ends}{edge}; {doubt}."


def _alone(chosen: list[MixtureAllocation]) -> str:
    """Return the losses of the laws alone, where what the laws miss makes much of them."""
    said = [m.by_law for m in chosen if m.by_law is not None]
    ends = between(*(loss(end(said)) for end in (min, max))) if said else ""
    return f", as the runs bend from the law, which alone says {ends}" if said else ""


def _asked(found: Allocation) -> list[MixtureAllocation]:
    """Return the best mixture, or all that may be: two at least where chance decides."""
    if found.best is not None:
        return [found.mixtures[found.best]]
    every = found.mixtures.values()
    shares = {m.mixture: 1.0 if m.best_share is None else m.best_share for m in every}
    shares = {n: 1.0 if math.isnan(share) else share for n, share in shares.items()}
    first = sorted(shares, key=lambda name: -shares[name])
    least = first[: 2 if found.choice is Choice.NOT_TOLD_APART else 1]
    return [m for m in every if m.mixture in least or shares[m.mixture] >= _NEGLIGIBLE]


def _rival(found: Allocation) -> str:
    """Return what another route says that forecast held-out budgets better; empty for none."""
    one = found.mixtures[found.lowest]
    if (other := one.rival) is None or found.measured_first:
        return ""
    if one.measured is not None and found.refuted(other.loss, one.measured):
        return ""  # it does not describe what was measured for no more
    of = f"{one.mixture}: " if len(found.mixtures) > 1 else ""
    says = f"{of}{size(other.params.value)} parameters and loss {loss_interval(other.loss)}"
    return (
        f"The {other.route} route, which forecast the held-out budgets better than the law, says "
        f"{says}: follow it with --route {other.route.lower()}."
    )


def _distance(found: Allocation) -> str:
    """Return how far the budget lies outside of the measured compute; empty where it does not."""
    if abs(found.decades_beyond) < NOTABLE:
        return ""
    side = "above" if found.decades_beyond > 0 else "below"
    return (
        f"This budget lies {abs(found.decades_beyond):.1f} decades {side} the measured compute: an "
        f"extrapolation{', and at that distance a guess' if found.guess else ''}."
    )
