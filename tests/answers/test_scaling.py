"""How a study scales: exponents where they are determined, else what would determine them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from jetscale.answers.scaling import scaling
from jetscale.machines import cores
from jetscale.scaling import Verdict, compare

pytestmark = pytest.mark.slow


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


@pytest.mark.long
def test_what_is_not_determined_says_why_what_would_and_its_price(made, analysed):
    answer = scaling(analysed(loose(made)))
    assert answer.title == "How does it scale?   NOT ANSWERED"
    exponents, why, would = answer.sentences
    assert re.fullmatch(r"Exponent a: scratch \S+ \[\S+, \S+\], near 0\.\d+ to 0\.\d+\.", exponents)
    assert why == "Not determined: near: the runs do not bound E and alpha."
    assert re.match(r"What would give a to ±0\.\d+: \d model sizes from 1k to \S+, ", would)


@pytest.mark.long
def test_what_no_law_determines_is_not_said_again_of_their_differences(made, analysed):
    found = analysed(loose(made))
    compared = replace(found, comparison=compare(found.fits))
    assert {p.verdict for p in compared.comparison.pairs} == {Verdict.NOT_IDENTIFIED}
    assert scaling(compared) == scaling(found)
    known = analysed(made({"scratch": 0, "qcd": 0}, noise=0.0005, sizes=6, data=7))
    compared = replace(known, comparison=compare(known.fits))
    assert compared.law_sentence in scaling(compared).sentences


@pytest.mark.long
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
    assert gpus.endswith("at the speed of one of these runs.")
    mixed = runs.assign(device=np.where(runs["seed"] == 0, "H100", "cpu"))
    assert "this machine" not in scaling(analysed(mixed)).sentences[-1]
    untimed = scaling(analysed(runs.drop(columns="seconds"))).sentences[-1]
    assert untimed.endswith("FLOPs more.")


def test_no_law_is_a_reason(made, analysed):
    answer = scaling(analysed(made({"a": 0, "b": 500}, sizes=2)))
    assert not answer.answered
    assert answer.sentences[0].startswith("No law is fitted: mixture 'a' has 2 model sizes")


@pytest.mark.long
def test_more_runs_are_not_promised_where_the_law_is_wrong(made, analysed):
    runs = made({"scratch": 0}, noise=0.0005, sizes=6, data=7)
    bent = runs.assign(loss=runs["loss"] * (1 + 0.03 * np.log10(runs["examples"] / 4000) ** 2))
    answer = scaling(analysed(bent))
    assert not answer.answered
    assert answer.sentences[1].startswith("Not determined: scratch: ")
    assert answer.sentences[-1].startswith("More runs of this kind do not mend a law that misses")
    assert "What would" not in " ".join(answer.sentences)


def test_a_mixture_without_a_law_is_named(made, analysed):
    runs = made({"a": 0, "b": 900}, noise=0.0005)
    few = runs[(runs["mixture"] == "a") | (runs["params"] < 1e4)]
    answer = scaling(analysed(few))
    assert not answer.answered
    assert answer.sentences[1] == "No law is fitted: b: has 2 model sizes, needs at least 3."
