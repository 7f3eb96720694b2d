import numpy as np
import pytest
import torch

from jetscale.errors import TrainingError
from jetscale.models.protocol import ARCHITECTURES, Parameters, register
from jetscale.models.transformer import Transformer
from jetscale.store.checkpoints import save_trunk
from jetscale.training.engine import Engine, Source, describe_trunk, load_into
from jetscale.training.loop import train_run
from jetscale.training.ranks import Ranks


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(ARCHITECTURES, "known", dict(ARCHITECTURES.known))


def test_a_batch_holds_the_jets_that_the_order_names(spec_of, jets_of):
    data = jets_of(41)
    engine = Engine([Source(spec=spec_of(), train=data)], "cpu")
    batch, jets = engine.assemble(0)
    assert jets == len(batch.labels) == 8
    assert sorted(batch.labels.tolist()) == sorted(data.labels[engine.order.rows(0)].tolist())
    assert engine.tokens == [len(batch.values)]


def test_ranks_share_a_batch_and_may_have_none_of_the_last(spec_of, jets_of):
    engine = Engine([Source(spec=spec_of(), train=jets_of(41))], "cpu")
    engine.ranks = Ranks(rank=1, world=2)
    batch, jets = engine.assemble(0)
    assert (len(batch.labels), jets) == (4, 8)
    assert engine.assemble(5) == (None, 1)


def test_a_step_without_jets_leaves_the_loss_at_zero(spec_of, jets_of):
    engine = Engine([Source(spec=spec_of(), train=jets_of(41))], "cpu")
    assert float(engine.update(0, None, 1)) == 0


def test_the_loss_is_the_mean_over_the_jets_of_all_ranks(spec_of, jets_of):
    engine = Engine([Source(spec=spec_of(), train=jets_of(41))], "cpu")
    batch, jets = engine.assemble(0)
    expected = torch.nn.functional.cross_entropy(engine.model(batch), batch.labels)
    assert float(engine.update(0, batch, 2 * jets)) == pytest.approx(float(expected.detach()) / 2)


def test_wrong_counts_are_refused_before_training(spec_of, jets_of):
    class Liar(Transformer):
        name = "liar"

        def parameters(self, size, features, outputs):
            return Parameters(total=7, non_embedding=1, head=1)

    register(Liar())
    with pytest.raises(TrainingError, match=r"'liar' counts 7 parameters, .* have \d+"):
        train_run(spec_of(architecture="liar"), jets_of(20))


def test_wrong_outputs_are_refused_at_the_first_step(spec_of, jets_of):
    class Wide(Transformer):
        name = "wide"

        def build(self, size, features, outputs, **seeds):
            model = super().build(size, features, outputs, **seeds)
            model.forward = lambda batch: model.head(model.trunk(batch))[:, :1]
            return model

    register(Wide())
    with pytest.raises(TrainingError, match=r"gives shape \(8, 1\), .* promise \(8, 3\)"):
        train_run(spec_of(architecture="wide"), jets_of(20))


def test_state_brings_back_everything_but_the_data(spec_of, jets_of):
    def steps(engine, first, last):
        return [float(engine.update(i, *engine.assemble(i))) for i in range(first, last)]

    data = jets_of(41)
    whole, other = (Engine([Source(spec=spec_of(), train=data)], "cpu") for _ in range(2))
    steps(whole, 0, 3)
    state = whole.state()
    state["optimiser"] = {name: tensor.clone() for name, tensor in state["optimiser"].items()}
    torch.rand(5)
    other.restore(state)
    drawn = torch.rand(3)
    torch.set_rng_state(state["random"]["cpu"])
    assert torch.equal(drawn, torch.rand(3))
    assert other.tokens == whole.tokens
    assert steps(other, 3, 6) == steps(whole, 3, 6)


def test_ranks_draw_numbers_of_their_own_also_after_a_resume(spec_of, jets_of, monkeypatch):
    def draw(rank, steps, state=None):
        engine, found = Engine([Source(spec=spec_of(), train=jets_of(41))], "cpu"), []
        engine.ranks, losses = Ranks(rank=rank, world=2), engine._losses
        engine._losses = lambda batch: found.append(float(torch.rand(()))) or losses(batch)
        if state:
            engine.restore(state)
        for step in steps:
            engine.update(step, *engine.assemble(step))
        return found, engine.state()

    monkeypatch.setattr(Ranks, "add_up", lambda *_: None)
    (first, state), (second, _) = draw(0, range(2)), draw(1, range(2))
    whole = [first + draw(0, range(2, 4), state)[0], second + draw(1, range(2, 4), state)[0]]
    assert whole == [draw(rank, range(4))[0] for rank in range(2)]
    assert len({*whole[0], *whole[1]}) == 8


def test_weights_of_an_older_architecture_are_refused_in_one_line(spec_of, tmp_path):
    spec, path = spec_of(), tmp_path / "trunk.pt"
    save_trunk(path, {"norm": torch.ones(8)}, describe_trunk(spec.size, spec.recipe))
    with pytest.raises(TrainingError, match="its weights are not those of architecture 'transfo"):
        load_into(torch.nn.Linear(2, 2), path, spec.size, spec.recipe)


def test_seconds_are_taken_when_the_device_is_ready(spec_of, jets_of, monkeypatch):
    calls = []
    monkeypatch.setattr(Engine, "wait", lambda self: calls.append("wait"))
    apply = Engine.apply
    monkeypatch.setattr(Engine, "apply", lambda *a: calls.append("apply") or apply(*a))
    data = jets_of(41)
    result = train_run(spec_of(), data, data)
    assert calls == ["wait", "apply"] * len(result.curve["validation_loss"])
    assert np.isfinite(list(result.timings.values())).all()
