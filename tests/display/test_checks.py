"""The checks of a fit on a terminal, and differences by route."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from jetscale.display.laws import show_checks, show_shifts
from jetscale.scaling import Estimate, RouteShift, conventions, diagnose, fit
from jetscale.scaling.engine import laws

pytestmark = pytest.mark.slow

THETA = np.array([0.5, 20.0, 30.0, 0.45, 0.42])


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(3)
    rows = [
        ("scratch mixture", n, d, s, 5 * n**1.1 * d, float(laws.loss(THETA, n, d)))
        for n in (1e3, 4e3, 2e4, 1e5)
        for d in (1e3, 4e3, 2e4, 1e5)
        for s in (1, 2)
    ]
    frame = pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "flops", "loss"])
    frame["loss"] *= np.exp(0.005 * rng.normal(size=len(frame)))
    return frame


def shown(capsys, runs):
    fits = fit(runs, replicates=60)
    found = diagnose(fits)
    show_checks(fits, found, conventions(fits))
    return capsys.readouterr().out, found


def test_a_row_per_mixture_that_fits_a_terminal(capsys, runs):
    out, found = shown(capsys, runs)
    assert max(map(len, out.splitlines())) <= 80
    row = next(line for line in out.splitlines() if line.strip().startswith("scratch mixture"))
    one = found.mixtures["scratch mixture"]
    assert f"{one.forecasts[0].inside}/{len(one.forecasts[0].cells)}" in row
    assert f"{abs(one.influence.worst.relative_shift):.2f}" in row
    judged = [w for w in one.windows if w.params_exponent and w.params_exponent.identified]
    assert judged
    assert f"{sum(window.significant for window in one.windows)} of {len(judged)}" in row


def test_conventions_that_differ_stand_side_by_side(capsys, runs):
    out, _ = shown(capsys, runs)
    table = " ".join(out.split()).split("Exponent a by compute convention")[1]
    assert "exact" in table
    assert "6ND" in table
    values = [float(word) for word in table.split() if word.replace(".", "").isdigit()]
    assert values[0] < values[1]  # C grows faster than N: less of it goes to N


def test_one_convention_needs_no_table(capsys, runs):
    out, _ = shown(capsys, runs.drop(columns="flops"))
    assert "Exponent a by" not in out


def test_what_cannot_be_checked_is_a_dash(capsys, runs):
    once = runs[runs["seed"] == 1]
    three = once[once["params"].isin([1e3, 2e4, 1e5])]
    out, _ = shown(capsys, three)
    row = next(line for line in out.splitlines() if line.strip().startswith("scratch mixture"))
    assert row.count("–") == 1  # two model sizes make no law


def test_without_second_seeds_the_test_of_neighbours_stands_there(capsys, runs):
    out, found = shown(capsys, runs[runs["seed"] == 1])
    p_value = found.mixtures["scratch mixture"].residuals.smooth.p_value
    row = next(line for line in out.splitlines() if line.strip().startswith("scratch mixture"))
    assert f" {p_value:.2g} " in row


def test_many_differences_by_route_are_counted_unless_shown(capsys):
    pairs = list(combinations("abcdef", 2))
    clear = Estimate(value=0.2, low=0.1, high=0.3, reason="")
    numbers = {"difference": clear, "p_value_uncorrected": 0.5}
    shifts = [
        RouteShift(a=a, b=b, route="isoFLOP", p_value=0.01 if b == "f" else 0.5, **numbers)
        for a, b in pairs
    ]
    show_shifts(shifts)
    out = capsys.readouterr().out
    assert out.count("isoFLOP:") == 6  # five that are shown, one line for the rest
    assert "no shift shown: 10 pairs" in out
    show_shifts(shifts[:3])
    assert capsys.readouterr().out.count("no shift shown (p") == 3
