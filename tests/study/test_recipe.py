"""Settings of a recipe that came later: their ranges, and that their defaults leave no trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import StudyError
from jetscale.study import Controls, RateLaw, Rates, Schedule
from jetscale.study.rates import STARTS


@pytest.fixture
def recipe():
    return Controls(pretraining_jets=50, validation_jets=10, test_jets=10)


@pytest.mark.parametrize(
    ("group", "setting", "other"),
    [
        ("optimiser", "average", 0.1),
        ("schedule", "batch_exponent", 0.5),
        ("schedule", "min_steps", 100),
        ("model", "pretraining_objective", "masked"),
    ],
)
def test_a_later_setting_is_part_of_the_identity_where_it_is_set(recipe, group, setting, other):
    assert setting not in recipe.to_dict()[group]
    assert recipe.change(**{setting: other}).to_dict()[group][setting] == other


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("average", 1.0, r"recipe.optimiser: average is 1.0, needs 0 <= value < 1"),
        ("average", -0.1, r"recipe.optimiser: average is -0.1, needs 0 <= value < 1"),
        ("batch_exponent", 1.5, r"batch_exponent is 1.5, needs 0 <= value <= 1"),
        ("batch_exponent", -0.5, r"batch_exponent is -0.5, needs 0 <= value <= 1"),
        ("parametrization", "mup", r"recipe.model: unknown parametrization 'mup'"),
    ],
)
def test_a_value_out_of_range_is_refused(recipe, setting, value, message):
    with pytest.raises(StudyError, match=message):
        recipe.change(**{setting: value})


def test_complete_is_part_of_the_identity(recipe):
    assert "parametrization" not in recipe.to_dict()["model"]
    told = recipe.change(parametrization="complete", width_exponent=0.0).to_dict()["model"]
    assert told["parametrization"] == "complete"


def test_the_width_is_not_taken_into_account_twice(recipe):
    with pytest.raises(StudyError, match=r"'complete' .* width_exponent 0\.75 would do it twice"):
        recipe.change(parametrization="complete")
    flat, steep = RateLaw(learning_rate=0.01, width_exponent=0), RateLaw(learning_rate=0.01)
    laws = Rates(scratch=flat, pretrained=flat, pretraining=flat)
    assert recipe.change(parametrization="complete", rates=laws).optimiser.rates == laws
    mixed = Rates(scratch=flat, pretrained=steep, pretraining=flat)
    with pytest.raises(StudyError, match="twice"):
        recipe.change(parametrization="complete", rates=mixed)


@given(st.integers(1, 10**7), st.integers(1, 50))
def test_without_an_exponent_the_batch_is_one_number(examples, epochs):
    schedule = Schedule(batch_size=48)
    assert schedule.batch(examples, epochs) == 48
    assert schedule.steps(examples, epochs) == epochs * -(-examples // 48)


def test_the_batch_grows_with_the_jets_seen():
    schedule = Schedule(batch_size=16, batch_exponent=0.5)
    # 16 sqrt(D / 16,000) of one epoch: 2.8, 8, 16 and 32
    assert [schedule.batch(d, 1) for d in (500, 4_000, 16_000, 64_000)] == [3, 8, 16, 32]
    assert schedule.batch(4_000, 4) == schedule.batch(16_000, 1) == 16
    assert schedule.batch(1, 1) == 1
    assert schedule.steps(4_000, 4) == 4 * 250


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 8), st.floats(0, 1))
def test_more_jets_never_take_a_smaller_batch(first, second, epochs, exponent):
    schedule = Schedule(batch_exponent=exponent)
    small, large = (schedule.batch(examples, epochs) for examples in sorted((first, second)))
    assert 1 <= small <= large


@given(
    st.integers(1, 10**5),
    st.integers(1, 20),
    st.integers(0, 3_000),
    st.sampled_from([0.0, 0.3, 0.5]),
)
def test_passes_are_the_fewest_that_make_enough_steps(examples, epochs, least, exponent):
    schedule = Schedule(epochs=epochs, min_steps=least, batch_exponent=exponent)
    found = schedule.passes(examples)
    assert found >= epochs
    assert schedule.steps(examples, found) >= least
    fewer = range(max(epochs, found - 20), found)
    assert all(schedule.steps(examples, passes) < least for passes in fewer)


def test_pretraining_has_passes_of_its_own():
    schedule = Schedule(epochs=4, pretraining_epochs=1, min_steps=100, batch_size=10)
    assert (schedule.passes(200), schedule.passes(200, pretraining=True)) == (5, 5)
    assert (schedule.passes(400), schedule.passes(400, pretraining=True)) == (4, 3)
    assert (schedule.passes(9_000), schedule.passes(9_000, pretraining=True)) == (4, 1)


def test_steps_that_no_number_of_passes_makes_are_refused():
    schedule = Schedule(min_steps=20_000, batch_exponent=1.0)
    with pytest.raises(StudyError, match=r"min_steps 20000 takes more than 10000 passes over 500 "):
        schedule.passes(500)
    with pytest.raises(StudyError, match="min_steps is -1, needs a whole number of at least 0"):
        Schedule(min_steps=-1)


def test_the_pretraining_objective_is_that_of_pretraining_alone(recipe):
    masked = recipe.change(pretraining_objective="masked")
    assert [masked.at(start).model.objective for start in STARTS] == [
        *("classify", "classify", "masked")
    ]
    assert masked.at("scratch") == recipe.at("scratch")
    assert masked.at("pretrained") != recipe.at("pretrained")
    assert masked.at("pretraining").to_dict() == (
        recipe.change(objective="masked").at("pretraining").to_dict()
    )


def test_to_name_the_same_objective_twice_is_to_name_it_once(recipe):
    assert recipe.change(pretraining_objective="classify") == recipe
    with pytest.raises(StudyError, match="pretraining_objective is 3, needs a text or None"):
        recipe.change(pretraining_objective=3)
