"""What a mixture buys, against tables whose head start is known."""

import re

import numpy as np
import pytest

from jetscale.answers.bought import bought


def test_a_head_start_is_found_and_no_other_difference(found):
    answer = bought(found)
    assert answer.answered
    assert answer.question == "What does pretraining buy?"
    assert answer.about == "(loss against scratch; x: jets it is worth)"
    header, qcd, near = answer.rows
    assert header == ("D", "500", "1k", "2k", "8k", "16k")
    assert qcd == ("qcd", *["no diff."] * 5)
    # 500 + 1500 jets are worth 2,000
    assert near[1].startswith("-")
    assert near[1].endswith(" x4")
    assert answer.sentences[0].startswith("qcd: no difference from scratch is seen at any data")
    assert answer.sentences[1].startswith("near is better than scratch at every data size")
    worth = re.search(r"worth x(\S+) \[\S+, \S+\] at 500", answer.sentences[1])
    assert worth
    assert float(worth[1]) == pytest.approx(4, rel=0.1)
    assert answer.sentences[2].startswith("near is better than qcd")


def test_where_it_stops_and_what_it_costs_beyond(made, analysed):
    runs = made({"scratch": 0, "fast": 0})
    fast = runs["mixture"] == "fast"
    factor = np.select([runs["examples"] < 2000, runs["examples"] > 8000], [0.9, 1.1], 1.0)
    runs["loss"] *= np.where(fast, factor, 1)
    (line,) = bought(analysed(runs)).sentences
    assert line.startswith("fast is better than scratch up to 1k jets")
    assert line.endswith("; beyond, worse at 16k.")
    later = runs.assign(loss=runs["loss"] * np.where(fast & (runs["examples"] < 2000), 1.3, 1))
    (line,) = bought(analysed(later)).sentences
    assert line.startswith("fast against scratch: worse at 500, 1k, 16k, over all data sizes 0.")


def test_many_mixtures_are_counted(made, analysed):
    starts = {"scratch": 0} | {f"m{i}": 400 * i for i in range(6)}
    answer = bought(analysed(made(starts, sizes=3, data=3)))
    assert [row[0] for row in answer.rows] == ["D", "m0", "m1", "m2", "m3"]
    assert answer.sentences[-1] == "5 of 6 mixtures are better over all data sizes."
    assert len(answer.sentences) == 4 + 3 + 1


def test_one_mixture_is_compared_with_nothing(made, analysed):
    answer = bought(analysed(made({"a": 0})))
    assert not answer.answered
    assert "one mixture, 'a'" in answer.sentences[0]
    assert answer.title.endswith("NOT ANSWERED")


def test_without_scratch_mixtures_are_what_is_bought(made, analysed):
    answer = bought(analysed(made({"a": 0, "b": 900}, sizes=3, data=3)))
    assert answer.question == "What does a mixture buy?"
    assert "against a" in answer.about
