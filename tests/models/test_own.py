"""A user's own torch module as an architecture."""

import os
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from jetscale.errors import StudyError
from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import Batch, View, apply_module, batch_of
from jetscale.models.inputs import feature_inputs
from jetscale.models.own import OwnModel
from jetscale.models.protocol import ARCHITECTURES, Architecture, architecture_named
from jetscale.models.transformer import TRANSFORMER
from jetscale.store.checkpoints import Checkpoint
from jetscale.study import ModelSize
from jetscale.training.embed import pooled_vectors
from jetscale.training.loop import train_run

SIZE = ModelSize(width=8, layers=1, heads=2)
KIN = feature_inputs(FEATURE_SETS["kin"])


class Trunk(nn.Module):
    """Attention over constituents, then their mean."""

    def __init__(self, width, inputs):
        super().__init__()
        self.embedding = nn.Linear(inputs, width)
        self.mix = nn.Linear(width, width)

    def forward(self, x, mask):
        x = self.embedding(x)
        x = x + nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask[:, None, :])
        x = self.mix(x).relu() * mask[:, :, None]
        return x.sum(1) / mask.sum(1, keepdim=True)


class Deep(nn.Module):
    def __init__(self, width, inputs, outputs):
        super().__init__()
        self.trunk = Trunk(width, inputs)
        self.head = nn.Linear(width, outputs)

    def forward(self, x, mask):
        return self.head(self.trunk(x, mask))


def build(size, features, outputs):
    return Deep(size.width, len(features), outputs)


def own(factory=build):
    return OwnModel("tests:build", factory)


def sums(lengths):
    n = np.array(lengths)
    return {
        "jets": len(n),
        "constituents": int(n.sum()),
        "constituents_squared": int((n**2).sum()),
    }


def test_it_is_an_architecture():
    assert isinstance(own(), Architecture)


def test_parameters_are_counted_with_and_without_embedding():
    found = own().parameters(SIZE, KIN, 3)
    assert found.total == (7 * 8 + 8) + (8 * 8 + 8) + (8 * 3 + 3)
    assert (found.non_embedding, found.head) == (8 * 8 + 8, 8 * 3 + 3)


@pytest.mark.slow
def test_flops_are_those_of_the_products_by_hand():
    # Linear layers cost 2 x weights forward and twice that backward; the embedding has no gradient
    # of its input. Attention is two products of 2 d n^2 forward and four backward.
    n = np.array([3, 10, 40])
    expected = 4 * 7 * 8 * n + 6 * 8 * 8 * n + 6 * 2 * 8 * n**2 + 6 * 8 * 3
    assert own().training_flops(SIZE, KIN, 3, **sums(n)) == expected.sum()


def test_a_formula_is_used_where_there_is_one():
    def factory(size, features, outputs):
        return build(size, features, outputs)

    factory.flops = lambda size, features, outputs, constituents: 5.5 + 2 * constituents**2
    assert own(factory).training_flops(SIZE, KIN, 3, **sums([2, 3])) == 11 + 2 * 13
    factory.flops = lambda size, features, outputs, constituents: constituents**3
    with pytest.raises(StudyError, match=r"8 at 2, 64 at 4, .* not a \+ b n \+ c n\^2"):
        own(factory).training_flops(SIZE, KIN, 3, **sums([2, 3]))
    factory.flops = lambda size: 1
    with pytest.raises(StudyError, match=r"flops\(\) failed with TypeError"):
        own(factory).training_flops(SIZE, KIN, 3, **sums([2, 3]))


@pytest.mark.slow
def test_a_model_whose_flops_are_not_counted_asks_for_a_formula():
    class Product(Trunk):
        def forward(self, x, mask):
            x = (x[:, :, :, None] * self.embedding.weight.T).sum(2)
            x = x * self.mix.weight.mean() + self.embedding.bias + self.mix.bias
            return (x * mask[:, :, None]).sum(1)

    def silent(size, features, outputs):
        model = Deep(size.width, len(features), outputs)
        model.trunk = Product(size.width, len(features))
        model.head = Times(size.width, outputs)
        return model

    with pytest.raises(StudyError, match=r"0 at 2.* give the function an attribute flops"):
        own(silent).training_flops(SIZE, KIN, 3, **sums([2]))


class Times(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width, outputs))

    def forward(self, x):
        return (x[:, :, None] * self.weight).sum(1)


