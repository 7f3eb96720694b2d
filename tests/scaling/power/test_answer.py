"""The whole answer: what is in it, what is refused, how it is put in words."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import Power, make_grid, power
from jetscale.scaling.power.enough import grown
from jetscale.scaling.power.simulate import Share, simulate_runs
from jetscale.scaling.power.truth import Truth, shifted

STEPS: list[tuple[str, int, int]] = []


@pytest.fixture(scope="module")
def found(small) -> Power:
    STEPS.clear()
    return power(
        small,
        noise=0.006,
        misfit=0.003,
        shift=-0.15,
        simulations=4,
        progress=lambda *step: STEPS.append(step),
    )


@pytest.mark.long
def test_the_answer_holds_everything(found, small):
    assert set(found.widths) == {"a", "b"}
    assert found.widths["a"] is found.widths["b"]
    assert found.widths["a"].not_identified.of == 8
    assert 0.01 < found.widths["a"].exponent < 0.2
    assert [trial.shift for trial in found.detection.trials] == [0.0, -0.15]
    assert found.detection.trials[1].claimed.hits > found.detection.trials[0].claimed.hits
    assert 0.3 < found.half_width / found.widths["a"].exponent < 1.5
    assert found.assumed.truths["a"].exponent(small.cost) == pytest.approx(0.5)
    assert found.warnings == ()


@pytest.mark.slow
def test_progress_counts_every_made_up_study(found):
    assert [step[1] for step in STEPS] == [*range(1, 5), *range(1, 5)]
    assert {step[2] for step in STEPS} == {4}
    assert len({step[0] for step in STEPS}) == 2


@pytest.mark.slow
def test_json_has_no_surprises(found):
    plain = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert set(plain) == {
        "grid",
        "laws",
        "source",
        "noise",
        "misfit",
        "widths",
        "detection",
        "linear_half_width",
        "extras",
        "helps_most",
        "simulated_studies",
        "replicates",
        "seed",
        "warnings",
        "conclusion",
    }
    assert plain["laws"]["b"]["alpha"] == 0.35
    assert plain["detection"]["trials"][0]["shift"] == 0
    assert plain["detection"]["pairs"] == 1
    assert plain["grid"]["seeds"] == [2] * 16


@pytest.mark.long
def test_the_same_seed_gives_the_same_answer(plan):
    grid = plan(3, 3, 2, mixtures="a")
    first, again, other = (as_json(power(grid, simulations=4, seed=s)) for s in (1, 1, 2))
    assert again == first
    assert other["widths"] != first["widths"]


def with_trial(found, **changes):
    none, tried = found.detection.trials
    detection = replace(found.detection, trials=(none, replace(tried, **changes)), detectable=None)
    return replace(found, detection=detection)


def test_what_is_not_detected_is_said(found):
    rare = Share(hits=4, of=10)
    text = with_trial(found, claimed=rare, not_identified=Share(hits=6, of=10)).conclusion
    assert text.startswith("no shift of a that was tried is detected with 80% power: at best -0.15")
    assert "claimed in 40% +- 16%" in text
    assert "not identified in 60%" in text


@pytest.mark.parametrize(("hits", "power"), [(31, "about 80%"), (40, "more than 80%")])
def test_what_is_detected_is_said(found, hits, power):
    known = with_trial(found, claimed=Share(hits=hits, of=40))
    text = replace(known, detection=replace(known.detection, detectable=-0.15)).conclusion
    assert text.startswith(f"this grid detects a shift of a of -0.15 with {power} power (claimed")
    assert "exponents would not be identified in" in text


def test_what_helps_most_is_worth_it(found):
    chosen = found.best_extra
    assert found.helps_most == chosen.what
    assert chosen.reduction >= 0.05
    assert not [e for e in found.extras if e.gain > chosen.gain and e.reduction >= 0.05]
    assert f"this helps most per FLOP: {chosen.what}" in found.conclusion
    little = tuple(replace(extra, reduction=0.01) for extra in found.extras)
    assert replace(found, extras=little).best_extra is None
    assert replace(found, extras=little).helps_most is None


@pytest.mark.slow
def test_one_mixture_and_one_seed(plan):
    alone = power(plan(4, 4, 1, mixtures=["only"]), noise=0.005, simulations=4)
    assert alone.detection is None
    assert as_json(alone)["detection"] is None
    assert list(alone.widths) == ["only"]
    assert [line.split(":")[0] for line in alone.warnings] == ["one seed", "one mixture"]
    assert alone.conclusion.startswith("exponents would not be identified in")


@pytest.mark.slow
def test_a_grid_that_grid_needed_is_named(found):
    wide = replace(found.widths["a"], exponent=0.2)
    n, d = np.meshgrid([1e3, 4e3, 1.6e4], [500.0, 2e3, 8e3, 3.2e4])
    found = replace(found, widths=dict.fromkeys("ab", wide))
    small, grid = (make_grid(unit * n.ravel(), unit * d.ravel(), seeds=2) for unit in (1e-5, 1))
    assert replace(found, grid=small).grid_needed == "", "no next sizes"
    found = replace(found, grid=grid)
    one = grown(found.grid, found.assumed.first, 0.2)
    assert one.half_width <= 0.1
    assert one.flops == pytest.approx(one.grid.total - found.grid.total)
    assert f"a to within {one.half_width:.2f} would take a grid of {one.text}" in found.conclusion
    narrow = replace(found.widths["a"], exponent=0.05)
    assert replace(found, widths=dict.fromkeys("ab", narrow)).grid_needed == ""


@pytest.mark.long
def test_each_mixture_has_the_law_of_its_pilot(plan, truth):
    grid = plan(4, 4, 2, mixtures=("a", "b", "c"))
    moved = shifted(truth, grid.cost, -0.1, grid.middle)
    tables = [
        simulate_runs(grid, truth, "a", (1,)),
        simulate_runs(grid, Truth(moved.theta, 0.01, 0.0), "b", (2,)),
    ]
    found = power(grid, pilot=pd.concat(tables), shift=-0.1, simulations=4)
    assert not found.assumed.same
    a, b = (found.assumed.truths[name].exponent(grid.cost) for name in "ab")
    assert b < a
    assert found.widths["c"] is found.widths["a"]
    assert found.widths["b"] is not found.widths["a"]
    assert found.widths["b"].not_identified.of == 4
    assert "not be identified in 0% of studies" in found.conclusion
    share = replace(found.widths["b"].not_identified, hits=2)
    other = replace(found.widths["b"], not_identified=share)
    mixed = replace(found, widths={**found.widths, "b": other})
    assert "a and c 0%, b 50%" in mixed.conclusion
    assert found.detection.pairs == 3


@pytest.mark.long
def test_more_seeds_narrow_the_interval(plan):
    alone = [
        power(plan(5, 5, seeds, mixtures="a"), noise=0.02, misfit=0.0, simulations=6, seed=4)
        for seeds in (2, 8)
    ]
    widths = [found.widths["a"].exponent for found in alone]
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.35)
    assert alone[1].half_width == pytest.approx(alone[0].half_width / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulations": 3}, "simulations is 3, needs 4 to 10000"),
        ({"seed": -1}, "seed is -1"),
        ({"shift": 0.0}, "shift is 0, needs a number other than zero"),
        ({"shift": float("nan")}, "shift is nan"),
        ({"shift": 0.7}, "a shift of 0.7 takes the law out of bounds; it can be -0.4"),
        ({"noise": -1.0}, "noise is -1"),
        ({"law": (1, 2)}, "a law is 5 numbers"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_simulated(small, options, message):
    with pytest.raises(FitError, match=message) as caught:
        power(small, progress=pytest.fail, **options)
    assert "\n" not in str(caught.value)


def test_a_shift_needs_two_mixtures(plan):
    with pytest.raises(FitError, match="needs two mixtures"):
        power(plan(4, 4, 2, mixtures="a"), shift=0.1)
