"""What `jetscale tune` tries: the same points on the same cells and seeds for every mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from jetscale.digests import digest
from jetscale.errors import StudyError, unknown
from jetscale.study.checks import number, require
from jetscale.study.mixture import ModelSize
from jetscale.study.rates import RateLaw, Rates, Start
from jetscale.study.recipe import Recipe
from jetscale.study.study import Study

RATE_NAMES = ("rate", "pretraining_rate")
RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
SEARCHED = (
    *("batch_size", "epochs", "pretraining_epochs", "warmup"),
    *("weight_decay", "head_multiplier", "beta2", "clip", "average"),
)
"""Settings that a search may vary beside the rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One choice of settings, relative to the recipe of a study."""

    rate: float = 1.0
    """Factor on the peak rate of runs on the downstream task."""
    pretraining_rate: float = 1.0
    """Factor on the peak rate of pretraining runs."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Other settings of the recipe by name."""

    @property
    def told(self) -> str:
        """What it changes beside one rate alone: ``weight_decay=0.1``; empty for nothing."""
        rates = {"rate": self.rate, "pretraining_rate": self.pretraining_rate}
        changed = [f"{name}={value:g}" for name, value in rates.items() if value != 1]
        if len(changed) == 1 and not self.settings:
            return ""
        return ", ".join([*changed, *(f"{name}={value}" for name, value in self.settings)])

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with this choice; the recipe itself where nothing is changed."""
        changed = recipe.change(**dict(self.settings))
        if self.rate == self.pretraining_rate == 1:
            return changed

        def scaled(start: Start, factor: float) -> RateLaw:
            law = changed.optimiser.law(start)
            return replace(law, learning_rate=law.learning_rate * factor)

        rates = Rates(
            scratch=scaled("scratch", self.rate),
            pretrained=scaled("pretrained", self.rate),
            pretraining=scaled("pretraining", self.pretraining_rate),
        )
        return changed.change(rates=rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Points, and the cells and seeds of a study that every mixture is tried at."""

    points: tuple[Point, ...]
    sizes: tuple[ModelSize, ...]
    data_sizes: tuple[int, ...]
    seeds: tuple[int, ...]

    @property
    def rates(self) -> tuple[float, ...]:
        """The factors on the peak rate that are tried alone, in order."""
        return tuple(
            sorted({p.rate for p in self.points if not p.told and p.pretraining_rate == 1})
        )

    @property
    def pretraining_rates(self) -> tuple[float, ...]:
        """The factors on the peak rate of pretraining, in order."""
        return tuple(sorted({p.pretraining_rate for p in self.points if not p.told}))

    def extend(self, values: Sequence[Mapping[str, Any]]) -> "Search":
        """The search with further points, each given by its rates and settings."""
        points = []
        for one in values:
            settings = {name: value for name, value in one.items() if name not in RATE_NAMES}
            rates = {name: value for name, value in one.items() if name in RATE_NAMES}
            points.append(Point(**rates, settings=tuple(settings.items())))
        return replace(self, points=(*self.points, *points))

    def on(self, study: Study, point: Point) -> Study:
        """The study at one point, on the cells and seeds of the search."""
        return replace(
            study,
            ladder=self.sizes,
            data_sizes=self.data_sizes,
            seeds=self.seeds,
            recipe=point.apply(study.recipe),
            keep="none",  # what tries rates is no model to use
        )

    def to_dict(self) -> dict[str, Any]:
        """The search in plain values, as a recipe file and MLflow keep it."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Digest of what is tried."""
        return digest(self.to_dict())


def make_search(
    study: Study,
    *,
    rates: Sequence[float] = RATES,
    pretraining_rates: Sequence[float] = (),
    tried: Mapping[str, Sequence[Any]] | None = None,
    widths: Sequence[int] = (),
    data_sizes: Sequence[int] = (),
    seeds: int = 2,
) -> Search:
    """A search of a study that varies one thing at a time about the study's own recipe.

    Args:
        rates: Factors on the study's own peak rates.
        pretraining_rates: The same for pretraining runs; by default the same factors.
        tried: Values to try of other settings of the recipe (`SEARCHED`), by name.
        widths: Of the ladder; by default the smallest, the middle and the largest.
        data_sizes: Of the study; by default the smallest, the middle and the largest.
        seeds: How many; the first ones are those of the study.

    Raises StudyError for a value that cannot be tried, fewer than three rates, two widths (where
    the study has them) or three data sizes.
    """
    pretraining_rates = pretraining_rates or rates
    for what, factors in (("rates", rates), ("pretraining rates", pretraining_rates)):
        for factor in factors:
            require(number("search", what, factor) > 0, f"search: {what} {factor}: needs > 0")
    require(len(set(rates)) > 2, f"search: {len(set(rates))} rates, needs at least 3")
    values = _checked(study, tried or {})
    by_width = {size.width: size for size in study.ladder}
    return Search(
        points=_grid_points(rates, pretraining_rates, values),
        sizes=tuple(by_width[w] for w in _chosen("width", widths, by_width, fewest=2)),
        data_sizes=_chosen("data size", data_sizes, study.data_sizes, fewest=3),
        seeds=_seeds(study, seeds),
    )


def _checked(study: Study, tried: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
    """Values of settings that are not those of the study; StudyError for one a recipe refuses."""
    values = {}
    for name, choices in tried.items():
        if name not in SEARCHED:
            raise StudyError(unknown("setting to search", name, SEARCHED))
        recipes = [study.recipe.change(**{name: choice}) for choice in choices]
        new = zip(choices, recipes, strict=True)
        values[name] = tuple(choice for choice, recipe in new if recipe != study.recipe)
    return values


def _grid_points(
    rates: Sequence[float], pretraining: Sequence[float], tried: Mapping[str, Sequence[Any]]
) -> tuple[Point, ...]:
    """Every rate, every pretraining rate and every setting by itself."""
    points = [Point()]  # a run of the study is known as such, whatever else shares it
    points += [Point(rate=float(rate)) for rate in sorted(set(rates) - {1})]
    points += [Point(pretraining_rate=float(rate)) for rate in sorted(set(pretraining) - {1})]
    points += [Point(settings=((name, v),)) for name, choices in tried.items() for v in choices]
    return tuple(points)


def _chosen(
    what: str, asked: Sequence[int], known: Mapping[int, Any] | Sequence[int], fewest: int
) -> tuple[int, ...]:
    """The values asked for, or the smallest, the middle and the largest of the study's own."""
    own = sorted(known)
    for value in asked:
        if value not in own:
            raise StudyError(unknown(f"{what} of the study", str(value), map(str, own)))
    middle = min(own, key=lambda value: abs(value * value / (own[0] * own[-1]) - 1))
    chosen = sorted(set(asked)) or sorted({own[0], middle, own[-1]})
    few = f"search: {len(chosen)} {what}s of {len(own)}, needs at least {fewest} for a rate law"
    require(len(chosen) >= min(fewest, len(own)), few)
    return tuple(chosen)


def _seeds(study: Study, count: int) -> tuple[int, ...]:
    more = (seed for seed in range(1, count + len(study.seeds) + 1) if seed not in study.seeds)
    return tuple([*study.seeds, *more][:count])
