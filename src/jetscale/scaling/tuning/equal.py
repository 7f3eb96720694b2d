"""Was every arm of a search given the same chance: cells, factors of the rate and seeds?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.scaling.tuning.search import Cell, cells, sides
from jetscale.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSearch:
    """How one arm was searched."""

    start: str
    mixture: str
    n_cells: int
    n_rates: int  # over all cells
    n_runs: int
    n_seeds: int  # different ones
    n_diverged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEquality:
    """Whether all arms were searched alike; those of pretraining are compared with each other."""

    arms: tuple[ArmSearch, ...]
    differences: tuple[str, ...]  # one sentence each; empty where all arms are alike

    @property
    def equal(self) -> bool:
        """Return True where every arm had the same cells, relative rates and seeds."""
        return not self.differences

    def __str__(self) -> str:
        """Return the verdict as sentences."""
        if self.equal:
            return "Every arm was searched at the same cells, factors of the rate and seeds."
        return "The arms were not searched alike. " + " ".join(self.differences)


def equal_search(search: pd.DataFrame) -> SearchEquality:
    """Return how each arm was searched, and what differs between them.

    Rates are compared relative to the lowest of their cell: starts may have different bases. An
    arm is a start and a mixture. Raises TableError for an unusable table.
    """
    arms, differences = [], []
    for side in sides(cells(search)):
        groups: dict[tuple[str, str], list[Cell]] = {}
        for cell in side:
            groups.setdefault((cell.start, cell.mixture), []).append(cell)
        arms += [_count(*key, group) for key, group in groups.items()]
        first, *others = groups
        for other in others:
            if why := _difference(groups[first], groups[other]):
                differences.append(f"{_name(*other)} against {_name(*first)}: {why}.")
    return SearchEquality(arms=tuple(arms), differences=tuple(differences))


def _name(start: str, mixture: str) -> str:
    return start if start == mixture else f"{start} {mixture}"


def _count(start: str, mixture: str, group: Sequence[Cell]) -> ArmSearch:
    return ArmSearch(
        start=start,
        mixture=mixture,
        n_cells=len(group),
        n_rates=sum(len(cell.log_rates) for cell in group),
        n_runs=int(sum((~np.isnan(cell.log_losses)).sum() for cell in group)),
        n_seeds=len({float(seed) for cell in group for seed in cell.seeds}),
        n_diverged=int(sum(np.isposinf(cell.log_losses).sum() for cell in group)),
    )


def _difference(first: Sequence[Cell], other: Sequence[Cell]) -> str:
    """Return the first thing that the cells of two arms differ in; empty where they do not."""
    ours, theirs = ({(c.width, c.examples): c for c in group} for group in (other, first))
    for had, lacked, word in ((ours, theirs, "more"), (theirs, ours, "fewer")):
        if extra := sorted(set(had) - set(lacked)):
            width, examples = extra[0]
            return f"{counted(len(extra), 'cell')} {word}, the first at {_at(width, examples)}"
    for key in sorted(ours):
        pair = ours[key], theirs[key]
        if why := _unlike(*pair):
            return f"{why} at {_at(*key)}"
    return ""


def _unlike(one: Cell, two: Cell) -> str:
    if one.steps != two.steps:
        return f"{one.steps:g} steps instead of {two.steps:g}"
    factors, wanted = (np.exp(c.log_rates - c.log_rates[0]) for c in (one, two))
    if len(factors) != len(wanted):
        return f"{counted(len(factors), 'rate')} instead of {len(wanted)}"
    if not np.allclose(factors, wanted, rtol=1e-3):
        return f"factors of the rate {_list(factors)} instead of {_list(wanted)}"
    if set(one.seeds) != set(two.seeds):
        return f"seeds {_list(one.seeds)} instead of {_list(two.seeds)}"
    if (gaps := np.isnan(one.log_losses).sum()) != (other := np.isnan(two.log_losses).sum()):
        return f"{counted(int(gaps), 'run')} missing instead of {other}"
    return ""


def _list(values: Sequence[float] | np.ndarray) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


def _at(width: float, examples: float) -> str:
    return f"width {width:g}, examples {examples:g}"
