"""Keys that version 0.1 gave to the runs of a study, so that its results are found again.

That version hashed the settings flat and the architecture as a sentence. Its results are those of
today as long as every version below is what it was then.
"""

from collections.abc import Sequence

from jetscale.digests import digest
from jetscale.planning.identity import flatten, pretraining_identity, recipe_of, source_identity
from jetscale.planning.run import Run
from jetscale.study import Simulated, Study

_ARCHITECTURE = "pre-norm transformer, RMSNorm, SwiGLU, mean and attention pooling, version 1"
_VERSIONS = {
    "data.version": 1,
    "model.architecture": "transformer",
    "model.architecture_version": 1,
    "model.objective": "classify",
    "model.objective_version": 1,
    "training.version": 1,
    "training.precision": "float32",
}
_SIMULATED = 3


def former_keys(study: Study, runs: Sequence[Run]) -> dict[str, str]:
    """Key of a run to the key that version 0.1 gave it; empty where results would differ."""
    if study.recipe.trainer is not None:  # which that version did not have
        return {}
    recipe, source = recipe_of(study), source_identity(study)
    now = flatten(recipe)
    later = {name for name in now if name.startswith("model.")} - _VERSIONS.keys()
    if (
        later  # a setting of the model that version 0.1 did not have
        or any(now[name] != value for name, value in _VERSIONS.items())
        or (isinstance(study.source, Simulated) and source["simulated"] != _SIMULATED)
    ):
        return {}
    # version 0.1 listed the settings flat and without versions
    groups = ("data", "optimiser", "schedule", "evaluation")
    flat = {name: value for group in groups for name, value in recipe[group].items()}
    flat = {name: value for name, value in flat.items() if name not in ("version", "source")}
    fixed = {"architecture": _ARCHITECTURE, "controls": flat, "source": source}
    pretraining = {m.name: pretraining_identity(study, m) for m in study.mixtures}
    found: dict[str, str] = {}
    for run in runs:
        # a search has runs of other recipes beside, and runs that start from their trunks
        if run.recipe == study.recipe and (run.trunk is None or run.trunk in found):
            own = {"pretraining": pretraining[run.mixture.name]} | run.own_fields()
            found[run.key] = digest(fixed | own)
    return found
