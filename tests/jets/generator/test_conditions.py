import pytest

from jetscale.errors import DataError
from jetscale.jets.generator.conditions import WINDOWS, Conditions


def test_the_default_is_jetclass_without_pileup():
    conditions = Conditions()
    assert (conditions.window, conditions.pileup) == ("jetclass", 0.0)
    assert conditions.range.pt_range == (500.0, 1000.0)
    assert conditions.range.max_eta == 2.0
    assert conditions.range.particle_eta >= conditions.range.max_eta + 0.8


def test_the_wide_window_has_the_bins_in_which_jetclass2_is_reweighted():
    wide = Conditions("jetclass2").range
    assert wide.pt_range == (200.0, 2500.0)
    assert len(wide.edges) == 15
    ratios = [b / a for a, b in zip(wide.edges[:-1], wide.edges[1:], strict=True)]
    assert max(ratios) / min(ratios) < 1.01  # equal steps of the logarithm


@pytest.mark.parametrize("window", WINDOWS.values())
def test_windows_rise(window):
    assert list(window.edges) == sorted(set(window.edges))
    assert window.masses[0] < window.masses[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jetclas",), "did you mean 'jetclass'"),
        (("jetclass", -1.0), "pile-up is -1.0, needs 0 to 200"),
        (("jetclass", float("nan")), "pile-up is nan"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    with pytest.raises(DataError, match=message):
        Conditions(*arguments)


def test_conditions_are_values():
    assert Conditions("jetclass2", 50.0) == Conditions("jetclass2", 50.0)
    assert len({Conditions(), Conditions(), Conditions(pileup=1.0)}) == 2
