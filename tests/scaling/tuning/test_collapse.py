"""Made-up training curves that collapse, and ladders with one size that does not."""

import json
import math

import numpy as np
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling.tuning import TrainingCurve, collapse

X = np.linspace(0.05, 1, 20)
SIZES = (1e3, 3e3, 1e4, 3e4, 1e5)


def ladders(rng, *, seeds=3, sizes=SIZES, data=(1e4, 1e5), mixtures=("a", "b"), bad=(), drift=0.0):
    """Power laws in the share of the training, with noise that wanders along it."""
    curves = []
    for mixture in mixtures:
        for examples in data:
            for rung, params in enumerate(sizes):
                shape = 0.3 + 0.24 * (X + 0.02) ** -(0.5 + drift * rung)
                if (mixture, examples, params) in bad:
                    shape = shape + 0.05 * np.sqrt(X) * (1 - X)  # too high a rate: late to fall
                for seed in range(seeds):
                    wander = rng.normal(size=20).cumsum() * 0.01 / math.sqrt(20)
                    noise = np.exp(wander + 0.003 * rng.normal(size=20))
                    loss = params**-0.1 * shape * noise
                    curves.append(
                        TrainingCurve(
                            mixture=mixture,
                            params=params,
                            examples=examples,
                            seed=seed,
                            points=list(zip(X * 1000, loss, strict=True)),
                            final=loss[-1],
                        )
                    )
    return curves


@pytest.mark.long
@pytest.mark.parametrize(
    "design",
    [
        {},
        {"seeds": 2, "sizes": SIZES[::2]},
        {"drift": 0.02},
        {"seeds": 2, "mixtures": ("a",), "data": (1e4,)},
    ],
)
def test_clean_ladders_raise_an_alarm_in_5_of_100_at_most(design):
    rng = np.random.default_rng(1)
    alarms = [not collapse(ladders(rng, **design)).collapsed for _ in range(200)]
    # binomial: 200 studies at 5% give 8% or less in 98 of 100
    assert np.mean(alarms) <= 0.08


@pytest.mark.parametrize("drift", [0.0, 0.02])
@pytest.mark.parametrize("params", SIZES)
def test_one_rung_with_a_wrong_rate_is_named(params, drift):
    bad = ("a", 1e5, params)
    found = collapse(ladders(np.random.default_rng(2), bad={bad}, drift=drift))
    assert not found.collapsed
    broken = [(r.mixture, r.examples, r.params) for r in found.rungs if r.breaks]
    assert broken == [bad]
    assert (found.worst.mixture, found.worst.examples, found.worst.params) == bad
    assert found.worst.deviation > 3
    assert str(found).startswith("1 of 20 rungs leave the common curve")
    assert "leaves the common curve" in str(found.worst)
    json.dumps(as_json(found), allow_nan=False)


@pytest.mark.long
def test_rungs_tuned_alike_deviate_by_their_noise():
    rng = np.random.default_rng(3)
    found = [r.deviation**2 for _ in range(200) for r in collapse(ladders(rng)).rungs]
    # 20 seeds beyond the first judge the noise of one data size: the mean of F is 20 / 18
    assert np.mean(found) == pytest.approx(20 / 18, rel=0.1)


def test_a_floor_unfolds_curves_that_end_at_different_distances_from_it():
    rng = np.random.default_rng(4)
    curves = []
    for curve in ladders(rng, mixtures=("a",), data=(1e4,), sizes=SIZES[::2]):
        lifted = [(step, loss + 1.0) for step, loss in curve.points]
        fields = {name: getattr(curve, name) for name in curve.__dataclass_fields__}
        fields |= {"points": lifted, "final": curve.final + 1.0}
        curves.append(TrainingCurve(**fields))
    assert collapse(curves, floors={"a": 1.0}).collapsed
    assert not collapse(curves).collapsed


def test_order_does_not_matter_and_neither_do_units():
    curves = ladders(np.random.default_rng(5), bad={("a", 1e5, 1e4)})
    one = collapse(curves)
    assert collapse(curves[::-1]) == one
    scaled = [
        TrainingCurve(
            mixture=c.mixture,
            params=c.params,
            examples=c.examples,
            seed=c.seed,
            points=[(3 * step, 5 * loss) for step, loss in c.points],
            final=5 * c.final,
        )
        for c in curves
    ]
    two = [r.p_value for r in collapse(scaled).rungs]
    assert two == pytest.approx([r.p_value for r in one.rungs])


def test_what_cannot_be_tested_is_said():
    rng = np.random.default_rng(6)
    for design in ({"seeds": 1}, {"sizes": SIZES[:2]}):
        found = collapse(ladders(rng, **design))
        assert found.worst is None
        assert not found.collapsed
        assert "not tested: needs three sizes, and two seeds of one of them" in str(found)
    assert "there are no curves" in str(collapse([]))


def test_curves_that_cannot_be_normalised_are_refused():
    def curve(points, final=0.5):
        return [
            TrainingCurve(mixture="a", params=9, examples=8, seed=1, points=points, final=final)
        ]

    with pytest.raises(FitError, match=r"a, N = 9, D = 8, seed 1: .* 3 points or more"):
        collapse(curve([(1, 0.7), (2, 0.5)]))
    with pytest.raises(FitError, match="3 points or more with ascending steps"):
        collapse(curve([(1, 0.7), (1, 0.6), (2, 0.5)]))
    with pytest.raises(FitError, match=r"reaches 0\.5, needs finite losses above the floor 0\.6"):
        collapse(curve([(1, 0.9), (2, 0.7), (3, 0.5)]), floors={"a": 0.6})
    with pytest.raises(FitError, match="leave out runs that diverged"):
        collapse(curve([(1, 0.9), (2, math.nan), (3, 0.5)]))
