"""What a search over rates and settings says: rate laws, what they cost, and what to search next.

`tuned` computes everything once from the table of a search; commands and figures render it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

import jetscale.scaling.tuning as rates
from jetscale.errors import FitError
from jetscale.jsonable import HIDDEN
from jetscale.scaling.estimate import Estimate
from jetscale.shown import Shown, frame_of, row_of
from jetscale.study import RateLaw, Rates, Recipe, Regret, Study
from jetscale.study.rates import REFERENCE_STEPS, REFERENCE_WIDTH, STARTS, Start
from jetscale.study.search import Search
from jetscale.study.tuned import write_recipe

_LOOSE = 2.0  # factor either way within which a rate is known well enough: about the valley
_CLEAR = 2.0  # standard errors by which a setting must be better than the study's own to be taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning(Shown):
    """The answer of a search; ``print(tuning)`` says it."""

    study: str
    search: Search
    table: pd.DataFrame = field(repr=False, compare=False, metadata=HIDDEN)
    optima: tuple[rates.CellOptimum, ...]
    laws: rates.RateLaws
    kept: Mapping[str, str]  # start to why the study's own law stays
    regrets: tuple[rates.CellRegret, ...]
    equal: rates.SearchEquality
    settings: tuple[rates.SettingEffect, ...]  # against the study's own, in the same cells
    taken: Mapping[str, Any]  # settings that are clearly better than the study's own
    recipe: Recipe = field(metadata=HIDDEN)  # that of the study, with what was found
    diverged: int  # runs
    json_also: ClassVar[tuple[str, ...]] = ("sentence", "widening", "loose_sentence")

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
    def loose(self) -> Mapping[str, float]:
        """Starts whose law leaves the rate of a searched cell open by more than `_LOOSE` each way.

        With the factor, infinite for a law without an interval.
        """
        found = {}
        for start, law in self.laws.laws.items():
            cells = {(o.width, o.steps) for o in self.optima if o.start == start}
            ends = [law.estimate(*cell) for cell in cells]
            factor = max(np.sqrt(e.high / e.low) if e.low > 0 else np.inf for e in ends)
            if not factor <= _LOOSE:
                found[start] = float(factor)
        return found

    @property
    def loose_sentence(self) -> str:
        """Which laws must not be relied on; empty where all are known."""
        if not self.loose:
            return ""
        shown = ", ".join(f"{start} (a factor of {f:.2g})" for start, f in self.loose.items())
        return (
            f"Loosely determined, do not rely on it: the law of {shown} either way. More seeds, "
            "rates or data sizes would determine it."
        )

    @property
    def arms(self) -> tuple[str, ...]:
        """The mixtures, where all were searched alike; none where they were not."""
        return _arms(self.equal)

    def to_frame(self) -> pd.DataFrame:
        """Return a row per start and cell that was searched: what its law costs there."""
        columns = "start mixture width examples steps rate loss best_rate best_loss regret error"
        return frame_of(map(row_of, self.regrets), columns)

    def write(self, path: str | Path) -> str:
        """Write the recipe file that a sweep file loads; returns its digest."""
        plain, name = self.recipe.to_dict(), "pretraining_objective"
        objective = {name: plain["model"][name]} if name in plain["model"] else {}
        return write_recipe(
            Path(path),
            {
                "about": self.sentence,
                "study": self.study,
                "search": self._searched(),
                "optimiser": plain["optimiser"],
                "schedule": plain["schedule"] | objective,
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
    effects = rates.setting_effects(table)
    chosen = _choose(search, effects)
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
        taken=chosen,
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

    def fitted(start: Start, part: pd.DataFrame) -> rates.RateLaws:
        """The laws of some runs; what they do not vary stays as the study has it."""
        own = study.recipe.optimiser.law(start)
        return rates.fit_rate_laws(
            part,
            reference_width=REFERENCE_WIDTH,
            reference_steps=REFERENCE_STEPS,
            fixed={"width": -own.width_exponent, "steps": -own.steps_exponent},
        )

    apart = table["start"] == "pretraining"
    laws = fitted(
        "pretrained" if "scratch" not in set(table["start"]) else "scratch", table[~apart]
    )
    if not apart.any():
        return laws, {}
    try:
        more = fitted("pretraining", table[apart])
    except FitError as error:
        # what a trunk is pretrained with moves the loss little: its best rate may stay unknown
        return laws, {"pretraining": str(error)}
    both = replace(
        laws,
        laws={**laws.laws, **more.laws},
        separate={**laws.separate, **more.separate},
        arms={**laws.arms, **more.arms},
        optima=(*laws.optima, *more.optima),
    )
    return both, {}


def _choose(search: Search, effects: Sequence[rates.SettingEffect]) -> dict[str, Any]:
    """The settings to take: of each kind the best that is clearly better than the study's own.

    A point that changes several things at once is a kind with all others of its sort; its rates are
    not taken, the laws give them.
    """
    points = {point.told: point for point in search.points}
    kinds: dict[tuple[str, ...], list[rates.SettingEffect]] = {}
    for effect in effects:
        point = points[effect.setting]
        joint = len(point.settings) != 1 or (point.rate, point.pretraining_rate) != (1, 1)
        kinds.setdefault(("",) if joint else (point.settings[0][0],), []).append(effect)
    chosen: dict[str, Any] = {}
    for group in kinds.values():
        best = min(group, key=lambda effect: effect.effect)
        if best.effect < -_CLEAR * best.error:
            chosen |= dict(points[best.setting].settings)
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
