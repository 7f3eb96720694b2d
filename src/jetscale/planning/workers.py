"""How many workers a run deserves, and what nodes offer."""

from dataclasses import dataclass

from jetscale.planning.run import Run

SHARE = 0.9  # of the sweep that a chain may last: starts and faults come on top
LONG = 600.0  # seconds; a shorter run is not worth the start of a group of several workers
FEWEST = 4  # examples of a batch that each worker gets at least
GAIN = 0.9  # a group of w workers is about w ** GAIN times as fast as one


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine of a cluster and the workers that fit it."""

    name: str
    slots: int


def workers_of(run: Run, chain: float, total: float, slots: int, most: int) -> int:
    """The workers that a run deserves in a sweep of ``total`` seconds on ``slots``.

    ``chain`` are the seconds of the run with its trunk, or of a trunk with the longest run that
    starts from it, on one worker. One worker per run wastes nothing as long as there are enough
    runs. A chain that would last longer than the sweep makes all wait, so its runs get the fewest
    workers, a power of two up to ``most``, that bring it well below (or below ten minutes). A
    command that trains is one process, whatever it starts.
    """
    if run.by_command:
        return 1
    schedule = run.recipe.schedule
    batch = schedule.batch(run.examples, run.epochs)
    limit, workers = max(SHARE * total / max(slots, 1), LONG), 1
    while (
        chain / workers**GAIN > limit and 2 * workers <= most and batch // (2 * workers) >= FEWEST
    ):
        workers *= 2
    return workers
