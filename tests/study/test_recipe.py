"""Settings of a recipe that came later: their ranges, and that their defaults leave no trace."""

import pytest

from jetscale.errors import StudyError
from jetscale.study import Controls, RateLaw, Rates


@pytest.fixture
def recipe():
    return Controls(pretraining_jets=50, validation_jets=10, test_jets=10)


@pytest.mark.parametrize(
    ("group", "setting", "other"),
    [
        ("optimiser", "average", 0.1),
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
