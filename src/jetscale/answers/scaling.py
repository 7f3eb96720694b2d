"""How each mixture scales: the exponent of the best model size, or what would determine it."""

import re
from collections.abc import Iterator

from jetscale.analysis import Analysis
from jetscale.answers.values import Answer
from jetscale.machines import cores
from jetscale.scaling import StudyFit
from jetscale.scaling.power.enough import enough
from jetscale.scaling.table import noun_of
from jetscale.words import duration, number, with_interval

_NAMED = 6  # mixtures whose exponent is listed
_BOUND = "replicates end at its"
_COUNTS = re.compile(r"hold \d+ of \d+ cells inside their 95% intervals")


def scaling(found: Analysis) -> Answer:
    """Return the exponent a of every mixture, why it is not determined, and what would do it."""
    question = "How does it scale?"
    if found.fits is None:
        why = found.missing.get("fits", "it was not asked for")
        return Answer(question=question, answered=False, sentences=(f"No law is fitted: {why}.",))
    known = all(one["a"].identified for one in found.fits.mixtures.values())
    lines = [_exponents(found.fits), *_why(found.fits)]
    if found.comparison is not None:
        lines.append(found.law_sentence)
    needed = None if known else enough(found.fits, noun_of(found.runs))
    if needed is not None:
        lines.append(f"What would: {needed.text}: {_price(found, needed.flops)}.")
    elif not known:
        lines.append("No grid near this one would, as far as these runs scatter about the law.")
    about = "(a: the best model size grows as C^a with compute C)"
    return Answer(question=question, about=about, answered=known, sentences=tuple(lines))


def _exponents(fits: StudyFit) -> str:
    """Return the exponent of every mixture; where it is not determined its interval alone."""
    exponents = {name: one["a"] for name, one in fits.mixtures.items()}
    told = [
        f"{name} {with_interval(a, 2) if a.identified else f'{a.low:.2f} to {a.high:.2f}'}"
        for name, a in list(exponents.items())[:_NAMED]
    ]
    more = len(exponents) - len(told)
    return f"Exponent a: {', '.join(told)}{f' and {more} more' if more else ''}."


def _why(fits: StudyFit) -> Iterator[str]:
    """Yield each reason for which an exponent is not determined, with the mixtures it holds for."""
    loose = {name: _cause(fits, name) for name, m in fits.mixtures.items() if not m["a"].identified}
    for why in dict.fromkeys(loose.values()):
        names = ", ".join(name for name, reason in loose.items() if reason == why)
        yield f"Not determined for {names}: {why}."


def _cause(fits: StudyFit, name: str) -> str:
    """Return the reason of a, or that of the parameters it names: the first cause."""
    one = fits[name]
    reasons = {p: one[p].reason for p in ("E", "alpha", "beta") if p in one.parameters}
    told = (f"the runs set no bound to {p}" if _BOUND in r else r for p, r in reasons.items() if r)
    why = next(told, one["a"].reason)
    return _COUNTS.sub("hold too few of them", why)


def _price(found: Analysis, flops: float) -> str:
    """Return what further runs cost, in time where the table says how fast its runs were."""
    rate, source = found.rate
    text = f"{number(flops, 2)} FLOPs more"
    if not source.startswith("measured"):
        return text
    hours = flops / rate / 3600
    if source.endswith("cpu"):
        return f"{text}, {duration(hours / cores())} of this machine's {cores()} cores"
    return f"{text}, {duration(hours)} of one device"
