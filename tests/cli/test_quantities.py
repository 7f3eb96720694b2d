"""Numbers as people write them: read where they mean one thing, else refused with the fix."""

import math

import click
import pytest

from jetscale.cli import cli
from jetscale.cli.quantities import COUNT, FLOPS, HOURS, MONEY, PLAIN, RATE, SHARE, Whole


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FLOPS, "1e11", 1e11),
        (FLOPS, "1e11 FLOPs", 1e11),
        (FLOPS, "1e11flops", 1e11),
        (FLOPS, "1,000", 1000),
        (FLOPS, "1_000", 1000),
        (FLOPS, "-1", -1),
        (HOURS, "10h", 10),
        (HOURS, "10 GPU hours", 10),
        (HOURS, "30 min", 0.5),
        (HOURS, "1d", 24),
        (HOURS, "5 days", 120),
        (FLOPS, "2 TFLOPs", 2e12),
        (SHARE, "10%", 0.1),
        (SHARE, ".3", 0.3),
        (RATE, "2 TFLOP/s", 2e12),
        (MONEY, "12,500.50", 12500.5),
        (PLAIN, "-0.1", -0.1),
        (COUNT, "1e3", 1000),
        (COUNT, "20k", 20_000),
        (COUNT, 7, 7),
        (Whole(0), "0", 0),
    ],
)
def test_what_means_one_thing_is_read(kind, text, value):
    assert kind.convert(text, None, None) == pytest.approx(value, rel=1e-12)


def test_what_is_no_number_is_left_to_those_who_say_what_they_need():
    assert math.isnan(PLAIN.convert("nan", None, None))
    assert FLOPS.convert("1e400", None, None) == math.inf


@pytest.mark.parametrize(
    ("kind", "text", "fix"),
    [
        (FLOPS, "10 GPU hours", "hours are given by --gpu-hours"),
        (FLOPS, "5 $", "money is given by --money"),
        (HOURS, "1e11 FLOPs", "FLOPs are given by --budget"),
        (FLOPS, "many", "needs a number of FLOPs, e.g. 1e11"),
        (FLOPS, "1,5", "needs a number of FLOPs"),
        (FLOPS, "1.5.2", "needs a number of FLOPs"),
        (SHARE, "3 percents", "needs a share, e.g. 0.3 or 30%"),
        (COUNT, "1.5", "1.5 is not a whole number of at least 1"),
        (COUNT, "0", "0 is not a whole number of at least 1"),
        (COUNT, "inf", "not a whole number"),
        (COUNT, "nan", "not a whole number"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_fix(kind, text, fix):
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, click.Context(cli.commands["allocate"]))
    assert fix in str(caught.value)


def test_an_option_is_named_only_where_the_command_has_it():
    with pytest.raises(click.BadParameter) as caught:
        COUNT.convert("10h", None, click.Context(cli.commands["simulate"]))
    assert "--gpu-hours" not in str(caught.value)
