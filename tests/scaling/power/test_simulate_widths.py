"""Expected widths are medians of what the real analysis says."""

import json
import math

import numpy as np
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling.allocate import allocate
from jetscale.scaling.budget import flops_budget
from jetscale.scaling.fit import fit
from jetscale.scaling.power.simulate import BEYOND, Share, simulate_runs, widths
from jetscale.scaling.power.truth import Truth, generic


def fits_of(grid, truth, count=5):
    made = [simulate_runs(grid, truth, "m", (5, number)) for number in range(count)]
    return [fit(table, replicates=100, seed=n) for n, table in enumerate(made)]


@pytest.mark.long
def test_widths_are_medians_of_the_real_intervals(small, truth):
    studies = fits_of(small, truth)
    fitted = [study.mixtures["m"] for study in studies]
    found = widths(small, truth, fitted)
    exponents = [f.frontier["params_exponent"] for f in fitted]
    assert found.exponent == pytest.approx(np.median([(e.high - e.low) / 2 for e in exponents]))
    assert found.covered.hits == sum(e.low <= 0.5 <= e.high for e in exponents)
    assert found.not_identified.hits == sum(not e.identified for e in exponents)
    assert found.method == fitted[0].uncertainty
    for at, budget in zip(found.at, (small.flops.max(), BEYOND * small.flops.max()), strict=True):
        answers = [allocate(s, flops_budget(budget)).mixtures["m"] for s in studies]
        factors = [math.sqrt(a.params.high / a.params.low) for a in answers]
        shares = [(a.loss.high - a.loss.low) / (a.loss.high + a.loss.low) for a in answers]
        assert at.budget == budget
        assert at.params_factor == pytest.approx(np.median(factors), rel=1e-6)
        assert at.loss_relative == pytest.approx(np.median(shares), rel=1e-6)


@pytest.mark.long
def test_less_noise_gives_narrower_intervals(small):
    found = []
    for noise in (0.003, 0.012):
        truth = Truth(generic(small), noise, noise / 2)
        made = [study.mixtures["m"] for study in fits_of(small, truth)]
        found.append(widths(small, truth, made))
    assert found[0].exponent < 0.5 * found[1].exponent
    assert found[0].at[1].loss_relative < found[1].at[1].loss_relative
    assert found[0].at[0].params_factor < found[0].at[1].params_factor


def test_plain_values(small, truth):
    made = [study.mixtures["m"] for study in fits_of(small, truth, 2)]
    plain = json.loads(json.dumps(as_json(widths(small, truth, made)), allow_nan=False))
    assert set(plain) == {
        "params_exponent_half_width",
        "at",
        "not_identified",
        "covered",
        "method",
    }
    assert plain["at"][1]["budget_flops"] == pytest.approx(10 * plain["at"][0]["budget_flops"])
    assert plain["covered"]["of"] == 2


@pytest.mark.parametrize("hits", [0, 3, 32])
def test_a_share_has_an_error_even_at_its_ends(hits):
    share = Share(hits=hits, of=32)
    assert share.share == hits / 32
    assert 0.02 < share.error < 0.1
    assert Share(hits=800, of=1000).error == pytest.approx(math.sqrt(0.16 / 1000), rel=0.01)
