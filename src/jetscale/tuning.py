"""What a search over rates and settings says: rate laws, what they cost, and what to search next.

`tuned` computes everything once from the table of a search; commands and figures render it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

import jetscale.scaling.tuning as rates
from jetscale.errors import FitError
from jetscale.jsonable import HIDDEN
from jetscale.scaling.estimate import Estimate
from jetscale.study import RateLaw, Rates, Recipe, Regret, Study
from jetscale.study.rates import REFERENCE_STEPS, REFERENCE_WIDTH, STARTS
from jetscale.study.search import Search
from jetscale.study.tuned import write_recipe

_PRE = "pretraining"
_CELL = ["start", "mixture", "width", "examples", "seed"]
_CLEAR = 2.0  # standard errors by which a setting must be better than the study's own to be taken


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingEffect:
    """A setting that was tried by itself, against the study's own."""

    setting: str  # ``weight_decay=0.1``
    effect: float  # mean change of log validation loss over the same cells and seeds
    error: float  # its standard error over cells
    pairs: int
    chosen: bool  # the best of its kind, and better by more than `_CLEAR` errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The answer of a search; ``print(tuning)`` says it."""

    study: str
    search: Search
    table: pd.DataFrame = field(repr=False, compare=False, metadata=HIDDEN)
    optima: tuple[rates.CellOptimum, ...]
    laws: rates.RateLaws
    kept: Mapping[str, str]  # start to why the study's own law stays
    regrets: tuple[rates.CellRegret, ...]
    equal: rates.SearchEquality
    settings: tuple[SettingEffect, ...]
    recipe: Recipe = field(metadata=HIDDEN)  # that of the study, with what was found
    diverged: int  # runs
    json_also: ClassVar[tuple[str, ...]] = ("sentence", "widening")

    @property
    def sentence(self) -> str:
        """The laws in words."""
        found = self.recipe.optimiser
        parts = [f"{start} {_formula(found.law(start))}" for start in STARTS]
        shared = "scratch and fine-tuning share a law" if self.laws.shared else "no law is shared"
        return f"Peak rates: {'; '.join(parts)} ({shared})."

    @property
    def widening(self) -> str:
        """The options of `jetscale tune` that search beyond open ends; empty without any."""
        return _wider(self.search, self.optima)

    @property
    def arms(self) -> tuple[str, ...]:
        """The mixtures, where all were searched alike; none where they were not."""
        return _arms(self.equal)

    def __str__(self) -> str:
        return self.sentence

    def write(self, path: Path) -> str:
        """Write the recipe file that a sweep file loads; returns its digest."""
        plain = self.recipe.to_dict()
        return write_recipe(
            path,
            {
                "about": self.sentence,
                "study": self.study,
                "search": self._searched(),
                "optimiser": plain["optimiser"],
                "schedule": plain["schedule"],
                "laws": {start: _told(law) for start, law in self.laws.laws.items()},
                "shared": self.laws.shared,
                "kept": dict(self.kept),
                "regrets": [asdict(regret) for regret in self._compact()],
            },
        )

    def _searched(self) -> dict[str, Any]:
        return {
            "digest": self.search.digest,
            "runs": len(self.table),
            "mixtures": list(self.arms),
            "rates": list(self.search.rates),
            "pretraining_rates": list(self.search.pretraining_rates),
            "widths": [size.width for size in self.search.sizes],
            "data_sizes": list(self.search.data_sizes),
            "seeds": list(self.search.seeds),
        }

    def _compact(self) -> list[Regret]:
        """The regrets of runs on the downstream task, as a recipe keeps them."""
        return [
            Regret(
                mixture=r.mixture,
                width=r.width,
                examples=round(r.examples),
                regret=_rounded(r.regret),
                error=_rounded(r.error),
            )
            for r in self.regrets
            if r.start != "pretraining" and np.isfinite([r.regret, r.error]).all()
        ]


def tuned(study: Study, search: Search, table: pd.DataFrame) -> Tuning:
    """The rate laws that the runs of a search determine, and what they cost in every cell.

    ``table`` is that of `jetscale.sweep.tune.load_search`. Raises TableError for an unusable one,
    FitError where the runs do not determine the law of scratch or fine-tuning.
    """
    plain = table[table["setting"] == ""]
    try:
        laws, kept = _laws(study, plain)
    except FitError as error:
        wider = _wider(search, rates.find_optima(plain))
        hint = f"; search on with {wider}" if wider else ""
        raise FitError(f"{error}{hint}") from error
    effects = _effects(table)
    chosen = {}
    for effect in effects:
        name, _, text = effect.setting.partition("=")
        if effect.chosen:
            own = getattr(study.recipe.schedule, name, None)
            own = getattr(study.recipe.optimiser, name) if own is None else own
            chosen[name] = type(own)(float(text))
    own_law = study.recipe.optimiser.law
    found = {start: own_law(start) for start in STARTS}
    found |= {start: _rounded_law(law) for start, law in laws.laws.items() if start in STARTS}
    if "scratch" not in laws.laws:
        found["scratch"] = found["pretrained"]
    elif "pretrained" not in laws.laws:
        found["pretrained"] = found["scratch"]
    equal = rates.equal_search(plain[plain["start"] != "pretraining"])
    settled = Rates(
        scratch=found["scratch"],
        pretrained=found["pretrained"],
        pretraining=found["pretraining"],
        search=search.digest,
        arms=_arms(equal),
    )
    recipe = study.recipe.change(rates=settled, **chosen)
    return Tuning(
        study=study.name,
        search=search,
        table=table,
        optima=laws.optima,
        laws=laws,
        kept=kept,
        regrets=rates.regrets(plain[plain["start"].isin(laws.laws)], laws),
        equal=equal,
        settings=effects,
        recipe=recipe,
        diverged=int((~np.isfinite(table["loss"])).sum()),
    )


