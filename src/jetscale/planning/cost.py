"""What runs cost: exact parameters, expected FLOPs and seconds."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import StudyError
from jetscale.jets.schema import JETCLASS2, JETS
from jetscale.mixtures.inputs import pretraining_stream
from jetscale.mixtures.stream import open_stream
from jetscale.models.build import build_model
from jetscale.models.inputs import feature_inputs
from jetscale.objectives.shape import Shape
from jetscale.study import Mixture, ModelSize, Study


@lru_cache
def typical_lengths(
    limit: int, typical: float = JETS.typical_length, spread: float = JETS.length_spread
) -> NDArray[np.float64]:
    """Lengths of 2000 typical examples cut to ``limit`` constituents, not whole numbers.

    From a log-normal multiplicity with median ``typical`` and width ``spread``, by default those of
    JetClass-like jets; exact sums replace it once the streams exist.
    """
    quantiles = (np.arange(2000) + 0.5) / 2000
    deviations = np.array([NormalDist().inv_cdf(q) for q in quantiles])
    lengths: NDArray[np.float64] = np.clip(typical * np.exp(spread * deviations), 1, limit)
    lengths.flags.writeable = False  # it is kept for the next caller
    return lengths


def _expected_flops(study: Study, shape: Shape, jets: int) -> float:
    schema = study.schema
    likely = typical_lengths(shape.constituents, schema.typical_length, schema.length_spread)
    return shape.expected_flops(jets, likely)


def budget_of(study: Study) -> dict[str, Any]:
    """What an equal-FLOPs budget depends on beside the recipe, for keys; that of jets is fixed."""
    if study.recipe.data.pretraining_budget == "jets" or study.schema == JETS:
        return {}
    length, spread = str(study.schema.typical_length), study.schema.length_spread  # may be infinite
    return {"budget": {"length": length, "spread": spread, "classes": len(study.classes)}}


def plan_cost(
    study: Study, size: ModelSize, classes: int, examples: int, *, pretraining: bool
) -> dict[str, Any]:
    """Epochs, parameters, optimiser steps and expected FLOPs of a run, by field name."""
    schedule = study.recipe.schedule
    epochs = schedule.passes(examples, pretraining=pretraining)
    shape = _shape(study, size, classes, pretraining=pretraining)
    count = shape.parameters
    return {
        "epochs": epochs,
        "params": count.total,
        "params_non_embedding": count.non_embedding,
        "steps": schedule.steps(examples, epochs),
        "flops": _expected_flops(study, shape, examples * epochs),
    }


def check_parametrization(study: Study) -> None:
    """Raise StudyError where the architecture cannot be trained in the parametrization asked for.

    Its smallest model is built to find out, as runs would fail one by one.
    """
    if study.recipe.model.parametrization != "standard":
        shape = _shape(study, study.ladder[0], len(study.classes), pretraining=False)
        made = shape.size, shape.features, shape.outputs
        build_model(shape.model, *made, trunk_seed=0, head_seed=0)


def _shape(study: Study, size: ModelSize, classes: int, *, pretraining: bool) -> Shape:
    return Shape(
        model=study.recipe.model.at("pretraining" if pretraining else "scratch"),
        size=size,
        features=feature_inputs(feature.name for feature in study.features),
        classes=classes,
        constituents=study.recipe.data.constituents,
    )


def pretraining_examples(
    study: Study, mixture: Mixture, size: ModelSize, lengths: NDArray[np.int64], classes: int
) -> int:
    """Jets a pretraining run uses of a stream of ``classes`` whose jets have ``lengths`` tokens.

    Raises StudyError where the FLOPs of the whole stream are fewer than the budget.
    """
    data = study.recipe.data
    if data.pretraining_budget == "jets":
        return data.pretraining_jets
    # of a typical jet and the whole corpus (elsewhere: the task), so that no mixture enters its own
    whole = len(JETCLASS2 if study.schema == JETS else study.classes)
    typical, own = (_shape(study, size, n, pretraining=True) for n in (whole, classes))
    budget = _expected_flops(study, typical, data.pretraining_jets)
    spent = np.cumsum(own.flops_by_jet(lengths))
    if spent[-1] < budget:
        raise StudyError(
            f"mixture {mixture.name!r}: its {len(lengths)} pretraining jets are small and cost "
            f"{spent[-1] / budget:.2f} of the common FLOPs; use pretraining_budget 'jets'"
        )
    return int(np.searchsorted(spent, budget, side="right"))


def check_budgets(study: Study, streams: Mapping[str, Path]) -> None:
    """Raise StudyError if an equal-FLOPs budget is more than the jets of some mixture can spend."""
    if study.recipe.data.pretraining_budget == "jets":
        return
    for mixture in study.pretrained:
        blocks = open_stream(streams[pretraining_stream(mixture)]).iter_blocks()
        lengths = np.concatenate([block.lengths for block in blocks])
        for size in study.ladder:
            pretraining_examples(study, mixture, size, lengths, len(study.labels(mixture)))
