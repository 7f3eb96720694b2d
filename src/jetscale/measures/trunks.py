"""The pretrained trunks of a study, if it has any, measured on downstream validation jets.

The smallest and the largest model size are looked at, all training seeds of each. Trunks with
their first random weights give the row to compare with: what pretraining has added.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jetscale.jets.schema import FEATURE_SETS
from jetscale.measures.alignment import FOLDS
from jetscale.measures.result import DOWNSTREAM, Value
from jetscale.measures.sample import model_inputs, read_stream
from jetscale.measures.transfer import transfer
from jetscale.mixtures.declared import Progress
from jetscale.models.inputs import feature_inputs
from jetscale.plan import plan_runs
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study import ModelSize, Study

Trunks = dict[tuple[str, ModelSize], dict[int, Path | None]]
"""Row of the table and model size to the weights of every training seed; None is untrained."""

MOST_JETS = 2000
_SEED = 1


def measure_trunks(
    study: Study, home: Home, shards: Mapping[str, Path], progress: Progress
) -> tuple[dict[str, dict[str, dict[str, Value]]], list[str]]:
    """Row to model size to measures, and remarks on what is missing.

    The row of the downstream jets holds the untrained trunks.
    """
    trunks = find_trunks(study, home)
    without = [m.name for m in study.pretrained if not any(m.name == name for name, _ in trunks)]
    remarks = []
    if without:
        remarks.append(
            f"no pretrained trunk of {', '.join(without)} yet: LogME and the linear probe come "
            "after `jetscale run`"
        )
    if not trunks:
        return {}, remarks
    wanted = min(MOST_JETS, study.recipe.evaluation.validation_jets)
    jets = model_inputs(read_stream(study, shards, "validation", wanted), study.recipe)
    fewest = int(np.unique(jets.labels, return_counts=True)[1].min())
    if fewest < FOLDS:
        remarks.append(
            f"a class has {fewest} validation jets, a linear probe takes {FOLDS}: not measured"
        )
        return {}, remarks
    for (_, size), weights in list(trunks.items()):  # as many untrained trunks of each size
        trunks.setdefault((DOWNSTREAM, size), {}).update(dict.fromkeys(weights))
    remarks.append(
        "transfer: mean over training seeds; intervals are over validation jets, not over training "
        "seeds; the downstream row is the untrained trunk"
    )
    from jetscale.training.embed import pooled_vectors  # torch, only where there are trunks

    features = feature_inputs(FEATURE_SETS[study.recipe.data.features])
    out: dict[str, dict[str, dict[str, Value]]] = {}
    for done, ((name, size), weights) in enumerate(trunks.items()):
        progress("measuring trunks", done, len(trunks))
        vectors = [
            pooled_vectors(jets, size, study.recipe, features, seed=seed, trunk=trunk)
            for seed, trunk in sorted(weights.items())
        ]
        out.setdefault(name, {})[size.name] = transfer(vectors, jets.labels, _SEED)
    progress("measuring trunks", len(trunks), len(trunks))
    return out, remarks


def find_trunks(study: Study, home: Home) -> Trunks:
    """Trunks on disk of the smallest and the largest model size."""
    runs = plan_runs(study)
    store = RecordStore.open(study, home, runs)
    pretraining = [run for run in runs if run.kind == "pretrain"]
    by_params = sorted({(run.params_non_embedding, run.size.name) for run in pretraining})
    ends = {name for _, name in (by_params[0], by_params[-1])} if by_params else set()
    found: Trunks = {}
    for run in pretraining:
        path = store.trunk(run.key)
        if run.size.name in ends and path.is_file():
            found.setdefault((run.mixture.name, run.size), {})[run.seed] = path
    return found
