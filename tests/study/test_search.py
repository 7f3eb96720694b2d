"""Searches: the same points for every mixture, and no point that a study does not allow."""

import pytest

from jetscale.errors import StudyError
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study
from jetscale.study.search import Point, make_search


@pytest.fixture
def study():
    return Study(
        name="wide",
        source=Simulated(train_jets=8000),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        ladder=tuple(ModelSize(width=w, layers=1, heads=1) for w in (8, 16, 24, 32)),
        data_sizes=(500, 1000, 2000, 4000, 8000),
        seeds=(1, 2),
        recipe=Controls(pretraining_jets=50, validation_jets=10, test_jets=10),
    )


def test_by_default_the_ends_and_the_middle_are_searched(study):
    search = make_search(study)
    assert [size.width for size in search.sizes] == [8, 16, 32]
    assert search.data_sizes == (500, 2000, 8000)
    assert search.seeds == (1, 2)
    assert search.rates == (0.25, 0.5, 1, 2, 4)
    assert search.pretraining_rates == search.rates


def test_one_thing_is_varied_at_a_time(study):
    search = make_search(study, tried={"weight_decay": (0.0, 0.01, 0.1), "epochs": (2, 4)})
    for point in search.points:
        changed = [point.rate != 1, point.pretraining_rate != 1, bool(point.settings)]
        assert sum(changed) <= 1
    # the study's own values are there already
    assert [p.settings for p in search.points if p.settings] == [
        (("weight_decay", 0.0),),
        (("weight_decay", 0.1),),
        (("epochs", 4),),
    ]


def test_the_point_of_the_study_is_its_recipe(study):
    assert (
        Point().apply(study.recipe) is study.recipe or Point().apply(study.recipe) == study.recipe
    )
    assert Point() in make_search(study, rates=(0.5, 2, 4)).points


def test_a_point_scales_the_law_of_each_start(study):
    recipe = Point(rate=2.0, pretraining_rate=0.5).apply(study.recipe)
    rates = {
        start: recipe.optimiser.law(start).learning_rate for start in ("scratch", "pretrained")
    }
    assert rates == {"scratch": 0.02, "pretrained": 0.02}
    assert recipe.optimiser.law("pretraining").learning_rate == 0.005
    again = Point(rate=2.0).apply(recipe)
    assert again.optimiser.law("scratch").learning_rate == 0.04


def test_more_seeds_than_the_study_has_are_new_ones(study):
    assert make_search(study, seeds=4).seeds == (1, 2, 3, 4)
    assert make_search(study, seeds=1).seeds == (1,)


def test_the_digest_is_that_of_what_is_tried(study):
    assert make_search(study).digest == make_search(study).digest
    assert make_search(study).digest != make_search(study, seeds=1).digest


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"rates": (1, 2)}, "2 rates, needs at least 3"),
        ({"rates": (0.5, 1, -1)}, "rates -1: needs > 0"),
        ({"rates": (0.5, 1, float("nan"))}, "finite"),
        ({"pretraining_rates": (0,)}, "needs > 0"),
        ({"widths": (8, 17)}, "unknown width of the study '17'"),
        ({"widths": (8,)}, "1 widths of 4, needs at least 2"),
        ({"data_sizes": (500, 2000)}, "2 data sizes of 5, needs at least 3"),
        ({"data_sizes": (500, 2000, 9000)}, "unknown data size of the study '9000'"),
        ({"tried": {"wieght_decay": (0.1,)}}, "did you mean 'weight_decay'"),
        ({"tried": {"weight_decay": (2.0,)}}, "weight_decay is 2.0"),
    ],
)
def test_what_cannot_be_tried_is_refused(study, asked, what):
    with pytest.raises(StudyError, match=what):
        make_search(study, **asked)
