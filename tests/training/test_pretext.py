"""Pretraining on hidden constituents: exact resume, exact FLOPs, a trunk that fine-tuning takes."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from jetscale.errors import Diverged, StudyError
from jetscale.models.batch import make_batch
from jetscale.models.layout import arrange
from jetscale.models.transformer import TRANSFORMER
from jetscale.models.transformer.flops import parameters
from jetscale.objectives.masked import MASKED
from jetscale.store.checkpoints import Checkpoint
from jetscale.study import ModelSize
from jetscale.training.engine import Engine, Source
from jetscale.training.loop import Task, train_run, train_stack
from jetscale.training.ranks import Ranks


class StopError(Exception):
    pass


@pytest.fixture
def masked(spec_of):
    def make(**changes):
        return spec_of(objective="masked", classes=("unlabelled",), **changes)

    return make


@pytest.fixture
def unlabelled(jets_of):
    """Jets without labels whose constituents have something in common."""

    def make(n, seed=0, least=1):
        data = jets_of(n, seed, least)
        common = np.repeat(np.random.default_rng(seed + 1).normal(size=(n, 7)), data.lengths, 0)
        values = (0.3 * data.values + common).astype(np.float32)
        return replace(data, values=values, labels=np.zeros(n, np.int64))

    return make


def without_times(result):
    of_the_machine = "timings", "jets_per_second", "peak_memory"
    return {k: v for k, v in asdict(result).items() if k not in of_the_machine}


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 7, 12])
def test_resumed_equals_uninterrupted_bit_for_bit(masked, unlabelled, tmp_path, stop):
    def interrupt(step, _):
        if step == stop:
            raise StopError

    data, files = unlabelled(45), [tmp_path / "whole.pt", tmp_path / "resumed.pt"]
    whole = train_run(masked(), data, save_trunk=files[0])
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    with pytest.raises(StopError):
        train_run(masked(), data, checkpoint=checkpoint, checkpoint_seconds=0, on_step=interrupt)
    resumed = train_run(masked(), data, checkpoint=checkpoint, save_trunk=files[1])
    assert without_times(resumed) == without_times(whole)
    first, second = (torch.load(file, weights_only=True)["trunk"] for file in files)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.long
def test_it_learns_what_the_constituents_of_a_jet_have_in_common(masked, unlabelled):
    result = train_run(masked(epochs=40), unlabelled(200))
    first, *_, last = [loss for _, loss in result.curve["training_loss"]]
    assert last < 0.6 * first


def test_other_constituents_are_hidden_at_every_step_and_seed(masked, unlabelled):
    data = unlabelled(8)  # one batch

    def hidden(step, seed=1):
        batch, _ = Engine([Source(spec=masked(seed=seed), train=data)], "cpu").assemble(step)
        rows = {tuple(row) for row in batch.truth[0].tolist()}
        assert len(rows) == MASKED.tokens_read(data.lengths).sum()
        return rows

    assert hidden(0) == hidden(0)
    assert hidden(0) != hidden(1)
    assert hidden(0) != hidden(0, seed=2)


def test_ranks_hide_what_one_process_would(masked, unlabelled, monkeypatch):
    data, shares = unlabelled(21), []
    alone, _ = Engine([Source(spec=masked(), train=data)], "cpu").assemble(1)
    for rank in range(3):
        monkeypatch.setattr(Ranks, "current", lambda rank=rank: Ranks(rank=rank, world=3))
        batch, jets = Engine([Source(spec=masked(), train=data)], "cpu").assemble(1)
        assert jets == 8
        shares += batch.truth[0].tolist()
    assert sorted(shares) == sorted(alone.truth[0].tolist())


@pytest.mark.long
def test_a_trunk_fine_tunes_as_any_other(masked, spec_of, unlabelled, jets_of, tmp_path):
    path = tmp_path / "trunk.pt"
    train_run(masked(), unlabelled(60), save_trunk=path)
    labelled = jets_of(60)
    fine = Engine([Source(spec=spec_of(), train=labelled, trunk=path)], "cpu")
    stored = torch.load(path, weights_only=True)["trunk"]
    assert all(torch.equal(fine.trunk.state_dict()[name], stored[name]) for name in stored)
    result = train_run(spec_of(), labelled, test=labelled, trunk=path)
    assert result.params == train_run(spec_of(), labelled).params
    assert result.loss is not None


@pytest.mark.long
@pytest.mark.parametrize("jets", [3, 420])
def test_flops_are_those_that_torch_counts(masked, unlabelled, jets):
    """Over a whole step on jets of one length: nothing is padded, so all is real."""
    size, n = ModelSize(width=16, layers=2, heads=2), 12
    spec = masked(size=size, batch_size=jets)
    data = unlabelled(40 * jets)
    data = data.take(np.flatnonzero(data.lengths == n)[:jets])
    engine = Engine([Source(spec=spec, train=data)], "cpu")
    batch, _ = engine.assemble(0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        engine.model.loss(batch).backward()
    assert counter.get_total_flops() == engine.shape.training_flops(data.lengths)
    result = train_run(spec, data)
    assert result.flops == 2 * counter.get_total_flops()
    assert result.flops_padded == result.flops  # 12 constituents are the most of this recipe


def test_counts_are_those_of_the_trunk_and_of_the_head_that_reads(masked, unlabelled):
    spec, data = masked(), unlabelled(45)
    result, trunk = train_run(spec, data), parameters(spec.size, 7, 3)
    head = MASKED.head_parameters(spec.size, spec.features, 12)
    assert result.params == trunk.total - trunk.head + head
    assert result.params_non_embedding == trunk.non_embedding
    expected = 0.0
    for n in data.lengths:
        sums = {"jets": 1, "constituents": int(n), "constituents_squared": int(n * n)}
        expected += TRANSFORMER.token_flops(spec.size, spec.features, **sums)
        hidden = 0 if n == 1 else max(1, int(0.3 * n + 0.5))
        expected += 6 * 8 * 7 * hidden
    assert result.flops == 2 * expected
    assert (result.examples, result.examples_seen, result.steps) == (45, 90, 12)


def test_complete_scales_the_head_too(masked, unlabelled):
    settings = {"parametrization": "complete", "width_exponent": 0.0}
    wide = masked(size=ModelSize(width=32, layers=1, heads=4), **settings)
    plain = masked(size=wide.size, width_exponent=0.0)
    data = unlabelled(16)
    engines = [Engine([Source(spec=spec, train=data)], "cpu") for spec in (plain, wide)]
    first, second = (engine.model.head for engine in engines)
    assert second.narrower == 0.5
    assert torch.equal(first.weight, second.weight * second.narrower)
    assert np.isfinite(train_run(wide, data).training_loss)


def test_an_architecture_without_vectors_of_constituents_is_refused(masked, unlabelled):
    spec = masked(architecture="fixtures.training:deep_sets")
    with pytest.raises(StudyError, match=r"'fixtures.training:deep_sets' has no token_flops"):
        train_run(spec, unlabelled(16))


def test_it_is_not_scored(masked, unlabelled):
    with pytest.raises(StudyError, match="'masked' is for pretraining alone"):
        train_run(masked(), unlabelled(16), unlabelled(8))


@pytest.mark.long
@pytest.mark.parametrize("own", [True, False])
def test_runs_of_a_stack_hide_and_learn_what_each_does_alone(masked, unlabelled, own):
    sources = [
        Source(
            spec=masked(key=f"run{i}", seed=1 + i * own, learning_rate=0.01 * (i + 1), epochs=3),
            train=unlabelled(45, seed=i * own, least=9),
        )
        for i in range(3)
    ]
    if not own:
        sources = [replace(source, train=sources[0].train) for source in sources]
    alone = [train_run(source.spec, source.train) for source in sources]
    together = train_stack([Task(source=source) for source in sources])
    for found, expected in zip(together, alone, strict=True):
        # on jets of their own they hide other numbers of constituents, and are trained apart
        assert found.stack == (1 if own else 3)
        curves = [result.curve["training_loss"] for result in (found, expected)]
        assert np.allclose(*curves, rtol=2e-5)
        assert (found.flops, found.params) == (expected.flops, expected.params)
    assert len({result.training_loss for result in together}) == 3


def test_a_run_of_a_stack_that_is_not_finite_spoils_no_other(masked, unlabelled):
    data = [unlabelled(16, seed=i, least=9) for i in range(2)]
    values = data[0].values.copy()
    values[:] = np.nan
    data[0] = replace(data[0], values=values)
    sources = [Source(spec=masked(key=f"run{i}", seed=i + 1), train=data[i]) for i in range(2)]
    bad, good = train_stack([Task(source=source) for source in sources])
    assert isinstance(bad, Diverged)
    expected = train_run(sources[1].spec, data[1])
    assert np.allclose(good.curve["training_loss"], expected.curve["training_loss"], rtol=2e-5)


@pytest.mark.long
@pytest.mark.parametrize("jets", [3, 60])
def test_flops_of_particle_transformer_are_those_that_torch_counts(masked, unlabelled, jets):
    size = ModelSize(width=16, layers=2, heads=2)
    spec = masked(size=size, batch_size=jets, architecture="part")
    data = unlabelled(60 * jets)
    data = data.take(np.flatnonzero(data.lengths == 12)[:jets])
    engine = Engine([Source(spec=spec, train=data)], "cpu")
    batch, _ = engine.assemble(0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        engine.model.loss(batch).backward()
    assert counter.get_total_flops() == engine.shape.training_flops(data.lengths)


@pytest.mark.long
def test_pairs_tell_particle_transformer_nothing_of_what_is_hidden(masked, unlabelled):
    data = unlabelled(12)
    engine = Engine([Source(spec=masked(batch_size=12, architecture="part"), train=data)], "cpu")
    layout = arrange(data.offsets[:-1], data.lengths)
    draws = engine.orders[0].draws(0, 12)[None]
    outputs = []
    for change in (0, 50):
        batch = make_batch(data, layout, data.labels, engine.optimiser.weights)
        chosen = engine.model.prepare(batch, layout, draws)
        batch.values[chosen.hidden] += change
        again = engine.model.prepare(batch, layout, draws)
        outputs.append(engine.model.head(engine.trunk, again).detach())
    assert torch.equal(*outputs)
