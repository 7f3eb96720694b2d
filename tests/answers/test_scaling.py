"""How a study scales: exponents where they are determined, else what would determine them."""

import re

import numpy as np
import pytest

from jetscale.answers.scaling import scaling
from jetscale.machines import cores


def test_an_exponent_that_is_determined_is_told_with_its_interval(made, analysed):
    answer = scaling(analysed(made({"scratch": 0}, noise=0.0005, sizes=6, data=7)))
    assert answer.answered
    assert "NOT" not in answer.title
    found = re.fullmatch(r"Exponent a: scratch (\S+) \[(\S+), (\S+)\]\.", answer.sentences[0])
    assert found
    value, low, high = map(float, found.groups())
    assert value == pytest.approx(0.37 / 0.72, abs=0.01)
    assert low <= value <= high


def loose(made):
    return made({"scratch": 0, "near": 900}, noise=0.03, sizes=3)


def test_what_is_not_determined_says_why_what_would_and_its_price(made, analysed):
    answer = scaling(analysed(loose(made)))
    assert answer.title == "How does it scale?   NOT ANSWERED"
    exponents, why, would = answer.sentences
    assert re.fullmatch(r"Exponent a: scratch \S+ \[\S+, \S+\], near 0\.\d+ to 0\.\d+\.", exponents)
    assert why == "Not determined for near: the runs set no bound to E."
    assert would.startswith("What would: 5 model sizes from 1k to 256k, ")


def test_the_price_is_the_time_at_the_speed_of_the_runs(made, analysed):
    runs = loose(made)
    line = scaling(analysed(runs.assign(device="cpu"))).sentences[-1]
    found = re.search(r": (\S+) FLOPs more, (\S+) (s|min|h|d) of this machine's (\d+) cores", line)
    assert found, line
    flops, value, unit, count = found.groups()
    seconds = float(value) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]
    assert int(count) == cores()
    assert np.isclose(seconds, float(flops) / 1e9 / cores(), rtol=0.1)
    gpus = scaling(analysed(runs.assign(device="H100"))).sentences[-1]
    assert "of one device" in gpus
    untimed = scaling(analysed(runs.drop(columns="seconds"))).sentences[-1]
    assert untimed.endswith("FLOPs more.")


def test_no_law_is_a_reason(made, analysed):
    answer = scaling(analysed(made({"a": 0, "b": 500}, sizes=2)))
    assert not answer.answered
    assert answer.sentences[0].startswith("No law is fitted: mixture 'a' has 2 values of params")
