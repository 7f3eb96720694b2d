"""How the power analysis looks in a terminal."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from jetscale.display.power import percent, show_power
from jetscale.scaling import Power, make_grid
from jetscale.scaling.power.detect import Detection, Trial
from jetscale.scaling.power.extras import rank
from jetscale.scaling.power.simulate import AtBudget, Share, Widths
from jetscale.scaling.power.truth import Assumed, Truth, generic

pytestmark = pytest.mark.slow

AXIS = np.geomspace(1e3, 1e6, 4)


def share(hits):
    return Share(hits=hits, of=40)


def made_up(names=("scratch", "qcd"), same=True, **changes):
    n, d = (axis.ravel() for axis in np.meshgrid(AXIS, AXIS))
    grid = make_grid(n, d, 2, mixtures=names)
    truths = {
        name: Truth(generic(grid) * (1.0 if same else 1 + i / 10), 0.01, 0.02)
        for i, name in enumerate(names)
    }
    at = (
        AtBudget(budget=1.23e12, params_factor=1.5, loss_relative=0.0123),
        AtBudget(budget=1.23e13, params_factor=math.inf, loss_relative=0.5),
    )
    widths = Widths(
        exponent=0.1234, at=at, not_identified=share(10), covered=share(38), method="cells"
    )
    trials = (
        Trial(
            shift=0.0, claimed=share(1), interval=share(2), test=share(2), not_identified=share(0)
        ),
        Trial(
            shift=-0.1234,
            claimed=share(32),
            interval=share(36),
            test=share(34),
            not_identified=share(4),
        ),
    )
    detection = Detection(
        baseline="scratch",
        spread=0.03,
        first_estimate=0.084,
        pairs=math.comb(len(names), 2),
        trials=trials,
        detectable=-0.1234,
    )
    found = Power(
        grid=grid,
        assumed=Assumed(truths=truths, source="stated [law]"),
        widths=dict.fromkeys(names, widths),
        detection=detection,
        half_width=0.11,
        extras=rank(grid, truths[names[0]]),
        studies=40,
        replicates=200,
        seed=0,
        warnings=("one [seed]: noise",),
    )
    return replace(found, **changes)


def test_the_verdict_comes_first_and_what_helps_last(capsys):
    show_power(made_up(), "s")
    out = capsys.readouterr().out
    text = " ".join(out.split())
    assert re.search(r"each +\+-0.12 +x1.5 +\+-1.2% +unlimited +\+-50% +25%", out)
    assert re.search(r"none +2% \+-3%", out)
    assert re.search(r"-0.123 +80% \+-6% +90% \+-5% +85% \+-6% +10% \+-5%", out)
    assert "0.01 between seeds and smoothly by 0.02 from the law" in text
    assert "assumed: stated [law]" in text
    assert "warning: one [seed]: noise" in text
    assert "studies above: 0.11 as planned" in text
    assert "corrected" not in text
    assert text.startswith(
        "This grid detects a shift of a of -0.12 with about 80% power (claimed in 80% +- 6% of "
        "made-up studies); exponents would not be identified in 25% of studies. study s: "
    )
    assert " of 5 model sizes from 1k to 10M, 5 data sizes from 1k to 10M examples, " in text
    assert (
        "Of what narrows a by 5% or more, this helps most per FLOP: smaller N = 100, every D "
        "(a 8% narrower for 0.009% more compute)."
    ) in text


def test_mixtures_with_laws_of_their_own_have_rows_of_their_own(capsys):
    show_power(made_up(("scratch", "qcd", "qcd+bsm"), same=False), "s")
    out = capsys.readouterr().out
    assert out.count("law of ") == 4
    assert "law of qcd+bsm: L = 0.6" in out
    assert re.search(r"qcd\+bsm +\+-0.12", out)
    assert "corrected for 3 pairs" in " ".join(out.split())


def test_one_mixture_has_no_shifts(capsys):
    show_power(made_up(("only",), detection=None), "s")
    out = capsys.readouterr().out
    assert "A shift of a" not in out
    assert out.startswith(
        "Exponents would not be identified in 25% of studies.\nstudy s: 1 mixture x"
    )


@pytest.mark.parametrize("names", [("a", "b"), ("a-mixture-12", "qcd", "another-name")])
def test_tables_fit_80_columns(capsys, names):
    show_power(made_up(names, same=False), "s")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00073, "0.073%"), (0.041, "4.1%"), (2.13, "213%"), (0.1, "10%"), (0.0, "0%")],
)
def test_percent(value, text):
    assert percent(value) == text
