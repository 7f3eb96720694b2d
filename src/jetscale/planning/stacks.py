"""Which runs a worker trains in lock step, and how many: neither torch nor Ray is needed.

A step of a small model is bound by the number of operations, so K of them in a stack (see
`jetscale.models.stack`) take little longer than one. What is not small gains nothing and leaves the
cache: measured in ``benchmarks/stacking.md``. Stacking changes neither keys nor weights: runs whose
batches would differ are trained apart (see `jetscale.training.engine.equal_batches`).
"""

from collections.abc import Hashable
from dataclasses import replace
from functools import lru_cache

from jetscale.models.protocol import architecture_named
from jetscale.objectives.protocol import is_stackable
from jetscale.planning.run import Run
from jetscale.study import Recipe

SMALL = {"cpu": 32_000, "cuda": 2**20}
"""Numbers in the residual stream of a step, jets x constituents x width, above which it does not
pay. For a GPU nothing has been measured."""
ALL = {"cpu": 2**18, "cuda": 2**24}
"""The same of all models of a stack together."""
MOST = {"cpu": 24, "cuda": 64}
"""Runs of a stack."""


def shape_of(run: Run) -> Hashable:
    """What runs must share to be trained in one stack: all but start, rate, seed and jets.

    What a trunk was pretrained to do is part of the start. The parameters tell heads of other
    numbers of classes apart. Pretraining runs share the mixture, too: a worker would hold the jets
    of all of them.
    """
    recipe = _of_any_start(run.recipe)
    mixture = run.mixture.name if run.kind == "pretrain" else ""
    return run.kind, mixture, run.size, run.params, run.examples, run.epochs, run.steps, recipe


@lru_cache(maxsize=256)  # of thousands of runs, a few recipes
def _of_any_start(recipe: Recipe) -> Recipe:
    one = {"learning_rate": 1.0, "width_exponent": 0.0, "steps_exponent": 0.0}
    model = replace(recipe.model, pretraining_objective=None)
    return replace(recipe, model=model, optimiser=replace(recipe.optimiser, rates=None, **one))


def most_in_stack(run: Run, device: str = "cpu") -> int:
    """How many runs of this one's shape a worker should train together; 1 where it does not pay.

    A mixture that pretrains for equal FLOPs has jets of its own number: its runs stay alone.
    """
    if run.by_command:
        return 1
    model, data = run.recipe.model, run.recipe.data
    stackable = getattr(architecture_named(model.architecture), "stackable", False)
    if not (stackable and is_stackable(model.objective)):
        return 1
    if run.kind == "pretrain" and data.pretraining_budget != "jets":
        return 1
    constituents = run.flops / (6 * run.params_non_embedding * run.steps)  # of a step, or some more
    stream = constituents * run.size.width
    if stream > SMALL[device]:
        return 1
    return max(1, min(MOST[device], int(ALL[device] // stream)))
