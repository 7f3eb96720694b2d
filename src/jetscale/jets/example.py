"""What an example is: its columns, the model inputs made from them, and the word for it.

An example is a list of constituents, of any length, with a class label. Jets have published columns
(`jetscale.jets.schema.JETS`), any other field of study declares its own with `make_schema`.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from math import inf, isfinite, nan
from typing import Any, Literal, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import DataError, StudyError, unknown

Kind = Literal["float", "int", "int64", "flag"]
"""Stored as float32, int32, int64 or bool."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def plain_number(value: object) -> float:
    """The value as a plain float, without -0; nan where it is no number, an array or too large."""
    with suppress(TypeError, OverflowError):
        if isinstance(value, SupportsFloat) and not isinstance(value, bool):
            return float(value) + 0.0
    return nan


def check_names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; DataError for none, one twice, or one that a part could not name.

    >>> check_names("class", ["muon", "electron"])
    ('muon', 'electron')
    """
    listed = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else ()
    if not listed:
        raise DataError(f"{what} names are {names!r}; give at least one, as in ('a', 'b')")
    for name in listed:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise DataError(f"{what} {name!r}: use letters, digits and + . _ - only")
        if listed.count(name) > 1:
            raise DataError(f"{what} {name!r} is listed twice; names must differ")
    return listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One model input: value = clip((x - mean) / scale, low, high).

    ``mean`` None means x as it is, without a clip; the published configurations of jets
    (particle_transformer, ``JetClass_full.yaml``) use both forms.

    >>> Feature(name="energy", mean=10.0, scale=4.0).transform(np.float32([10, 12, 1000]))
    array([0. , 0.5, 5. ], dtype=float32)
    """

    name: str
    mean: float | None = 0.0
    scale: float = 1.0
    """About the standard deviation of x: a model learns best from values of order one."""
    low: float = -5.0
    high: float = 5.0
    inputs: tuple[str, ...] = ()
    """Columns it is made from; none given means the column of its own name."""

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("mean", "scale", "low", "high")}
        numbers = {name: plain_number(value) for name, value in given.items()}
        if self.mean is None:
            del numbers["mean"]
        for name, value in numbers.items():  # equal features have equal digests
            object.__setattr__(self, name, value)
        if not all(map(isfinite, numbers.values())) or self.scale <= 0 or self.low >= self.high:
            listed = ", ".join(f"{name} {value!r}" for name, value in given.items())
            needs = "needs finite numbers, scale > 0 and low < high"
            raise StudyError(f"feature {self.name!r}: {listed}; {needs}")

    @property
    def factor(self) -> float:
        """1 / scale, the form in which the constants of jets are published."""
        return 1.0 / self.scale

    def transform(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model input of raw values, in single precision as in the published tool."""
        if self.mean is None:
            return values
        # a product, not a quotient: jets must agree with the published tool bit for bit
        moved = (values - np.float32(self.mean)) * np.float32(self.factor)
        clipped: NDArray[np.float32] = moved.clip(np.float32(self.low), np.float32(self.high))
        return clipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The columns of an example and its model inputs; made by `make_schema` for fields of your own.

    Attributes:
        noun: The word for one example in the output: ``jet``, ``shower``.
        lists: Columns with a value per constituent, and how they are stored.
        scalars: Columns with a value per example, the label among them.
        required: Columns that every shard has, beside at least one list.
        label: Column of the class index.
        features, feature_sets: Model inputs, and the names of those that a set takes, in order.
        count: Column with the number of constituents, None where the lists alone tell it.
        typical_length, length_spread: Median number of constituents and the standard deviation of
            its logarithm, for estimates of cost; by default as many as the recipe allows.
    """

    noun: str
    lists: Mapping[str, Kind]
    scalars: Mapping[str, Kind]
    required: tuple[str, ...]
    label: str
    features: tuple[Feature, ...]
    feature_sets: Mapping[str, tuple[str, ...]]
    count: str | None = None
    typical_length: float = field(default=inf, compare=False)
    length_spread: float = field(default=0.0, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in their order: lists, then scalars."""
        return (*self.lists, *self.scalars)

    def features_of(self, feature_set: str) -> tuple[Feature, ...]:
        """The features of a set in order; raises StudyError for an unknown set."""
        if feature_set not in self.feature_sets:
            raise StudyError(unknown("feature set", feature_set, self.feature_sets))
        by_name = {feature.name: feature for feature in self.features}
        return tuple(by_name[name] for name in self.feature_sets[feature_set])

    def inputs_of(self, feature_set: str) -> tuple[str, ...]:
        """Columns that a feature set is made from, without the label; raises as `features_of`."""
        features = self.features_of(feature_set)
        return tuple(dict.fromkeys(c for f in features for c in f.inputs or (f.name,)))

    def check_columns(self, present: Collection[str], feature_set: str, where: str) -> None:
        """Raise DataError, of ``where``, if columns are absent; StudyError as `features_of`."""
        absent = [name for name in self.inputs_of(feature_set) if name not in present]
        fix = f"no feature set works with these {self.noun}s"
        for name in self.feature_sets:  # the last one that works has the most features
            if set(self.inputs_of(name)) <= set(present):
                fix = f"use the features {name!r}"
        if absent:
            lacks = f"{', '.join(absent)}, which features {feature_set!r} need"
            raise DataError(f"{where} lacks columns {lacks}; {fix}")

    def to_dict(self) -> dict[str, Any]:
        """What `schema_from` reads: noun, features and feature sets in plain values."""
        plain = [asdict(feature) for feature in self.features]
        features = [{k: v for k, v in f.items() if k != "inputs"} for f in plain]
        sets = {name: list(names) for name, names in self.feature_sets.items()}
        return {"noun": self.noun, "features": features, "feature_sets": sets}


def make_schema(
    *,
    noun: str,
    features: Sequence[Feature],
    feature_sets: Mapping[str, Sequence[str]] | None = None,
    typical_length: float = inf,
) -> Schema:
    """The schema of a field of your own: a list column per feature, and ``label``.

    Each feature is made from the column of its name; without ``feature_sets`` the set ``all`` has
    them all. Raises DataError for a name that is unusable, listed twice or that of a column of
    jets, and StudyError for a feature set with an unknown feature.

    >>> schema = make_schema(noun="chirp", features=(Feature(name="time"), Feature(name="strain")))
    >>> schema.columns, schema.inputs_of("all")
    (('time', 'strain', 'label'), ('time', 'strain'))
    """
    check_names("noun", (noun,))
    listed = list(features) if isinstance(features, Iterable) else [None]
    if not all(isinstance(feature, Feature) for feature in listed):
        raise DataError(f"features are {features!r}, needs several of type Feature, as in (x, y)")
    features = tuple(listed)
    if not plain_number(typical_length) > 0:
        raise DataError(f"typical_length is {typical_length!r}, needs a number above zero")
    good = isinstance(feature_sets, Mapping) and all(isinstance(k, str) for k in feature_sets)
    if not (good or feature_sets is None):
        raise DataError(f"feature_sets is {feature_sets!r}, needs names of sets to names in them")
    names = check_names("feature", [feature.name for feature in features])
    for feature in features:
        # jets' columns have their own types, and models know the scales of jets by their names
        if feature.name == "label" or feature.name.startswith(("part_", "jet_")) or feature.inputs:
            own = f"feature {feature.name!r}: a feature of a {noun} is a column of its own"
            why = (
                "the name 'label', names that begin with part_ or jet_, and inputs are not for them"
            )
            raise DataError(f"{own}; {why}")
    sets: dict[str, tuple[str, ...]] = {}
    for name, members in (feature_sets or {"all": names}).items():
        sets[name] = check_names(f"feature set {name!r}: feature", members)
        if other := [member for member in members if member not in names]:
            raise StudyError(f"feature set {name!r}: {unknown('feature', other[0], names)}")
    return Schema(
        noun=noun,
        lists=dict.fromkeys(names, "float"),
        scalars={"label": "int"},
        required=("label",),
        label="label",
        features=features,
        feature_sets=sets,
        typical_length=plain_number(typical_length),
    )


def schema_from(content: Mapping[str, Any]) -> Schema:
    """The schema that `Schema.to_dict` described; raises as `make_schema`."""
    features = [Feature(**feature) for feature in content["features"]]
    sets = content["feature_sets"]
    return make_schema(noun=content["noun"], features=features, feature_sets=sets)
