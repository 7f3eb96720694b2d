import pytest
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.part.model import ParticleTransformer
from jetscale.study import ModelSize

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_the_device_does_not_matter(batch_jets):
    data = batch_jets([1, 12, 5, 128, 9, 2, 70, 12, 3, 11, 40, 6])
    size, features = ModelSize(width=32, layers=2, heads=4), feature_inputs(FEATURE_SETS["kin"])
    found = []
    for device in ("cuda", "cpu"):
        model = ParticleTransformer(size, features, 3, trunk_seed=1, head_seed=2)
        model = model.double().to(device)
        layout = arrange(data.offsets[:-1], data.lengths, groups=4)
        batch = make_batch(data, layout, data.labels, model.head.bias)
        loss = functional.cross_entropy(model(batch), batch.labels)
        loss.backward()
        numbers = [loss.detach(), *(p.grad for p in model.parameters()), *model.buffers()]
        found.append([number.cpu() for number in numbers])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-10)
