import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed

from jetscale.training.ranks import Ranks


def test_a_process_without_a_group_is_alone():
    assert Ranks.current() == Ranks(rank=0, world=1)


@settings(max_examples=30)
@given(st.integers(0, 20), st.integers(1, 5))
def test_every_jet_belongs_to_one_rank(jets, world):
    rows = np.arange(jets)
    shares = [Ranks(rank=rank, world=world).own(rows) for rank in range(world)]
    assert sorted(np.concatenate(shares)) == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_only_a_group_adds_up(monkeypatch):
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor.mul_(2))
    tensor = torch.ones(3)
    Ranks().add_up(tensor)
    assert tensor.tolist() == [1, 1, 1]
    Ranks(rank=0, world=2).add_up(tensor)
    assert tensor.tolist() == [2, 2, 2]


def test_only_a_group_shares(monkeypatch):
    monkeypatch.setattr(distributed, "broadcast", lambda tensor, src: tensor.fill_(src))
    tensors = [torch.ones(3), torch.ones(2)]
    Ranks().share(tensors)
    assert [tensor.sum() for tensor in tensors] == [3, 2]
    Ranks(rank=1, world=2).share(tensors)
    assert [tensor.sum() for tensor in tensors] == [0, 0]
