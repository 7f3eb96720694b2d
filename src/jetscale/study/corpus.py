"""A corpus of any field of study, declared by who has a simulator for it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pyarrow as pa

from jetscale.digests import digest
from jetscale.errors import DataError, StudyError
from jetscale.jets.example import Feature, Schema, check_names, make_schema
from jetscale.jets.schema import CORPORA, Part, is_jetclass2, match
from jetscale.jets.shards.columns import conform
from jetscale.study.checks import plain, positive_int, require
from jetscale.study.function import Function

Simulate = Callable[[tuple[str, ...], int, int], Iterable[pa.Table]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Labelled examples that a function makes.

    In a sweep file, with ``simulate`` a function of that file::

        features = (Feature(name="energy", mean=1.0, scale=2.0), Feature(name="depth"))
        what = {"noun": "shower", "features": features, "classes": ("electron", "pion")}
        showers = Corpus(name="showers", **what, simulate=simulate)
    """

    name: str
    classes: Sequence[str]
    """Class names; label i means ``classes[i]``."""
    features: Sequence[Feature]
    """Model inputs, each a column of the tables."""
    simulate: Simulate
    """``simulate(classes, rows, seed)`` yields Arrow tables with ``rows`` examples of the given
    classes in all. A feature column holds lists of numbers (variable length, the same for all
    features of an example), lists of fixed size, or a number per example; ``label`` counts in
    ``classes`` of the corpus. Equal arguments must give equal examples. Other processes call it,
    so it stands at the top level of a file."""
    noun: str = "example"
    """The word for one example in the output."""
    feature_sets: Mapping[str, Sequence[str]] | None = None
    """Choices for ``recipe.data.features``; by default ``all``."""
    typical_length: float = inf
    """Typical number of constituents, for estimates of cost; by default as many as are kept."""
    version: int = 1
    """Raise it when data files or packages that the simulator uses make other examples: they are
    made anew. Changes of its file, ``study()`` aside, and of modules beside it are noticed."""
    schema: Schema = field(init=False)

    def __post_init__(self) -> None:
        owner = f"corpus {self.name!r}"
        try:
            check_names("corpus", (self.name,))
            plain(self, "classes", check_names("class", self.classes))
            names = ("noun", "features", "feature_sets", "typical_length")
            schema = make_schema(**{name: getattr(self, name) for name in names})
        except DataError as error:
            raise StudyError(f"{owner}: {error}") from error
        taken = self.name in CORPORA or is_jetclass2(self.name)
        require(not taken, f"{owner}: jets have that name; choose another")
        plain(self, "schema", schema)
        plain(self, "features", schema.features)
        plain(self, "feature_sets", schema.feature_sets)
        plain(self, "simulate", Function.of(f"{owner}: simulate", self.simulate))
        plain(self, "version", positive_int(owner, "version", self.version))

    def part(self, name: str, patterns: Iterable[str]) -> Part:
        """The part ``name``, whose patterns choose among the classes."""
        labels = match(name, patterns, self.classes)
        return Part(name=name, corpus=self.name, labels=labels, classes=tuple(self.classes))

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the examples of a seed, in plain values."""
        simulate = Function.of(self.name, self.simulate)
        return {
            "corpus": self.name,
            "classes": list(self.classes),
            "schema": self.schema.to_dict(),
            "simulate": digest([simulate.name, simulate.source]),
            "version": self.version,
        }

    def make(self, classes: tuple[str, ...], rows: int, seed: int) -> Iterator[pa.Table]:
        """Tables with exactly ``rows`` examples of some classes; DataError if it fails."""
        owner = f"corpus {self.name!r}: simulate({list(classes)}, {rows}, {seed})"
        wanted, missing = {self.classes.index(name) for name in classes}, rows
        try:
            for table in self.simulate(classes, rows, seed):
                require(isinstance(table, pa.Table), f"yields {type(table).__name__}, not a table")
                require("label" in table.column_names, "yields a table without column 'label'")
                found = set(table["label"].slice(0, missing).to_pylist())
                require(found <= wanted, f"yields labels {sorted(found - wanted)}, not asked for")
                table = conform(table.slice(0, missing), self.schema)
                yield table
                missing -= table.num_rows
                if not missing:
                    return
            require(False, f"yields {rows - missing} of {rows} examples")
        except (Exception, SystemExit) as error:  # the function is the user's
            kind = "" if isinstance(error, StudyError | DataError) else f"{type(error).__name__}: "
            line = (str(error).splitlines() or [""])[0]
            raise DataError(f"{owner} {kind}{line}") from error
