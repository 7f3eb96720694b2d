import numpy as np
import pytest

from jetscale.scaling.routes.levels import levelled, polynomial

X = np.tile(np.linspace(-2.0, 2.0, 7), 4)  # log sizes at each of four budgets
GROUPS = list(np.arange(28).reshape(4, 7))
BUDGETS = np.repeat(np.log(10) * np.arange(4.0), 7)


def surface(x, log_c):
    """Log losses that are cubic in the log size and fall along the log budget."""
    return 0.5 + 0.1 * x**2 - 0.02 * x**3 - 0.2 * log_c


def test_a_polynomial_of_its_degree_is_found_again():
    x, at = np.linspace(1, 4, 6), np.linspace(0.5, 4.5, 9)
    y = np.stack([surface(x, 0.0), 3 * x])
    expected = np.stack([surface(at, 0.0), 3 * at])
    np.testing.assert_allclose(polynomial(x, y, at, 3), expected, atol=1e-12)


@pytest.mark.parametrize("drift", [0.0, 0.04])
def test_what_a_cell_is_off_its_budget_is_taken_off_also_where_it_depends_on_its_size(drift):
    off = drift * np.tanh(X) + 0.02 * np.cos(5 * X)
    rows = np.stack([surface(X, BUDGETS + off), 1 + surface(X, BUDGETS + off)])
    found = np.concatenate(levelled(X, BUDGETS + off, rows, GROUPS), axis=1)
    middles = BUDGETS + np.repeat([off[cells].mean() for cells in GROUPS], 7)
    expected = np.stack([surface(X, middles), 1 + surface(X, middles)])
    assert np.abs(rows - expected).max() > 3e-3
    # the profiles that tell the slope are themselves of cells off their budget
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_cells_at_their_budget_stay_as_they_are():
    rows = surface(X, BUDGETS)[None]
    found = levelled(X, BUDGETS, rows, GROUPS)
    assert all((one == rows[:, cells]).all() for one, cells in zip(found, GROUPS, strict=True))
