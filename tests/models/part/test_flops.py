import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from jetscale.errors import StudyError
from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import batch_of
from jetscale.models.inputs import feature_inputs
from jetscale.models.part import PART
from jetscale.models.protocol import Architecture, architecture_named
from jetscale.study import ModelSize

SIZES = [
    ModelSize(width=8, layers=1, heads=1),
    ModelSize(width=9, layers=1, heads=3),
    ModelSize(width=16, layers=2, heads=4),
    ModelSize(width=32, layers=3, heads=2),
]


def build(size, feature_set, outputs):
    features = feature_inputs(FEATURE_SETS[feature_set])
    return PART.build(size, features, outputs, trunk_seed=1, head_seed=2), features


def test_the_name_of_a_recipe_finds_it():
    assert architecture_named("part") is PART
    assert isinstance(PART, Architecture)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_parameters_are_those_of_the_model(size, feature_set):
    model, features = build(size, feature_set, 10)
    counts = PART.parameters(size, features, 10)
    trunk = model.trunk
    assert counts.total == sum(p.numel() for p in model.parameters())
    assert counts.head == sum(p.numel() for p in model.head.parameters())
    blocks = (*trunk.blocks.parameters(), *trunk.class_blocks.parameters())
    assert counts.non_embedding == sum(p.numel() for p in blocks)


@pytest.mark.long
@settings(max_examples=8)
@given(st.sampled_from(SIZES), st.integers(1, 20), st.integers(1, 4), st.integers(1, 3))
def test_flops_are_those_that_torch_counts(batch_jets, size, n, jets, outputs):
    model, features = build(size, "kinpid", outputs)
    sums = {"jets": jets, "constituents": jets * n, "constituents_squared": jets * n * n}
    batch = batch_of(batch_jets([n] * jets, len(features), outputs), model.head.bias)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        functional.cross_entropy(model(batch), batch.labels).backward()
    assert counter.get_total_flops() == PART.training_flops(size, features, outputs, **sums)


def test_the_published_model_computes_what_weavers_does():
    """2007.6 million FLOPs in training, measured on weaver-core 0.5.3 with all pairs i >= j."""
    size, features = ModelSize(width=128, layers=8, heads=8), feature_inputs(FEATURE_SETS["kin"])
    sums = {"jets": 1, "constituents": 128, "constituents_squared": 128 * 128}
    assert PART.parameters(size, features, 10).total == 2_142_166
    assert PART.training_flops(size, features, 10, **sums) == pytest.approx(2007.6e6, rel=1e-3)


@pytest.mark.parametrize("ask", ["parameters", "training_flops", "build"])
def test_other_fields_than_jets_are_refused(ask):
    sums = {"jets": 1, "constituents": 1, "constituents_squared": 1}
    more = {"build": {"trunk_seed": 1, "head_seed": 1}, "training_flops": sums}.get(ask, {})
    with pytest.raises(StudyError, match="lack part_pt_log, part_dphi, from which") as caught:
        getattr(PART, ask)(SIZES[0], feature_inputs(["time", "part_deta"]), 2, **more)
    assert "\n" not in str(caught.value)
