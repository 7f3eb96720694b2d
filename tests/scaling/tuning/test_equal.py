"""What differs between the searches of two arms, in a sentence."""

import numpy as np
import pytest

from jetscale.scaling.tuning import equal_search


@pytest.fixture
def search(make_search):
    starts = ("scratch", "pretrained", "pretraining")
    return make_search(np.random.default_rng(1), starts=starts, steps=(300, 1000), seeds=2)


def test_equal_arms_are_counted_and_found_equal(search):
    search.loc[search["start"] == "pretrained", "rate"] *= 0.3  # another base, the same factors
    verdict = equal_search(search)
    assert verdict.equal
    assert str(verdict).startswith("Every arm was searched at the same cells")
    assert len(verdict.arms) == 6
    arm = verdict.arms[0]
    assert (arm.start, arm.mixture) == ("scratch", "arm0")
    assert (arm.n_cells, arm.n_rates, arm.n_runs, arm.n_seeds) == (6, 30, 60, 2)


def second(search):
    return (search["start"] == "scratch") & (search["mixture"] == "arm1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s[~(second(s) & (s["width"] == 8))], "2 cells fewer, the first at width 8"),
        (lambda s: s[~(second(s) & (s["seed"] == 1))], "seeds 0 instead of 0, 1 at width 8"),
        (lambda s: s.assign(steps=s["steps"] + second(s)), "301 steps instead of 300 at width 8"),
        (lambda s: s.drop(index=s.index[second(s)][:2]), "4 rates instead of 5 at width 8"),
        (lambda s: s.drop(index=s.index[second(s)][:1]), "1 run missing instead of 0 at width 8"),
        (
            lambda s: s.assign(rate=s["rate"] ** (1 + 0.5 * second(s))),
            "factors of the rate 1, 2.83, 8, 22.6, 64 instead of 1, 2, 4, 8, 16 at width 8",
        ),
    ],
)
def test_what_differs_is_said(search, change, why):
    verdict = equal_search(change(search))
    assert not verdict.equal
    assert len(verdict.differences) == 1
    assert verdict.differences[0].startswith("scratch arm1 against scratch arm0: " + why)
    assert "not searched alike" in str(verdict)


def test_a_cell_too_many_is_said_of_the_other_arm(search):
    first = (search["start"] == "pretraining") & (search["mixture"] == "arm0")
    verdict = equal_search(search[~(first & (search["width"] == 32) & (search["steps"] == 300))])
    assert "pretraining arm1 against pretraining arm0: 1 cell more" in verdict.differences[0]
