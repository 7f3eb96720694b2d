"""What a mixture buys, against tables whose head start is known."""

import re

import numpy as np
import pytest

from jetscale.answers.bought import bought

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_a_head_start_is_found_and_no_other_difference(found):
    answer = bought(found)
    assert answer.answered
    assert answer.question == "What does pretraining buy?"
    assert answer.about == "(loss against scratch; x: jets it is worth)"
    header, qcd, near = answer.rows
    assert header == ("D", "500", "1k", "2k", "8k", "16k")
    assert qcd == ("qcd", *["no diff."] * 5)
    # 500 + 1500 jets are worth 2,000
    assert near[1].startswith("−")
    assert near[1].endswith(" x4")
    assert answer.sentences[0].startswith("qcd: no difference from scratch at any data size; on av")
    assert answer.sentences[1].startswith("near is better than scratch at every data size")
    worth = re.search(r"worth x(\S+) \[\S+, \S+\] at 500", answer.sentences[1])
    assert worth
    assert float(worth[1]) == pytest.approx(4, rel=0.1)
    assert answer.sentences[2].startswith("near is better than qcd")


@pytest.mark.long
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
    assert line.startswith("fast against scratch: worse at 500, 1k, 16k, on average over the data")


@pytest.mark.long
def test_many_mixtures_are_counted(made, analysed):
    starts = {"scratch": 0} | {f"m{i}": 400 * i for i in range(6)}
    answer = bought(analysed(made(starts, sizes=3, data=3)))
    assert [row[0] for row in answer.rows] == ["D", "m5", "m4", "m3", "m2"], "the best of many"
    assert answer.sentences[-1].startswith("On average over the data sizes 5 of 6 mixtures are bet")
    assert len(answer.sentences) == 4 + 3 + 1


def test_one_mixture_is_compared_with_nothing(made, analysed):
    answer = bought(analysed(made({"a": 0})))
    assert not answer.answered
    assert "one mixture, 'a'" in answer.sentences[0]
    assert answer.title.endswith("NOT ANSWERED")


@pytest.mark.long
def test_without_scratch_mixtures_are_what_is_bought(made, analysed):
    answer = bought(analysed(made({"a": 0, "b": 900}, sizes=3, data=3)))
    assert answer.question == "What does a mixture buy?"
    assert "against a" in answer.about


@pytest.mark.long
def test_one_model_size_has_no_interval_and_says_so(made, analysed):
    runs = made({"a": 0, "b": 900}, sizes=3)
    answer = bought(analysed(runs[runs["params"] == runs["params"].min()]))
    assert not answer.answered
    assert answer.about.endswith("; ?: one model size)")
    assert all(cell.endswith(" ?") for cell in answer.rows[1][1:])
    assert "lower than a in 12 of 12 pairs" in answer.sentences[0]
    ragged = runs[(runs["examples"] <= 2000) | (runs["params"] == runs["params"].min())]
    assert (
        bought(analysed(ragged))
        .sentences[0]
        .endswith("; beyond, one model size was run, which has no interval.")
    )


@pytest.mark.long
def test_budgets_of_one_cell_each_have_no_table(made, analysed):
    """Of many data sizes with one model size each the mean is told, no row."""
    runs = made({"a": 0, "b": 900}, sizes=6, data=3)
    apart = runs["examples"] * (1 + runs.groupby("params").ngroup() / 10)
    answer = bought(analysed(runs.assign(examples=apart.round())))
    assert answer.rows == ()
    assert answer.answered
    assert answer.sentences[0].startswith("b against a: on average over the data sizes −0.")


@pytest.mark.long
def test_a_baseline_without_common_cells_and_mixtures_without_any(made, analysed):
    runs = made({"scratch": 0, "q": 0, "r": 900})
    moved = runs["examples"].where(runs["mixture"] != "scratch", runs["examples"] * 3)
    answer = bought(analysed(runs.assign(examples=moved)))
    assert not answer.answered
    assert answer.sentences[0] == "No mixture has runs in common with the baseline scratch."
    assert answer.sentences[1].startswith("r is better than q")
    moved = runs["examples"].where(runs["mixture"] != "r", runs["examples"] * 3)
    answer = bought(analysed(runs.assign(examples=moved)))
    assert [row[0] for row in answer.rows] == ["D", "q"]
    assert answer.sentences[-1].startswith("Not compared: r - scratch, r - q: no run with the same")


@pytest.mark.long
def test_small_losses_have_their_digits(made, analysed):
    runs = made({"a": 0, "b": 900})
    answer = bought(analysed(runs.assign(loss=runs["loss"] * 1e-4)))
    assert "−0.00 " not in " ".join(answer.rows[1])
    assert answer.rows[1][1].startswith("−6.")
    assert "e-5 x2.8" in answer.rows[1][1]
