"""One recipe decides the key of a run and what was held fixed.

The recipe of a study as it is recorded holds the settings of `jetscale.study.recipe.Recipe`, the
downstream jets, and the versions that stand beside the code they describe. Its digest is the only
identity of "held fixed": runs of different recipes are never compared. Device and library versions
do not enter; they are recorded, and reported where they vary between mixtures.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale import training
from jetscale.digests import digest
from jetscale.errors import StudyError
from jetscale.jets import generator
from jetscale.jets.shards import open_shards
from jetscale.mixtures import standardise
from jetscale.mixtures.quota import part_pools
from jetscale.models.protocol import ARCHITECTURES
from jetscale.objectives.protocol import OBJECTIVES
from jetscale.study import Declared, Folders, Mixture, Model, Recipe, Study


def recipe_of(study: Study) -> dict[str, Any]:
    """The recipe of a study with versions and downstream jets, as nested plain values.

    Raises DataError for a damaged shard folder, StudyError for an unknown architecture.
    """
    model = study.recipe.model
    versions = {
        "data": {"version": standardise.VERSION, "source": source_identity(study)},
        "model": versions_of(model),
    }
    if study.recipe.trainer is None:  # a command has a version of its own
        versions["training"] = {"version": training.VERSION}
    return follow(versions, study.recipe)


def versions_of(model: Model) -> dict[str, int | str]:
    """Versions of the architecture and of the objectives that a recipe names."""
    told = {
        "architecture_version": ARCHITECTURES.version(model.architecture),
        "objective_version": OBJECTIVES.version(model.objective),
    }
    if model.pretraining_objective is not None:
        told["pretraining_objective_version"] = OBJECTIVES.version(model.pretraining_objective)
    return told


_PRETRAINING = "pretraining_objective"
_BESIDE = (
    *("version", "source", "architecture_version", "objective_version"),
    f"{_PRETRAINING}_version",
)


def follow(recipe: Mapping[str, Any], settings: Recipe) -> dict[str, Any]:
    """A recorded recipe under other settings: what is not a setting in it stays."""
    plain = settings.to_dict()
    plain["training"] = {"precision": plain.pop("precision")}
    kept = {
        group: {k: v for k, v in recipe.get(group, {}).items() if k in _BESIDE} for group in plain
    }
    other = kept["model"].pop(f"{_PRETRAINING}_version", None)
    if settings.model.pretraining_objective is not None:
        kept["model"][f"{_PRETRAINING}_version"] = other
    elif other is not None and recipe["model"].get(_PRETRAINING) == settings.model.objective:
        kept["model"]["objective_version"] = other  # of a pretraining run
    return {group: kept[group] | values for group, values in plain.items()}


def flatten(values: Mapping[str, Any], prefix: str = "", join: str = ".") -> dict[str, Any]:
    """A nested recipe with one name per value, for tables.

    >>> flatten({"optimiser": {"clip": 1.0}, "training": {"version": 1}})
    {'optimiser.clip': 1.0, 'training.version': 1}
    """
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            out |= flatten(value, f"{prefix}{name}{join}", join)
        else:
            out[f"{prefix}{name}"] = value
    return out


def source_identity(study: Study) -> dict[str, Any]:
    """What decides the downstream jets: generator settings, or the content of the shard folders."""
    source = study.source
    if isinstance(source, Folders):
        return {role: source.open(role).digest for role in ("train", "validation", "test")}
    if isinstance(source, Declared):
        return {
            "declared": digest(source.downstream.identity),
            "corpus": source.downstream.name,
            "train_examples": source.train_examples,
            "seed": source.seed,
        }
    plain = asdict(source)
    del plain["pretraining"]  # decides what a mixture is, not what it is compared on
    return {"simulated": generator.VERSION, **plain}


def pretraining_identity(study: Study, mixture: Mixture) -> dict[str, Any]:
    """What decides the pretraining jets of a mixture, part by part."""
    source = study.source
    if isinstance(source, Folders):
        return {part: open_shards(Path(source.folder_of(part))).digest for part in mixture.parts}
    pools = part_pools(study)
    if isinstance(source, Declared):
        made = {part: digest(source.corpus_of(part).identity) for part in mixture.parts}
        return {part: {"jets": pools.get(part, 0), "declared": made[part]} for part in made}
    conditions = asdict(source.pretraining)
    return {part: {"jets": pools.get(part, 0), **conditions} for part in mixture.parts}


def study_identity(study: Study) -> str:
    """Digest of the name and recipe of a study; pretraining jets are in the keys of its runs."""
    return digest([study.name, recipe_of(study)])


def check_same_recipe(runs: pd.DataFrame) -> None:
    """Raise StudyError, the differences side by side, if recipes or jets differ.

    The jets are those of validation and test, and the first D of each stream to train on.
    """
    first = runs.iloc[0]
    for _, other in runs.drop_duplicates("recipe_digest").iterrows():
        _refuse_difference(first, other, flatten(first["recipe"]), flatten(other["recipe"]))
    known: dict[str, tuple[Any, str]] = {}  # stream to a run that has it, and its digest
    for _, other in runs.iterrows():
        for name, found in other["streams"].items():
            # a stream to train on grows with the data sizes: what a run used of it is named apart
            if ":" in name or not name.startswith("train-"):
                earlier, told = known.setdefault(name, (other, found))
                _refuse_difference(earlier, other, {name: told}, {name: found})


def _refuse_difference(first: Any, other: Any, a: dict[str, Any], b: dict[str, Any]) -> None:
    text = "; ".join(
        f"{name}: {a.get(name)!r} against {b.get(name)!r}"
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    )
    if text:
        raise StudyError(
            f"runs of {first['mixture']!r} and {other['mixture']!r} were made with different "
            f"recipes and cannot be compared ({text}); rerun one of them"
        )


def report_variation(runs: pd.DataFrame) -> list[str]:
    """One line for the device and for each library version that varies between runs.

    >>> report_variation(pd.DataFrame(
    ...     {"mixture": ["a", "b"], "device": ["cpu", "H200"], "versions": [{"torch": "2"}] * 2}
    ... ))
    ['device varies between runs: cpu (a), H200 (b); differences of mixtures may be due to it']
    """
    columns = {"device": runs["device"].tolist()}
    for name in sorted({name for versions in runs["versions"] for name in versions}):
        columns[f"version of {name}"] = [versions.get(name, "?") for versions in runs["versions"]]
    lines = []
    for what, values in columns.items():
        users: dict[str, dict[str, None]] = {}
        for mixture, value in zip(runs["mixture"], values, strict=True):
            users.setdefault(value, {})[mixture] = None
        if len(users) > 1:
            listed = ", ".join(f"{value} ({', '.join(names)})" for value, names in users.items())
            lines.append(
                f"{what} varies between runs: {listed}; differences of mixtures may be due to it"
            )
    return lines
