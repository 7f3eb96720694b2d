"""Our model and weaver-core's, with the same weights, on the same jets."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import batch_of, make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.part.model import ParticleTransformer
from jetscale.models.part.pairs import pair_features, places_of
from jetscale.study import ModelSize

from . import weaver

pytestmark = pytest.mark.slow

KINPID = FEATURE_SETS["kinpid"]
LENGTHS = [1, 12, 5, 5, 9, 2, 7, 12, 3, 11, 4, 6]
SIZE = ModelSize(width=16, layers=2, heads=4)


@pytest.fixture
def model():
    """Ours in double precision, with no weight or statistic at its start."""
    built = ParticleTransformer(SIZE, feature_inputs(KINPID), 3, trunk_seed=1, head_seed=2)
    generator = torch.Generator().manual_seed(3)
    for weight in built.parameters():
        weight.data += 0.2 * torch.randn(weight.shape, generator=generator)
    for name, buffer in built.named_buffers():
        if not name.endswith("tracked"):
            buffer += torch.rand(buffer.shape, generator=generator)
    return built.double()


def assert_equal(found, expected):
    """Assert equality up to the rounding of double precision."""
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_outputs_gradients_and_statistics_are_those_of_weaver(model, training, groups, batch_jets):
    data = batch_jets(LENGTHS, len(KINPID))
    layout = arrange(data.offsets[:-1], data.lengths, groups=groups)
    batch = make_batch(data, layout, data.labels, model.head.bias)
    other = weaver.twin(model, len(KINPID), 3)
    model.train(training)
    other.train(training)
    ours, theirs = model(batch), weaver.apply(other, batch, KINPID)
    assert_equal(ours, theirs)
    for outputs in (ours, theirs):
        functional.cross_entropy(outputs, batch.labels).backward()
    mine = dict(model.named_parameters())
    for name, weight in other.named_parameters():
        assert_equal(
            mine[weaver.renamed(name)].grad, weight.grad.reshape(mine[weaver.renamed(name)].shape)
        )
    mine = dict(model.named_buffers())
    for name, buffer in other.named_buffers():
        if "_counter" not in name:
            assert_equal(mine[weaver.renamed(name)], buffer)


@pytest.mark.long
def test_jets_without_padding_need_no_change_of_weaver(model, batch_jets):
    data = batch_jets([7] * 5, len(KINPID))
    batch = batch_of(data, model.head.bias)
    other = weaver.twin(model, len(KINPID), 3)
    del other.embed.forward
    assert_equal(model(batch), weaver.apply(other, batch, KINPID))


def test_a_new_trunk_starts_as_weavers():
    size = ModelSize(width=64, layers=3, heads=4)
    ours = ParticleTransformer(size, feature_inputs(KINPID), 10, trunk_seed=1, head_seed=2)
    torch.manual_seed(1)
    other = weaver.reference().ParticleTransformer(
        input_dim=len(KINPID),
        num_classes=10,
        embed_dims=(64, 256, 64),
        pair_embed_dims=(32, 32, 32),
        num_heads=4,
        num_layers=3,
    )
    mine = ours.state_dict()
    for name, weight in other.state_dict().items():
        found = mine[weaver.renamed(name)]
        assert found.numel() == weight.numel(), name
        if weight.numel() > 100 and not name.startswith("fc"):
            sizes = [float(each.square().mean().sqrt()) for each in (found, weight)]
            assert sizes[0] == pytest.approx(sizes[1], rel=0.2), name


def test_the_published_size_has_the_published_parameters():
    size = ModelSize(width=128, layers=8, heads=8)
    ours = ParticleTransformer(
        size, feature_inputs(FEATURE_SETS["full"]), 10, trunk_seed=1, head_seed=2
    )
    theirs = weaver.reference().ParticleTransformer(input_dim=17, num_classes=10)
    counts = [sum(p.numel() for p in each.parameters()) for each in (ours, theirs)]
    assert counts == [2_143_486] * 2


def real_jets(folder, n=100):
    """Four-vectors (n, 4, 128), angles to the jet (n, 2, 128) and masks of real JetClass jets."""
    names = ("pfVectors", "pfPoints", "pfMask")
    return (np.load(folder / "jetclass_500" / f"{name}.npy")[:n].astype(float) for name in names)


def all_pairs(vectors, points, mask):
    """Our features and weaver's of all pairs of the jets, and which are of one with itself."""
    lengths = mask.sum((1, 2)).astype(int)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    real = mask[:, 0] > 0
    values = np.concatenate([vectors.transpose(0, 2, 1)[real], points.transpose(0, 2, 1)[real]], 1)
    data = Ragged(values=values, offsets=offsets, labels=np.zeros(len(lengths), np.int64))
    batch = batch_of(data, torch.zeros(1, dtype=torch.float64))
    places = places_of(batch.views, torch.device("cpu"))
    real = batch.values[places.tokens]
    px, py, _, _, eta, phi = real.T
    ours = pair_features(torch.hypot(px, py), eta, phi, places)
    first, second = (real[which, :4].T[None] for which in (places.first, places.second))
    theirs = weaver.reference().pairwise_lv_fts_pp(first, second)[0].T
    return ours, theirs, places.first == places.second


@pytest.mark.long
def test_pair_features_of_massless_constituents_are_weavers(real_data):
    """Exactly, and for a jet at any pseudorapidity: the features do not know it."""
    vectors, points, mask = real_jets(real_data)
    pt, axis = np.hypot(vectors[:, 0], vectors[:, 1]), np.linspace(-1.5, 1.5, len(mask))[:, None]
    eta, phi = points[:, 0] + axis, points[:, 1]
    massless = (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta))
    ours, theirs, same = all_pairs(np.stack(massless, 1), points, mask)
    assert len(ours) > 50_000
    # the masses of near ones are small differences of large numbers in weaver's form
    far = ours[:, 2] > np.log(0.01)
    assert_equal(ours[same][:, :3], theirs[same][:, :3])
    torch.testing.assert_close(ours[far], theirs[far], rtol=1e-6, atol=1e-6)


@pytest.mark.long
def test_pair_features_of_real_jets_are_near_those_of_weaver(real_data):
    """What masses, and the rounding of four-vectors in single precision, change."""
    ours, theirs, same = all_pairs(*real_jets(real_data))
    away = (ours - theirs)[~same].abs()
    assert (away.median(0).values < torch.tensor([1e-3, 1e-12, 1e-3, 0.02])).all()
    assert (away.quantile(0.9, dim=0) < torch.tensor([0.01, 1e-12, 0.01, 0.6])).all()
