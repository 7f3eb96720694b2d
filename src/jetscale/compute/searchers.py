"""Proposing points of a search: Ray Tune's Optuna searcher, asked and told from outside of Tune.

A point is trained for every mixture on every cell, which takes many runs, so a Tune trial cannot be
one point. The searcher is asked for some points, their runs are trained as any others, and it is
told how good they were. With the same seed and results it proposes the same again, so a search that
was stopped goes on without a state of its own.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jetscale.errors import MissingExtra, SweepError

Space = Mapping[str, Sequence[Any]]
"""Setting to the values to choose from; of ``rate`` names the ends of a range."""
Judge = Callable[[list[dict[str, Any]]], list[float]]
"""Given points in the order proposed: how bad each is; infinite for one that diverged."""
BATCH = 4  # points proposed before any of them is judged; starting a sweep takes half a minute
_WORST = 1e9  # the searcher takes no infinity
RATES = ("rate", "pretraining_rate")


def propose(
    how: str, space: Space, count: int, judge: Judge, seed: int = 1
) -> list[dict[str, Any]]:
    """Points of a space, drawn at ``random`` or by ``optuna``'s tree of Parzen estimators.

    Raises MissingExtra without the package optuna, SweepError where it refuses the space.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("optuna", "tune") from error
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)
    domains = {
        name: tune.loguniform(min(values), max(values)) if name in RATES else tune.choice(values)
        for name, values in space.items()
        if len(set(values)) > 1
    }
    if not domains:
        raise SweepError("there is nothing to search: give --rates a range, or --try two values")
    kinds = {"random": optuna.samplers.RandomSampler, "optuna": optuna.samplers.TPESampler}
    searcher = OptunaSearch(
        OptunaSearch.convert_search_space(domains),
        metric="loss",
        mode="min",
        sampler=kinds[how](seed=seed),
    )
    points: list[dict[str, Any]] = []
    while len(points) < count:
        names = [f"point-{i}" for i in range(len(points), min(len(points) + BATCH, count))]
        asked = [dict(searcher.suggest(name)) for name in names]
        for point in asked:  # digits that a person can read, and the same key on every machine
            point |= {name: float(f"{point[name]:.3g}") for name in RATES if name in point}
        points += asked
        for name, loss in zip(names, judge(points)[-len(names) :], strict=True):
            searcher.on_trial_complete(name, {"loss": min(loss, _WORST)})
    return points
