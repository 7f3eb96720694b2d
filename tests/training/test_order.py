import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.training.order import Order, Seeds


def order_of(jets=10, batch_size=4, epochs=2, seed=1):
    return Order(seed=seed, jets=jets, batch_size=batch_size, epochs=epochs)


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 4))
def test_every_epoch_sees_every_jet_once(jets, batch_size, epochs):
    order = order_of(jets, batch_size, epochs)
    per_epoch = -(-jets // batch_size)
    assert order.steps == epochs * per_epoch
    batches = [order.rows(step) for step in range(order.steps)]
    for epoch in range(epochs):
        part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(np.concatenate(part)) == list(range(jets))
        assert all(len(rows) == batch_size for rows in part[:-1])


def test_epochs_and_seeds_have_their_own_order():
    order = order_of(100, 100)
    assert not np.array_equal(order.rows(0), order.rows(1))
    assert not np.array_equal(order.rows(0), order_of(100, 100, seed=2).rows(0))


def test_any_step_can_be_asked_first():
    order = order_of(10, 4, epochs=3)
    forward = [order.rows(step).tolist() for step in range(9)]
    assert [order_of(10, 4, epochs=3).rows(step).tolist() for step in range(9)] == forward


def test_seeds_are_derived_and_distinct():
    assert Seeds.of(1) == Seeds.of(1)
    derived = [Seeds.of(seed) for seed in range(100)]
    assert len({seed for s in derived for seed in (s.trunk, s.head, s.order)}) == 300
