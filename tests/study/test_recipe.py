"""Settings of a recipe that came later: their ranges, and that their defaults leave no trace."""

import pytest

from jetscale.errors import StudyError
from jetscale.study import Controls


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
    ],
)
def test_a_value_out_of_range_is_refused(recipe, setting, value, message):
    with pytest.raises(StudyError, match=message):
        recipe.change(**{setting: value})