def _wider(search: Search, optima: Sequence[rates.CellOptimum]) -> str:
    """The options that add rates where best ones lie at an end of the search."""
    options = []
    for option, tried, starts in (
        ("--rates", search.rates, ("scratch", "pretrained")),
        ("--pretraining-rates", search.pretraining_rates, ("pretraining",)),
    ):
        there = [o for o in optima if o.start in starts]
        added = {factor for one in rates.widen(there, tried) for factor in one.factors}
        if added:
            every = sorted({*tried, *added})
            options.append(f"{option} {','.join(f'{factor:g}' for factor in every)}")
    return " ".join(options)


def _arms(equal: rates.SearchEquality) -> tuple[str, ...]:
    return tuple(dict.fromkeys(arm.mixture for arm in equal.arms)) if equal.equal else ()


def _laws(study: Study, table: pd.DataFrame) -> tuple[rates.RateLaws, dict[str, str]]:
    """The laws of the starts that determine one, and why the law of pretraining may be missing."""
    own = study.recipe.optimiser.law("scratch")
    asked: dict[str, Any] = {
        "reference_width": REFERENCE_WIDTH,
        "reference_steps": REFERENCE_STEPS,
        "fixed": {"width": -own.width_exponent, "steps": -own.steps_exponent},
    }
    downstream = table[table["start"] != "pretraining"]
    if len(downstream) == len(table):
        return rates.fit_rate_laws(table, **asked), {}
    try:
        return rates.fit_rate_laws(table, **asked), {}
    except FitError as error:
        # what a trunk is pretrained with moves the loss little: its best rate may stay unknown
        return rates.fit_rate_laws(downstream, **asked), {"pretraining": str(error)}


def _effects(table: pd.DataFrame) -> tuple[SettingEffect, ...]:
    """Every setting that was tried, against the study's own in the same cells and seeds."""
    base = table[(table["setting"] == "") & (table["factor"] == 1) & (table["start"] != _PRE)]
    logs = base.set_index(_CELL)["loss"].map(np.log)
    effects = []
    for setting, part in table[table["setting"] != ""].groupby("setting", sort=False):
        change = (part.set_index(_CELL)["loss"].map(np.log) - logs).dropna()
        change = change[np.isfinite(change)]
        # runs of one cell share its data; cells are what varies
        cells = change.groupby(_CELL[:-1]).mean()
        error = float(cells.std(ddof=1) / np.sqrt(len(cells))) if len(cells) > 1 else np.inf
        one = SettingEffect(
            setting=str(setting),
            effect=float(cells.mean()) if len(cells) else 0.0,
            error=error,
            pairs=len(change),
            chosen=False,
        )
        effects.append(one)
    return tuple(_choose(effects))


def _choose(effects: Sequence[SettingEffect]) -> list[SettingEffect]:
    """The effects with the best value of each setting chosen, where it is clearly better."""
    chosen = []
    for _, group in groupby(effects, key=lambda effect: effect.setting.partition("=")[0]):
        values = list(group)
        best = min(values, key=lambda effect: effect.effect)
        clear = best.effect < -_CLEAR * best.error
        chosen += [replace(one, chosen=clear and one is best) for one in values]
    return chosen


def _rounded_law(law: rates.FittedLaw) -> RateLaw:
    """A fitted law as a recipe holds it, with digits that a person can read."""
    return RateLaw(
        learning_rate=_rounded(np.exp(law.log_c.value)),
        width_exponent=_rounded(-law.width.value),
        steps_exponent=_rounded(-law.steps.value),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _formula(law: RateLaw) -> str:
    exponents = f"(16/width)^{law.width_exponent:.2g} (1000/steps)^{law.steps_exponent:.2g}"
    return f"{law.learning_rate:.3g} {exponents}"


def exponent(law: rates.FittedLaw, axis: str) -> Estimate:
    """The exponent of ``width`` or ``steps`` as a recipe holds it: by it the rate falls."""
    found: Estimate = getattr(law, axis)
    return replace(found, value=-found.value, low=-found.high, high=-found.low)


def _told(law: rates.FittedLaw) -> dict[str, Any]:
    """A fitted law with its intervals, in plain values."""
    rate = law.estimate(law.reference_width, law.reference_steps)
    shown = {"learning_rate": (rate.value, rate.low, rate.high)}
    for axis in rates.AXES:
        found = exponent(law, axis)
        shown[f"{axis}_exponent"] = (found.value, found.low, found.high)
    fixed = {f"{axis}_exponent" for axis in law.fixed}
    return {
        name: {"value": _rounded(value)} | ({} if name in fixed else _ends(low, high))
        for name, (value, low, high) in shown.items()
    } | {"cells": law.n_cells, "scatter": _rounded(law.scatter)}


def _ends(low: float, high: float) -> dict[str, float]:
    ends = {"low": low, "high": high}
    return {name: _rounded(value) for name, value in ends.items() if np.isfinite(value)}
