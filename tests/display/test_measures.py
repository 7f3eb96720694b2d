"""How measures look in a terminal."""

import re

import pytest

from jetscale.display.measures import show_measures
from jetscale.measures import Axes, MeasureTable, Row, Value
from jetscale.measures.sentences import SENTENCES
from jetscale.measures.space import SPACES

SHARE = Value(value=0.5, low=0.4, high=0.6)
TRUNK = {"d32-l2-h4": dict.fromkeys(("logme", "probe_accuracy", "probe_auc"), SHARE)}


def made_up(transfer):
    value = Value(value=12.3456, low=11.2345, high=13.4567)
    share = Value(value=0.95, low=0.94, high=0.96)
    test = Value(value=0.1234, low=0.1111, high=0.1333, p_value=0.001)
    alignment = {
        f"{measure}_{space}": test if measure == "mmd2" else share
        for measure in ("auc", "mmd2", "sliced_w1")
        for space in SPACES
    }
    names = ("labels_q0", "labels_q1", "labels_q2", *(f"vendi_{s}" for s in SPACES))
    diversity = dict.fromkeys((*names, *(f"dimension_{s}" for s in SPACES)), value)
    return Row(diversity=diversity, alignment=alignment, transfer=transfer)


def shown(capsys, rows, downstream, corners=None):
    points = {name: {"diversity": SHARE, "alignment": SHARE} for name in rows}
    axes = Axes(
        points=points,
        correlation=SHARE,
        verdict="correlation +0.50; so so",
        others={"vendi_observables": -0.987},
        corners=corners,
    )
    show_measures(
        MeasureTable(
            study="s",
            jets=2000,
            downstream=downstream,
            mixtures=rows,
            axes=axes,
            notes=("a note [in brackets]",),
            sentences=SENTENCES,
        )
    )
    return capsys.readouterr().out


def test_values_come_with_their_intervals_in_suitable_digits(capsys):
    out = shown(capsys, {"qcd": made_up(None)}, made_up(None))
    assert "0.95 [0.94, 0.96]" in out
    assert "12 [11, 13]" in out
    assert "12.3 [11.2, 13.5]" in out
    assert re.search(r"123 \[111, 133\] +0.95 \[0.94, 0.96\] +0.001", out)
    assert "a note [in brackets]" in out
    assert "other measures of diversity: vendi_observables -0.99" in out
    assert "After pretraining" not in out


def test_trunks_are_shown_where_there_are_some(capsys):
    rows = {"many-near": made_up(TRUNK), "few-far": made_up(None)}
    out = shown(capsys, rows, made_up(TRUNK))
    assert re.search(r"untrained +d32-l2-h4 +500 \[400, 600\] +50.0 \[40.0, 60.0\]", out)
    assert re.search(r"few-far +no trunk", out)
    assert SENTENCES["logme"].split(";")[0] in " ".join(out.split())


def test_every_sentence_stands_once(capsys):
    out = " ".join(shown(capsys, {"qcd": made_up(TRUNK)}, made_up(TRUNK)).split())
    for measure, text in SENTENCES.items():
        if measure.endswith("observables") or measure.startswith("labels"):
            assert out.count(text) == 1, measure
        if measure.endswith("_constituents"):
            assert text not in out


def test_corners_are_named(capsys):
    corners = {"low diversity, low alignment": "few-far"}
    out = shown(capsys, {"few-far": made_up(None)}, made_up(None), corners)
    text = " ".join(out.split())
    assert "all four corners are held and no interval crosses over" in text
    assert "low diversity, low alignment: few-far" in text


@pytest.mark.parametrize("mixtures", [1, 12])
def test_any_number_of_mixtures_fits(capsys, mixtures):
    rows = {f"mixture-{i:02d}": made_up(TRUNK) for i in range(mixtures)}
    out = shown(capsys, rows, made_up(TRUNK))
    assert max(map(len, out.splitlines())) <= 100
    assert "…" not in out
    assert all(out.count(name) == 7 for name in rows)
