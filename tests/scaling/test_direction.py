import numpy as np
import pytest

from jetscale.scaling.direction import not_a_loss


@pytest.mark.parametrize("noise", [0.003, 0.05])
def test_a_score_is_no_loss_and_a_loss_is_one(grid, truth, noise):
    runs = grid({"m": truth}, noise=noise)
    assert not_a_loss(runs) == ""
    score = runs.assign(loss=0.9 - 0.1 * runs["loss"])
    assert "a score where more is better" in not_a_loss(score)
    flat = runs.assign(loss=0.5)
    assert "the same loss in every run" in not_a_loss(flat)


def test_a_loss_that_rises_with_one_size_alone_is_one(grid, truth):
    """Overfitting: on repeated data larger models do worse."""
    runs = grid({"m": truth})
    assert not_a_loss(runs.assign(loss=runs["loss"] * runs["params"] ** 0.3)) == ""
    noise = np.random.default_rng(0).normal(size=len(runs))
    assert not_a_loss(runs.assign(loss=np.exp(0.1 * noise))) == ""
