"""What a worker is told of the weights that a run is to leave."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from jetscale.mixtures.stream import Stream
from jetscale.planning import Run
from jetscale.planning.identity import follow
from jetscale.store.models import is_wanted, model_path
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.training.leave import ModelFile


def model_file(
    study: Study, store: RecordStore, run: Run, recipe: Mapping[str, Any], stream: Stream
) -> ModelFile | None:
    """Where the weights of a run go if they are to be kept; None for pretraining.

    ``recipe`` is that of the study as it is recorded, ``stream`` what the run trains on.
    """
    if run.kind == "pretrain" or study.keep == "none":
        return None
    return ModelFile(
        path=model_path(study, store.folder, run),
        about={
            "study": study.name,
            "name": run.name,
            "mixture": run.mixture.name,
            "recipe": follow(recipe, run.recipe),
            "schema": stream.recipe.get("inputs"),  # None for jets, whose columns are known
        },
        wanted=partial(is_wanted, study, store, run),
    )