def test_the_module_sees_each_jet_scaled_masked_and_in_order(batch_jets):
    seen = {}

    class Spy(Trunk):
        def forward(self, x, mask):
            seen["x"], seen["mask"] = x, mask
            return super().forward(x, mask)

    def spy(size, features, outputs):
        model = Deep(size.width, len(features), outputs)
        model.trunk = Spy(size.width, len(features))
        return model

    lengths = [*range(2, 42, 2), *range(41, 1, -2)]
    data = batch_jets(lengths)
    model = own(spy).build(SIZE, KIN, 3, trunk_seed=1, head_seed=2)
    batch = batch_of(data, torch.zeros(1))
    assert len(batch.views) > 1
    model(batch)
    order = np.argsort(lengths, kind="stable")
    assert seen["x"].shape == (40, 41, 7)
    assert seen["mask"].sum(1).tolist() == sorted(lengths)
    means = np.array([feature.mean for feature in KIN])
    scales = np.array([feature.scale for feature in KIN])
    for place, jet in enumerate(order):
        scaled = (data.values[data.offsets[jet] : data.offsets[jet + 1]] - means) / scales
        np.testing.assert_allclose(seen["x"][place, : lengths[jet]], scaled, rtol=1e-5, atol=1e-6)
        assert not seen["x"][place, lengths[jet] :].any()


