import numpy as np
import pytest

from jetscale.measures.resample import HALVES, half_sample_error, halves


def test_halves_are_distinct_rows_and_the_same_every_time():
    found = halves(101, seed=3)
    assert len(found) == HALVES
    assert all(len(np.unique(rows)) == 50 and rows.max() < 101 for rows in found)
    again = halves(101, seed=3)
    assert all((a == b).all() for a, b in zip(found, again, strict=True))
    assert any((a != b).any() for a, b in zip(found, halves(101, seed=4), strict=True))


def test_the_error_of_a_mean_is_the_textbook_one(rng):
    x = rng.normal(size=4000)
    error = half_sample_error(lambda rows: x[rows].mean(), len(x), seed=1)
    assert error == pytest.approx(x.std() / np.sqrt(len(x)), rel=0.35)
