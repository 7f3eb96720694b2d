"""How each mixture scales: the exponent of the best model size, or what would determine it."""

from jetscale.analysis import Analysis
from jetscale.answers.values import Answer
from jetscale.machines import cores
from jetscale.scaling import StudyFit, Verdict
from jetscale.scaling.cost import pretraining
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.fitted import MixtureFit
from jetscale.scaling.power.enough import enough
from jetscale.scaling.table import noun_of
from jetscale.words import duration, grouped, number, with_interval

_NAMED = 6  # mixtures whose exponent is listed


def scaling(found: Analysis) -> Answer:
    """Return the exponent a of every mixture, why it is not determined, and what would do it."""
    question, fits = "How does it scale?", found.fits
    if fits is None:
        why = found.missing.get("fits", "it was not asked for")
        return Answer(question=question, answered=False, sentences=(f"No law is fitted: {why}.",))
    loose = {n: _cause(one) for n, one in fits.mixtures.items() if not one["a"].identified}
    plain = fits.options.law == CHINCHILLA.name
    lines = [_exponents(fits) if plain else f"Law {fits.options.law}. {_exponents(fits)}"]
    lines += [f"{line}." for line in grouped("No law is fitted", fits.not_fitted)]
    lines += [f"{line}." for line in grouped("Not determined", loose)]
    pairs = () if found.comparison is None else found.comparison.pairs
    told = loose and all(pair.verdict is Verdict.NOT_IDENTIFIED for pair in pairs)
    if found.comparison is not None and not told:
        lines.append(found.law_sentence)
    if loose:
        doubted = any(map(_doubted, fits.mixtures.values()))
        lines.append(_another_law(fits) if doubted else _what_would(found, fits))
    about = "(a: the best model size grows as C^a with compute C)"
    known = not loose and not fits.not_fitted
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


def _wrong_forecasts(one: MixtureFit) -> list[str]:
    return [found.left_out for found in one.forecasts if found.cells and found.suspicious]


def _doubted(one: MixtureFit) -> bool:
    """True where the runs, or those held out, say that the law is wrong: no interval mends that."""
    return one.misfit.clear or bool(_wrong_forecasts(one))


def _cause(one: MixtureFit) -> str:
    """Return why the exponent of a mixture is not determined: the first cause alone."""
    if wrong := _wrong_forecasts(one):
        return f"forecasts of {wrong[-1]}, from the other runs, hold too few of them"
    if one.misfit.clear:
        return "the runs deviate from the law by more than they scatter"
    open_ = [p for p in ("E", "alpha", "beta") if p in one.parameters and one[p].reason]
    if open_:
        return f"the runs do not bound {' and '.join(open_)}"
    return one["a"].reason


def _another_law(fits: StudyFit) -> str:
    """Return what would help where a law misses its runs: a law that forecasts better, if any."""
    text = "More runs of this kind do not mend a law that misses its runs"
    if fits.tried is None:
        return f"{text}."
    if (name := fits.tried.best) == fits.options.law:
        return f"{text}, and no other law forecasts runs left out clearly better."
    return f"{text}; the law {name!r} forecasts runs left out clearly better: --law {name}."


def _what_would(found: Analysis, fits: StudyFit) -> str:
    needed = enough(fits, noun_of(found.runs))
    if needed is None:
        return "No grid a few steps larger than this one would, as far as these runs scatter."
    width = f"a to ±{needed.half_width:.2f}"
    return f"What would give {width}: {needed.text}: {_price(found, needed.flops)}."


def _price(found: Analysis, flops: float) -> str:
    """Return what further runs cost, in time where the table says how fast its runs were."""
    rate, source = found.rate
    text = f"{number(flops, 2)} FLOPs more"
    text += ", pretraining not counted" if pretraining(found.runs) else ""
    if not source.startswith("measured"):
        return text
    hours = flops / rate / 3600
    if source.endswith("runs on cpu"):  # no other device among them
        return f"{text}, {duration(hours / cores())} of this machine's {cores()} cores"
    return f"{text}, {duration(hours)} at the speed of one of these runs"
