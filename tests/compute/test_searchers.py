"""Points proposed through Ray Tune's Optuna searcher: reproducible, better than chance, refused."""

import math

import pytest

from jetscale.compute.searchers import BATCH, propose
from jetscale.errors import SweepError

pytest.importorskip("optuna")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SPACE = {"rate": (0.25, 1, 4), "weight_decay": (0.0, 0.1)}


def badness(point):
    return math.log(point["rate"]) ** 2 + point["weight_decay"]


def judge(points):
    return [badness(point) for point in points]


@pytest.mark.parametrize("how", ["random", "optuna"])
def test_points_lie_in_the_space_and_come_again(how):
    points = propose(how, SPACE, 10, judge)
    assert len(points) == 10
    assert all(0.25 <= p["rate"] <= 4 and p["weight_decay"] in (0.0, 0.1) for p in points)
    assert propose(how, SPACE, 10, judge) == points
    assert propose(how, SPACE, 10, judge, seed=2) != points


def test_what_is_told_steers_optuna_and_not_chance():
    def opposite(points):
        return [-value for value in judge(points)]

    assert propose("random", SPACE, 24, opposite) == propose("random", SPACE, 24, judge)
    assert propose("optuna", SPACE, 24, opposite) != propose("optuna", SPACE, 24, judge)
    late = [badness(p) for p in propose("optuna", SPACE, 40, judge)[20:]]
    chance = [badness(p) for p in propose("random", SPACE, 40, judge)[20:]]
    assert sum(late) < sum(chance)


def test_points_are_judged_in_batches_with_all_before_them():
    seen = []

    def count(points):
        seen.append(len(points))
        return judge(points)

    propose("random", SPACE, 10, count)
    assert seen == [BATCH, 2 * BATCH, 10]


def test_a_point_that_diverged_is_told_as_the_worst():
    points = propose("optuna", SPACE, 8, lambda points: [math.inf for _ in points])
    assert len(points) == 8


def test_a_space_of_one_point_is_refused():
    with pytest.raises(SweepError, match="nothing to search"):
        propose("random", {"rate": (1.0,), "weight_decay": (0.1,)}, 4, judge)
