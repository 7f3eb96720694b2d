"""Every value of the analysis becomes JSON the same way."""

import json
import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jsonable import HIDDEN, as_json, json_key


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True)
class Inner:
    value: float
    json_also: ClassVar[tuple[str, ...]] = ("double",)

    @property
    def double(self):
        return 2 * self.value


@dataclass(frozen=True)
class Outer:
    inner: Inner
    cost: int = field(default=3, metadata=json_key("compute"))
    draws: tuple[float, ...] = field(default=(1.0,), metadata=HIDDEN)


class Named:
    def __json__(self):
        return {"name": Colour.RED}


def test_a_dataclass_is_its_fields_as_declared():
    assert as_json(Outer(Inner(2.0))) == {"inner": {"value": 2.0, "double": 4.0}, "compute": 3}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, None),
        (-math.inf, None),
        (True, True),
        (None, None),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array([np.nan, 1.0]), [None, 1.0]),
        (np.array(2.0), 2.0),
        (Path("a/b"), "a/b"),
        (Colour.RED, "red"),
        (Point(1.0, math.inf), {"x": 1.0, "y": None}),
        ({1: (2, 3)}, {"1": [2, 3]}),
        (frozenset({"b", "a"}), ["a", "b"]),
        ([Named()], [{"name": "red"}]),
    ],
)
def test_every_kind_of_value(value, plain):
    found = as_json(value)
    assert found == plain
    assert type(found) is type(plain)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("value", [object(), 1j, b"bytes", Inner])
def test_what_is_no_json_is_refused(value):
    with pytest.raises(TypeError, match="is no value for JSON"):
        as_json({"inside": [value]})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.long
@given(plain)
def test_strict_json_always_comes_out(value):
    text = json.dumps(as_json(value), allow_nan=False)
    assert as_json(json.loads(text)) == json.loads(text)