@pytest.mark.slow
def test_results_do_not_depend_on_padding_or_grouping(batch_jets):
    model = own().build(SIZE, KIN, 3, trunk_seed=1, head_seed=2)
    data = batch_jets([*range(1, 21)] * 3)
    whole = apply_module(model, data)
    alone = [apply_module(model, data.take(np.array([i])))[0] for i in range(60)]
    np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_trunk_and_head_have_seeds_of_their_own_and_leave_the_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()

    def weights(trunk_seed, head_seed):
        model = own().build(SIZE, KIN, 3, trunk_seed=trunk_seed, head_seed=head_seed)
        return model.trunk.inner.mix.weight, model.head.weight

    one, other_trunk, other_head = weights(1, 2), weights(7, 2), weights(1, 7)
    assert torch.equal(one[0], other_head[0])
    assert torch.equal(one[1], other_trunk[1])
    assert not torch.equal(one[0], other_trunk[0])
    assert not torch.equal(one[1], other_head[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A user's package with a model, and its reference."""
    folder = tmp_path / "ownpackage"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    source = textwrap.dedent(
        """
        import torch
        from torch import nn


        class Trunk(nn.Module):
            def __init__(self, width, inputs):
                super().__init__()
                self.embedding = nn.Linear(inputs, width)
                self.norm = nn.BatchNorm1d(width)
                self.drop = nn.Dropout(0.2)

            def forward(self, x, mask):
                x = torch.tanh(self.embedding(x)) * mask[:, :, None]
                return self.drop(self.norm(x.sum(1)))


        class Deep(nn.Module):
            def __init__(self, width, inputs, outputs):
                super().__init__()
                self.trunk = Trunk(width, inputs)
                self.head = nn.Linear(width, outputs)

            def forward(self, x, mask):
                return self.head(self.trunk(x, mask))


        def build(size, features, outputs):
            return Deep(size.width, len(features), outputs)
        """
    )
    (folder / "model.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder / "model.py"
    for name in ("ownpackage", "ownpackage.model"):
        sys.modules.pop(name, None)
    ARCHITECTURES.known.pop("ownpackage.model:build", None)


REFERENCE = "ownpackage.model:build"


@pytest.mark.slow
def test_a_model_with_dropout_and_batch_norm_trains_and_resumes_bit_for_bit(
    package, spec_of, jets_of, tmp_path
):
    spec, data = spec_of(architecture=REFERENCE, epochs=3), jets_of(60)

    def stop(step, _):
        if step == 11:
            raise KeyboardInterrupt

    whole = train_run(spec, data, data, data, save_trunk=tmp_path / "trunk.pt")
    again = train_run(spec, data, data, data)
    assert again.curve == whole.curve
    checkpoint = Checkpoint(tmp_path / "run.pt")
    with pytest.raises(KeyboardInterrupt):
        train_run(spec, data, data, checkpoint=checkpoint, checkpoint_seconds=0, on_step=stop)
    torch.manual_seed(99)
    resumed = train_run(spec, data, data, data, checkpoint=checkpoint)
    assert (resumed.curve, resumed.test) == (whole.curve, whole.test)
    assert resumed.tokens > resumed.constituents

    vectors = pooled_vectors(data, spec.size, spec.recipe, KIN, seed=1, trunk=tmp_path / "trunk.pt")
    assert vectors.shape == (60, 8)
    untrained = pooled_vectors(data, spec.size, spec.recipe, KIN, seed=1)
    assert np.abs(vectors - untrained).max() > 0.1
    other = train_run(
        spec_of(architecture=REFERENCE, seed=9), data, test=data, trunk=tmp_path / "trunk.pt"
    )
    assert other.test["loss"] != whole.test["loss"]


def test_the_version_follows_the_source_or_is_given(package):
    first = architecture_named(REFERENCE).version
    assert len(first) == 16

    ARCHITECTURES.known.pop(REFERENCE)
    package.write_text(package.read_text() + "\n# edited\n")
    assert architecture_named(REFERENCE).version == first
    for name, text in (("model", "\nfrom . import layers\n"), ("layers", "WIDTH = 3\n")):
        ARCHITECTURES.known.pop(REFERENCE)
        before = architecture_named(REFERENCE).version
        ARCHITECTURES.known.pop(REFERENCE)
        file = package.with_name(f"{name}.py")
        file.write_text((file.read_text() if file.exists() else "") + text)
        assert architecture_named(REFERENCE).version != before

    def given(size, features, outputs):
        return build(size, features, outputs)

    assert len(own().version) == 16
    given.__module__ = "ownpackage.model"
    sys.modules["ownpackage.model"].VERSION = 12
    assert own(given).version == 12
    # a callable object does not know its module: that of the reference counts
    assert OwnModel(REFERENCE, partial(build)).version == 12


@pytest.mark.integration
def test_a_reference_is_found_in_a_fresh_process(package):
    code = f"""
from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.inputs import feature_inputs
from jetscale.models.protocol import architecture_named
from jetscale.study import ModelSize
found = architecture_named({REFERENCE!r})
features = feature_inputs(FEATURE_SETS["kin"])
size = ModelSize(width=8, layers=1, heads=2)
print(found.version, found.parameters(size, features, 3).total)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    here = architecture_named(REFERENCE)
    total = here.parameters(SIZE, KIN, 3).total
    assert result.stdout.split() == [here.version, str(total)]


def test_a_function_without_source_asks_for_a_version():
    space = {"__name__": "nowhere"}
    exec("def build(size, features, outputs): pass", space)
    with pytest.raises(StudyError, match="its module has no source file; set VERSION"):
        own(space["build"])


def wrong(change):
    """A factory whose module is changed before it is returned."""

    def factory(size, features, outputs):
        model = Deep(size.width, len(features), outputs)
        change(model)
        return model

    return factory


def remove_head(model):
    del model.head


def stray_weights(model):
    model.extra = nn.Linear(2, 2)


def stray_buffer(model):
    model.register_buffer("table", torch.zeros(3))


def share(model):
    model.head = model.trunk.mix


def empty_head(model):
    model.head = nn.Identity()


def idle(model):
    model.trunk.unused = nn.Linear(2, 2)


def frozen(model):
    model.trunk.mix.weight.requires_grad_(False)


def wrong_shape(model):
    model.head = nn.Linear(8, 5)


class Careless(Trunk):
    def forward(self, x, mask):
        return self.mix(self.embedding(x)).mean(1)


def careless(model):
    model.trunk = Careless(8, 7)


class Broken(Trunk):
    def forward(self, x, mask):
        return torch.zeros(2, 3) @ x


def broken(model):
    model.trunk = Broken(8, 7)


class Listed(Trunk):
    """Keeps a layer where torch does not see it."""

    def __init__(self, width, inputs):
        super().__init__(width, inputs)
        self.more = [nn.Linear(width, width)]

    def forward(self, x, mask):
        return self.more[0](super().forward(x, mask))


def listed(model):
    model.trunk = Listed(8, 7)


def plain_tensor(model):
    shift = torch.ones(8, requires_grad=True)
    model.trunk.register_forward_hook(lambda _, inputs, output: output + shift)


def looks_around(model):
    model.trunk.register_forward_hook(lambda _, inputs, output: output - output.mean(0))


def normalised(model):
    model.head = nn.Sequential(nn.BatchNorm1d(8, track_running_stats=False), model.head)


def not_finite(model):
    model.trunk.register_forward_hook(lambda _, inputs, output: output / 0 * 0)


def spread_of_one(model):
    model.trunk.register_forward_hook(
        lambda _, inputs, output: output.where(inputs[1].sum(1, keepdim=True) > 1, torch.nan)
    )


def lazy(model):
    model.trunk.mix = nn.LazyLinear(8)


def leaves(model):
    raise SystemExit("no licence")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (listed, r"forward uses 2 trainable tensors that are no parameters of it, as one of shape"),
        (plain_tensor, r"forward uses 1 trainable tensors .* shape \(8,\); make them nn.Parameter"),
        (looks_around, "its output changes with the other jets of a batch, by up to"),
        (
            normalised,
            "a pass of padded or single jets failed with ValueError: Expected more than 1 value",
        ),
        (not_finite, "its output is not finite for jets of 1, 3 and 5 constituents"),
        (spread_of_one, "its output is not finite for jets of 1, 3 and 5 constituents"),
        (lazy, r"weights trunk.mix.weight, trunk.mix.bias have no shape yet"),
        (leaves, "building it failed with SystemExit: no licence"),
        (remove_head, "its Deep needs two modules called trunk and head"),
        (stray_weights, "weights extra.weight, extra.bias are in neither trunk nor head"),
        (stray_buffer, "buffers table are in neither trunk nor head"),
        (share, "trunk and head share weights"),
        (empty_head, "its trunk or head has no weights"),
        (idle, "2 weights get no gradient, as trunk.unused.weight, trunk.unused.bias"),
        (frozen, "1 weights get no gradient, as trunk.mix.weight"),
        (wrong_shape, r"forward of 3 jets gives shape \(3, 5\), needs \(3, 3\)"),
        (careless, "its output changes when jets are padded further, by up to"),
        (broken, "a pass of 3 jets failed with RuntimeError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_models_that_cannot_be_trained_are_named_in_one_line(change, message):
    with pytest.raises(StudyError, match=f"^architecture 'tests:build': {message}") as error:
        own(wrong(change)).parameters(SIZE, KIN, 3)
    assert "\n" not in str(error.value)


def test_a_function_that_fails_or_returns_something_else_is_named():
    with pytest.raises(StudyError, match=r"building it failed with TypeError: .*positional"):
        own(lambda size: None).parameters(SIZE, KIN, 3)
    with pytest.raises(StudyError, match=r"the function returns 7, needs a torch\.nn\.Module"):
        own(lambda *_: 7).parameters(SIZE, KIN, 3)


def test_counting_leaves_the_generator_alone():
    def dropping(size, features, outputs):
        model = build(size, features, outputs)
        model.head = nn.Sequential(nn.Dropout(0.5), model.head)
        return model

    before = torch.get_rng_state()
    found = own(dropping)
    found.parameters(SIZE, KIN, 3)
    found.training_flops(SIZE, KIN, 3, **sums([3]))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_our_transformer_counts_the_same_through_the_counter(batch_jets):
    """The counter and our formula agree where both can be asked."""

    class Ours(nn.Module):
        def __init__(self, size, outputs):
            super().__init__()
            whole = TRANSFORMER.build(size, KIN, outputs, trunk_seed=1, head_seed=2)
            self.trunk, self.head = Unpacked(whole.trunk), whole.head

        def forward(self, x, mask):
            return self.head(self.trunk(x, mask))

    class Unpacked(nn.Module):
        def __init__(self, trunk):
            super().__init__()
            self.inner = trunk

        def forward(self, x, mask):
            bias = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
            mean = mask / mask.sum(1, keepdim=True)
            lengths, (jets, length, _) = mask.sum(1).numpy(), x.shape
            view = View(jets=jets, length=length, bias=bias, mean=mean, lengths=lengths)
            labels = torch.zeros(x.shape[0], dtype=torch.long)
            return self.inner(Batch(values=x.flatten(0, 1), views=(view,), labels=labels))

    found = own(lambda size, features, outputs: Ours(size, outputs))
    counts = sums([3, 50, 128])
    expected = TRANSFORMER.training_flops(SIZE, KIN, 3, **counts)
    assert found.training_flops(SIZE, KIN, 3, **counts) == expected
    assert found.parameters(SIZE, KIN, 3).total == TRANSFORMER.parameters(SIZE, KIN, 3).total
