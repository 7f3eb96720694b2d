"""What each mixture buys: differences at a few data sizes, and a sentence for each mixture."""

import math
from collections.abc import Iterator, Sequence

from jetscale.analysis import Analysis
from jetscale.answers.values import NO_DIFFERENCE, Answer
from jetscale.scaling.comparison.paired import Difference, PairedMixtures
from jetscale.scaling.table import noun_of
from jetscale.words import short, times, with_interval

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
    named = against[:_NAMED]
    names = {pair.mixture for pair in named}
    among = [pair for pair in study.pairs if {pair.mixture, pair.baseline} <= names]
    told = [worth(pair, noun) for pair in (*named, *among[: _NAMED - 1])]
    if len(against) > _NAMED:
        better = sum(pair.overall.difference.high < 0 for pair in against)
        told.append(f"{better} of {len(against)} mixtures are better over all data sizes.")
    return Answer(
        question=f"What does {'pretraining' if base == 'scratch' else 'a mixture'} buy?",
        about=f"({found.quantity} against {base}; x: {noun}s it is worth)",
        answered=True,
        rows=tuple(_rows(named)),
        sentences=tuple(told),
    )


def _rows(pairs: Sequence[PairedMixtures]) -> Iterator[tuple[str, ...]]:
    """Yield differences and effective data at a few data sizes, smallest and largest included."""
    sizes = sorted({row.examples or 0 for pair in pairs for row in pair.listed})
    steps = max(1, min(_COLUMNS, len(sizes)) - 1)
    chosen = sorted({sizes[round(i * (len(sizes) - 1) / steps)] for i in range(steps + 1)})
    yield ("D", *map(short, chosen))
    for pair in pairs:
        at = {row.examples: row for row in pair.listed}
        yield (pair.mixture, *(_cell(at[d]) if d in at else "–" for d in chosen))


def _cell(row: Difference) -> str:
    """Return ``-0.18 x1.4``, or that no difference is seen."""
    found, factor = row.difference, row.data_factor
    if not _seen(row):
        return f"{found.value:+.2f} ?" if math.isnan(found.low) else _SHORT
    text = f"{found.value:+.{2 if abs(found.value) >= 0.01 else 3}f}"
    if factor is None or not factor.informative:
        return text
    return f"{text} {factor.bound}x{times(factor.value)}"


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
    ends = dict.fromkeys((better[0], better[-1]))
    factors = {row: row.data_factor for row in ends if row.data_factor}
    told = [
        with_interval(factor, 2) + (f" at {_at([row])}" if count > 1 else "")
        for row, factor in factors.items()
        if not factor.bound and factor.informative
    ]
    text += f", worth x{' and x'.join(told)}" if told else ""
    if not rest:
        return f"{text}."
    seen = [row for row in rest if _seen(row)]
    if not seen:
        return f"{text}; beyond, {NO_DIFFERENCE}."
    words = {"better": [r for r in seen if r.difference.high < 0]}
    words["worse"] = [r for r in seen if r.difference.low > 0]
    also = " and ".join(f"{word} at {_at(some)}" for word, some in words.items() if some)
    return f"{text}; beyond, {also}."


def _otherwise(pair: PairedMixtures) -> str:
    """Return how a mixture compares that is not better where data are few."""
    better = [row for row in pair.listed if row.difference.high < 0]
    worse = [row for row in pair.listed if row.difference.low > 0]
    overall = f"over all data sizes {with_interval(pair.overall.difference)}"
    if not (better or worse or _seen(pair.overall)):
        return (
            f"{pair.mixture}: {NO_DIFFERENCE} from {pair.baseline} is seen at any data size "
            f"({overall})."
        )
    told = [f"{word} at {_at(s)}" for word, s in (("better", better), ("worse", worse)) if s]
    return f"{pair.mixture} against {pair.baseline}: {', '.join([*told, overall])}."
