"""What each mixture buys: differences at a few data sizes, and a sentence for each mixture."""

import math
from collections.abc import Iterator, Sequence

from jetscale.analysis import Analysis
from jetscale.answers.values import NO_DIFFERENCE, Answer
from jetscale.scaling.comparison.paired import DataFactor, Difference, PairedMixtures
from jetscale.scaling.table import noun_of
from jetscale.words import grouped, number, short, times, with_interval

_COLUMNS = 5  # data sizes that a terminal holds
_SHORT = "no diff."  # five of them fit a line
_NAMED = 4  # mixtures that get a line of their own


def bought(found: Analysis) -> Answer:
    """Return what pretraining, or each mixture, buys against the baseline."""
    study = found.paired
    if study is None:
        why = found.missing.get("paired", "it was not asked for")
        nothing = (f"Nothing is compared: {why}.",)
        return Answer(question="What does a mixture buy?", answered=False, sentences=nothing)
    noun, base = noun_of(found.runs), study.baseline
    against = [pair for pair in study.pairs if pair.baseline == base]
    named = against
    if len(against) > _NAMED:  # the best of many
        named = sorted(against, key=lambda pair: pair.overall.difference.value)[:_NAMED]
    names = {pair.mixture for pair in named}
    among = [pair for pair in study.pairs if {pair.mixture, pair.baseline} <= names]
    told = [worth(pair, noun) for pair in (*named, *among[: _NAMED - 1])]
    if not against:
        told = [study.sentence, *(worth(pair, noun) for pair in study.pairs[:_NAMED])]
    if len(against) > _NAMED:
        better = sum(pair.overall.difference.high < 0 for pair in against)
        told.append(
            f"On average over the data sizes {better} of {len(against)} mixtures are better; the "
            f"{_NAMED} best are shown."
        )
    told += [f"{line}." for line in grouped("Not compared", study.not_paired)]
    about = f"{found.quantity} against {base}; x: {noun}s it is worth"
    unknown = any(math.isnan(r.difference.low) for pair in named for r in pair.listed)
    return Answer(
        question=f"What does {'pretraining' if base == 'scratch' else 'a mixture'} buy?",
        about=f"({about}{'; ?: one model size' if unknown else ''})",
        answered=any(not math.isnan(pair.overall.difference.low) for pair in against),
        rows=tuple(_rows(named)),
        sentences=tuple(told),
    )


def _rows(pairs: Sequence[PairedMixtures]) -> Iterator[tuple[str, ...]]:
    """Yield differences and effective data at a few data sizes, smallest and largest included."""
    sizes = sorted({row.examples or 0 for pair in pairs for row in pair.listed})
    if not sizes:
        return
    steps = max(1, min(_COLUMNS, len(sizes)) - 1)
    chosen = sorted({sizes[round(i * (len(sizes) - 1) / steps)] for i in range(steps + 1)})
    yield ("D", *map(short, chosen))
    for pair in pairs:
        at = {row.examples: row for row in pair.listed}
        yield (pair.mixture, *(_cell(at[d]) if d in at else "–" for d in chosen))


def _cell(row: Difference) -> str:
    """Return ``−0.18 x1.4``, or that no difference is seen."""
    found, factor = row.difference, row.data_factor
    if not (_seen(row) or math.isnan(found.low)):
        return _SHORT
    text = f"{'+' if found.value > 0 else ''}{number(found.value, 2)}"
    if math.isnan(found.low):
        return f"{text} ?"
    if factor is None or not _tells(factor):
        return text
    return f"{text} {factor.bound}x{times(factor.value)}"


def _tells(factor: DataFactor) -> bool:
    """True for a factor whose interval, or limit, excludes that nothing is gained or lost."""
    return factor.informative and bool(factor.bound or factor.low > 1 or factor.high < 1)


def _seen(row: Difference) -> bool:
    """True where the interval of a difference excludes zero."""
    return row.difference.high < 0 or row.difference.low > 0


def _at(rows: Sequence[Difference]) -> str:
    return ", ".join(short(row.examples or 0) for row in rows)


def worth(pair: PairedMixtures, noun: str) -> str:
    """Return up to which data size a mixture is better than its baseline, and what it is worth."""
    rows = pair.listed
    count = next((i for i, r in enumerate(rows) if not r.difference.high < 0), len(rows))
    better, rest = rows[:count], rows[count:]
    if not better:
        return _otherwise(pair)
    until = f"{'up to' if count > 1 else 'at'} {_at(better[-1:])} {noun}s"
    until = until if rest else "at every data size"
    text = f"{pair.mixture} is better than {pair.baseline} {until}"
    factors = {r: r.data_factor for r in dict.fromkeys((better[0], better[-1])) if r.data_factor}
    told = [
        with_interval(factor, 2) + (f" at {_at([row])}" if count > 1 else "")
        for row, factor in factors.items()
        if not factor.bound and _tells(factor)
    ]
    text += f", worth x{' and x'.join(told)}" if told else ""
    return f"{text}; beyond, {_beyond(rest)}." if rest else f"{text}."


def _beyond(rows: Sequence[Difference]) -> str:
    """Return what is seen where a mixture is no longer better throughout."""
    if all(math.isnan(row.difference.low) for row in rows):
        return "one model size was run, which has no interval"
    return " and ".join(_told(rows)) or NO_DIFFERENCE


def _told(rows: Sequence[Difference]) -> list[str]:
    better = [row for row in rows if row.difference.high < 0]
    worse = [row for row in rows if row.difference.low > 0]
    return [f"{word} at {_at(s)}" for word, s in (("better", better), ("worse", worse)) if s]


def _otherwise(pair: PairedMixtures) -> str:
    """Return how a mixture compares that is not better where data are few."""
    whole, pairs = pair.overall, f"{pair.overall.n_lower} of {pair.overall.n_pairs} pairs"
    if math.isnan(whole.difference.low):
        mean = number(whole.difference.value)
        return (
            f"{pair.mixture}: lower than {pair.baseline} in {pairs}, by {mean} on average; one "
            "model size, so no interval."
        )
    overall = f"on average over the data sizes {with_interval(whole.difference)}"
    told = _told(pair.listed)
    if not (told or _seen(whole)):
        return f"{pair.mixture}: {NO_DIFFERENCE} from {pair.baseline} at any data size; {overall}."
    return f"{pair.mixture} against {pair.baseline}: {', '.join([*told, overall])}."
