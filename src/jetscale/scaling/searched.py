"""What the search behind the learning rates says of a run table.

Columns of a run table: ``search``, the digest of the search that the rates of a mixture come from
(blank: it was in none), ``regret``, by how much the rate of a run misses the best one searched, in
loss, and ``regret_error``, its standard error. Half of a difference between two mixtures can be a
rate that suits one of them, so mixtures that were not searched alike are not compared unasked.
"""

import math

import pandas as pd

UNSEARCHED = (
    "learning rates were not searched: what looks like an effect of a mixture may be one of the "
    "rate; `jetscale tune` searches them alike for all"
)


def unlike(runs: pd.DataFrame) -> str:
    """Return which mixtures of a table were not searched as the first one was; empty for none.

    A table without a column ``search`` says nothing.

    >>> unlike(pd.DataFrame({"mixture": ["a", "b"], "search": ["f3", ""]}))
    'mixtures were not searched alike for their learning rates: b was not searched, a was'
    """
    if "search" not in runs:
        return ""
    found = runs.drop_duplicates("mixture").set_index("mixture")["search"].to_dict()
    without = [str(name) for name, search in found.items() if not search]
    within = [str(name) for name, search in found.items() if search]
    start = "mixtures were not searched alike for their learning rates: "
    if without and within:
        return f"{start}{_were(without)} not searched, {_were(within)}"
    if len(set(found.values())) > 1:
        return f"{start}the rates of {', '.join(within)} come from different searches"
    return ""


def _were(names: list[str]) -> str:
    return f"{', '.join(names)} {'was' if len(names) == 1 else 'were'}"


def rate_cost(runs: pd.DataFrame) -> float | None:
    """Return by how much better rates might lower the loss of some runs; None if unknown.

    The mean regret of their cells and its error, added in squares.
    """
    if not {"regret", "regret_error"} <= set(runs.columns):
        return None
    cells = runs[["regret", "regret_error"]].drop_duplicates()
    if cells.isna().to_numpy().any():
        return None
    error = math.sqrt(float((cells["regret_error"] ** 2).sum())) / len(cells)
    return math.hypot(float(cells["regret"].mean()), error)


def recipe_error(pairs: pd.DataFrame) -> float | None:
    """Return by how much a mean difference of loss may be one of the rates; None if unknown.

    ``pairs`` has the regrets of both runs of a pair, those of the baseline with ``_base``. The
    difference would move by that of the regrets if both mixtures had the best rate searched; that
    shift and its own error are added in squares.
    """
    names = ["regret", "regret_error", "regret_base", "regret_error_base"]
    if not set(names) <= set(pairs.columns):
        return None
    cells = pairs[names].drop_duplicates()  # runs near one searched cell have its regret
    if cells.isna().to_numpy().any():
        return None
    shift = float((cells["regret_base"] - cells["regret"]).mean())
    errors = cells["regret_error"] ** 2 + cells["regret_error_base"] ** 2
    return math.hypot(shift, math.sqrt(float(errors.sum())) / len(cells))
