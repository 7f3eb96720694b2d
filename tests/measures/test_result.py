import json

import pytest

from jetscale.as_json import as_json
from jetscale.measures.result import Row, Value


def test_a_normal_interval():
    found = Value.around(1.0, 0.5)
    assert (found.low, found.high) == pytest.approx((1 - 0.979982, 1 + 0.979982))


def test_an_interval_is_clipped_but_keeps_its_value():
    found = Value.around(0.95, 0.1, p_value=0.2).within(0.0, 1.0)
    assert (found.value, found.high, found.p_value) == (0.95, 1.0, 0.2)
    outside = Value.around(1.2, 0.1).within(0.0, 1.0)
    assert outside.high == 1.2


def test_plain_values_have_no_p_value_where_there_is_none():
    plain = as_json(Value(value=1.0, low=0.0, high=2.0))
    assert plain == {"value": 1.0, "low": 0.0, "high": 2.0, "p_value": None}
    assert as_json(Value(value=1.0, low=0.0, high=2.0, p_value=0.5))["p_value"] == 0.5


def test_a_row_without_trunks_says_null():
    value = Value(value=1.0, low=0.0, high=2.0)
    row = Row(diversity={"labels_q0": value}, alignment={"auc_observables": value}, transfer=None)
    text = json.dumps(as_json(row), allow_nan=False)
    assert json.loads(text)["transfer"] is None
    with_trunk = Row(diversity={}, alignment={}, transfer={"d8-l1-h1": {"logme": value}})
    assert as_json(with_trunk)["transfer"]["d8-l1-h1"]["logme"]["value"] == 1.0
