"""Recipe files: the optimiser that `jetscale tune` found, as a sweep file loads it."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from jetscale.digests import digest
from jetscale.errors import StudyError
from jetscale.store.local import write_json
from jetscale.study.checks import require
from jetscale.study.rates import STARTS, RateLaw, Rates, Regret
from jetscale.study.recipe import Optimiser, Schedule

FORMAT = 1
SUFFIX = ".recipe.json"


def load_optimiser(path: str | Path) -> Optimiser:
    """The optimiser of a recipe file, with the rate laws and the regrets of their search.

    In a sweep file: ``optimiser=load_optimiser(__file__)`` reads ``composition.recipe.json``
    beside ``composition.py``. Raises StudyError for a file that is missing, damaged or edited.
    """
    return Optimiser(**_settings(_read(Path(path)), Optimiser))


def load_schedule(path: str | Path) -> Schedule:
    """The schedule of a recipe file; raises as `load_optimiser`."""
    return Schedule(**_settings(_read(Path(path)), Schedule))


def recipe_path(sweep: Path) -> Path:
    """The recipe file that belongs to a sweep file: ``composition.recipe.json`` beside it."""
    return sweep if sweep.name.endswith(SUFFIX) else sweep.with_name(sweep.stem + SUFFIX)


def write_recipe(path: Path, content: Mapping[str, Any]) -> str:
    """Write a recipe file with its format and digest, atomically; returns the digest."""
    whole = {"format": FORMAT, **content}
    whole["digest"] = digest(whole)
    write_json(path, whole)
    return str(whole["digest"])


def _read(path: Path) -> dict[str, Any]:
    path = recipe_path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(
            f"recipe file {path}: {error.strerror}; copy it there, or take it out of the "
            "sweep and make it with `jetscale tune`"
        ) from error
    except (ValueError, RecursionError) as error:
        raise StudyError(f"recipe file {path} is not JSON ({error}); make it again") from error
    good = isinstance(content, dict) and content.get("format") == FORMAT
    require(good, f"recipe file {path}: not of format {FORMAT}; make it again")
    told = content.pop("digest", None)
    edited = f"recipe file {path} was edited (digest {told}); state rates of your own with Rates"
    require(told == digest(content), f"{edited}(...), or make it again with `jetscale tune`")
    return dict(content)


def _settings(content: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Settings of one group of the recipe."""
    values = dict(content[kind.__name__.lower()])
    if rates := values.pop("rates", None):
        values["rates"] = Rates(
            **{start: RateLaw(**rates[start]) for start in STARTS},
            search=content["search"]["digest"],
            arms=tuple(content["search"]["mixtures"]),
            regrets=tuple(Regret(**row) for row in content["regrets"]),
            schedule=content.get("schedule", {}),
        )
    known = {f.name for f in fields(kind)}
    return {name: value for name, value in values.items() if name in known}
