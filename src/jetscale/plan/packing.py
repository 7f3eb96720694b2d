"""Trials: which runs one Ray Train worker group executes.

Starting a worker group takes half a minute and a small run takes seconds, so a trial packs many
runs. Runs of one chain stay together: fine-tuning needs the trunk.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from jetscale.digests import digest
from jetscale.plan.run import Run, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Runs that one worker group executes in this order."""

    name: str
    runs: tuple[Run, ...]


def chains(todo: Iterable[Run]) -> list[list[Run]]:
    """Runs grouped by what must happen in order: a trunk and what starts from it.

    Of runs from random weights those of one size, seed and recipe stay together.
    """
    groups: dict[object, list[Run]] = {}
    for run in todo:
        trunk = run.key if run.kind == "pretrain" else run.trunk
        groups.setdefault(trunk or (run.size, run.seed, run.recipe), []).append(run)
    return list(groups.values())


def pack(
    todo: Sequence[Run],
    slots: int,
    *,
    longest: float = 1800.0,
    cost: Callable[[Run], float] = seconds,
) -> tuple[Trial, ...]:
    """Trials of similar length: longest chain first, each to the shortest trial so far.

    ``todo`` has trunks before the runs that need them. The number of trials is a multiple of
    ``slots`` if chains suffice, each of about ``longest`` seconds.
    """
    groups = sorted(chains(todo), key=lambda chain: -sum(map(cost, chain)))
    if not groups:
        return ()
    waves = max(1, ceil(sum(map(cost, todo)) / (longest * slots)))
    bins: list[list[Run]] = [[] for _ in range(min(len(groups), waves * slots))]
    loads = [0.0] * len(bins)
    for chain in groups:
        shortest = loads.index(min(loads))
        bins[shortest] += chain
        loads[shortest] += sum(map(cost, chain))
    return tuple(
        Trial(name=f"trial-{digest([run.key for run in chosen])[:8]}", runs=tuple(chosen))
        for chosen in bins
    )
