import pytest
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import batch_of, make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.transformer.model import JetTransformer
from jetscale.study import Controls, ModelSize
from jetscale.training.optim import FlatAdamW

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SIZE = ModelSize(width=32, layers=2, heads=4)
LENGTHS = [1, 12, 5, 128, 9, 2, 70, 12, 3, 11, 40, 6]


def build():
    features = feature_inputs(FEATURE_SETS["kin"])
    return JetTransformer(SIZE, features, 3, trunk_seed=1, head_seed=2)


def test_packed_padded_and_cpu_agree(batch_jets):
    data = batch_jets(LENGTHS)
    losses, gradients = [], []
    for device, groups in (("cuda", 4), ("cuda", None), ("cpu", 4)):
        model = build().double().to(device)
        if groups is None:
            batch = batch_of(data, model.head.bias, pad_to=128)
        else:
            layout = arrange(data.offsets[:-1], data.lengths, groups=groups)
            batch = make_batch(data, layout, data.labels, model.head.bias)
        loss = functional.cross_entropy(model(batch), batch.labels)
        loss.backward()
        losses.append(loss.detach().cpu())
        gradients.append([p.grad.cpu() for p in model.parameters()])
    for other in (1, 2):
        torch.testing.assert_close(losses[0], losses[other], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gradients[0], gradients[other], rtol=1e-10, atol=1e-10)


def test_steps_lower_the_loss(batch_jets):
    model = build().to("cuda")
    controls = Controls(pretraining_jets=1, validation_jets=1, test_jets=1)
    optimiser = FlatAdamW(model.trunk, model.head, controls, SIZE.width, 20)
    batch = batch_of(batch_jets(LENGTHS), model.head.bias)
    losses = []
    for step in range(20):
        optimiser.clear()
        loss = functional.cross_entropy(model(batch), batch.labels)
        loss.backward()
        optimiser.step(step)
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
