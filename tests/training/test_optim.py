import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import batch_of
from jetscale.models.inputs import feature_inputs
from jetscale.models.parametrization import Factors
from jetscale.models.transformer.model import JetTransformer
from jetscale.study import Controls, ModelSize
from jetscale.training.optim import FlatAdamW, average_weight, schedule

CONTROLS = Controls(pretraining_jets=1, validation_jets=1, test_jets=1, clip=0.1, weight_decay=0.3)
SIZE = ModelSize(width=8, layers=2, heads=2)
STEPS = 12


def build():
    features = feature_inputs(FEATURE_SETS["kin"])
    return JetTransformer(SIZE, features, 3, trunk_seed=1, head_seed=2).double()


def optimise(model, **changes):
    return FlatAdamW(model.trunk, model.head, CONTROLS.change(**changes), SIZE.width, STEPS)


def torch_adamw(model, factors):
    """PyTorch's AdamW with the same groups, as oracle."""
    groups = []
    for name, parameter in model.named_parameters():
        factor = CONTROLS.optimiser.head_multiplier if name.startswith("head.") else 1.0
        decay = CONTROLS.optimiser.weight_decay if parameter.ndim > 1 else 0.0
        own = factors.get(name, Factors())
        group = {"params": [parameter], "weight_decay": decay / own.rate, "eps": 1e-8 * own.epsilon}
        groups.append(group | {"factor": factor * own.rate})
    return torch.optim.AdamW(groups, betas=(CONTROLS.optimiser.beta1, CONTROLS.optimiser.beta2))


# an epsilon that counts beside the gradients shows that each weight has its own
FACTORS = {
    "trunk.blocks.0.qkv": Factors(rate=0.25, epsilon=1e6),
    "trunk.query": Factors(epsilon=3e5),
    "head.weight": Factors(rate=2.0),
}


@pytest.mark.long
@pytest.mark.parametrize("factors", [{}, FACTORS], ids=["none", "factors"])
def test_equals_torch_adamw_with_clipping(batch_jets, factors):
    ours, theirs = build(), build()
    optimiser = FlatAdamW(ours.trunk, ours.head, CONTROLS, SIZE.width, STEPS, factors)
    oracle = torch_adamw(theirs, factors)
    batch = batch_of(batch_jets([3, 5, 4, 6]), ours.head.bias)
    norms = []
    for step in range(STEPS):
        for model in (ours, theirs):
            model.zero_grad(set_to_none=False)
            functional.cross_entropy(model(batch), batch.labels).backward()
        optimiser.step(step)
        norms.append(torch.nn.utils.clip_grad_norm_(theirs.parameters(), CONTROLS.optimiser.clip))
        for group in oracle.param_groups:
            group["lr"] = optimiser.rate(step) * group["factor"]
        oracle.step()
    assert max(norms) > CONTROLS.optimiser.clip
    torch.testing.assert_close(
        dict(ours.named_parameters()), dict(theirs.named_parameters()), rtol=1e-10, atol=1e-12
    )


def test_parameters_and_gradients_share_the_flat_vectors(batch_jets):
    model = build()
    before = [p.detach().clone() for p in model.parameters()]
    optimiser = optimise(model)
    assert all(map(torch.equal, before, model.parameters()))
    batch = batch_of(batch_jets([3, 5]), model.head.bias)
    functional.cross_entropy(model(batch), batch.labels).backward()
    together = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    assert torch.equal(together, optimiser.gradient[:-1])
    optimiser.gradient.zero_()
    assert not any(p.grad.any() for p in model.parameters())


def test_only_matrices_decay():
    model = build()
    optimiser = optimise(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser.step(1)  # gradients are zero: decay is all that moves
    for name, p in model.named_parameters():
        factor = CONTROLS.optimiser.head_multiplier if name.startswith("head.") else 1.0
        kept = 1 - optimiser.rate(1) * factor * CONTROLS.optimiser.weight_decay * (p.ndim > 1)
        torch.testing.assert_close(p.detach(), before[name] * kept, rtol=1e-12, atol=0)


@pytest.mark.parametrize("average", [0.0, 0.3])
def test_restored_state_continues_alike(average):
    first, second = build(), build()
    a = optimise(first, average=average)
    a.gradient.normal_(generator=torch.Generator().manual_seed(1))
    a.step(0)
    b = optimise(second, average=average)
    b.restore({name: tensor.clone() for name, tensor in a.state().items()})
    for optimiser in (a, b):
        optimiser.gradient.fill_(0.5)
        optimiser.step(1)
    assert all(torch.equal(a.state()[name], b.state()[name]) for name in a.state())
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_the_peak_rate_follows_the_law_of_the_recipe():
    assert optimise(build()).peak == CONTROLS.optimiser.law("scratch").at(SIZE.width, STEPS)


def drift(optimiser, first=0, last=STEPS):
    """The weights after each of some steps with random gradients of their own."""
    path = []
    for step in range(first, last):
        optimiser.gradient.normal_(generator=torch.Generator().manual_seed(step))
        optimiser.step(step)
        path.append(optimiser.weights.clone())
    return path


@pytest.mark.parametrize("average", [0.02, 0.1, 0.5])
def test_the_average_is_the_weighted_mean_of_the_path(average):
    optimiser = optimise(build(), average=average)
    path = torch.stack(drift(optimiser))
    decay = 1 - 1 / max(1, average * STEPS)
    shares = torch.tensor([decay ** (STEPS - 1 - step) for step in range(STEPS)]).double()
    expected = (shares[:, None] * path).sum(0) / shares.sum()
    with optimiser.averaged():
        torch.testing.assert_close(optimiser.weights, expected, rtol=1e-6, atol=1e-7)
    assert torch.equal(optimiser.weights, path[-1])


def test_averaging_leaves_the_trained_weights_alone():
    plain, averaged = optimise(build()), optimise(build(), average=0.3)
    assert all(map(torch.equal, drift(plain), drift(averaged)))
    assert "average" not in plain.state()
    with plain.averaged():
        assert torch.equal(plain.weights, averaged.weights)


def test_the_model_has_the_average_within_the_block_alone():
    model = build()
    optimiser = optimise(model, average=0.3)
    trained = drift(optimiser)[-1]
    with optimiser.averaged():
        seen = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    assert torch.equal(seen, optimiser.state()["average"])
    assert torch.equal(torch.cat([p.detach().reshape(-1) for p in model.parameters()]), trained)


@pytest.mark.slow
@given(st.integers(1, 2000), st.floats(0.001, 0.99))
def test_the_first_step_is_all_of_the_average_and_later_ones_ever_less(steps, average):
    shares = [average_weight(step, steps, average) for step in range(min(steps, 50))]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)


@settings(max_examples=50)
@given(st.integers(1, 3000), st.floats(0, 0.9))
def test_schedule_rises_to_one_and_falls_towards_zero(steps, warmup):
    factors = [schedule(step, steps, warmup) for step in range(steps)]
    rising = max(2, round(warmup * steps))
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[: rising - 1] == sorted(factors[: rising - 1])
    assert factors[rising:] == sorted(factors[rising:], reverse=True)
    if steps >= rising:
        assert factors[rising - 1] == 1
    left = steps - rising
    if left > 1:
        last = 0.5 * (1 + math.cos(math.pi * (left - 1) / left))
        assert factors[-1] == pytest.approx(last)
