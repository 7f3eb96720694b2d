import io
import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from jetscale.errors import TrainingError
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import apply_module
from jetscale.models.transformer.flops import parameters, training_flops
from jetscale.models.transformer.model import JetTransformer
from jetscale.store.checkpoints import Checkpoint
from jetscale.study import ModelSize
from jetscale.training import stack
from jetscale.training.engine import Engine, Source
from jetscale.training.loop import train_run
from jetscale.training.order import Seeds

pytestmark = pytest.mark.slow

MEASURED = ("timings", "jets_per_second", "peak_memory")  # another number at every training
JETS = 45  # 6 batches of 8 an epoch, the last one of 5


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def data(jets_of):
    return jets_of(JETS), jets_of(30, seed=1), jets_of(40, seed=2)


def without_times(result):
    plain = asdict(result)
    return {k: v for k, v in plain.items() if k not in MEASURED}


@pytest.mark.long
def test_result_counts_what_was_done(spec_of, data):
    train, validation, test = data
    spec = spec_of()
    result = train_run(spec, *data)
    assert (result.examples, result.examples_seen, result.steps) == (JETS, 2 * JETS, 12)
    assert (result.key, result.epochs, result.ranks, result.device) == ("run-a", 2, 1, "cpu")
    assert result.peak_rate == spec.recipe.optimiser.law("scratch").at(8, result.steps)
    counts = parameters(spec.size, 7, 3)
    assert (result.params, result.params_non_embedding) == (counts.total, counts.non_embedding)
    assert result.flops_6nd == 6 * counts.non_embedding * result.constituents
    busy = result.timings["batches"] + result.timings["steps"]
    assert result.jets_per_second == pytest.approx(2 * JETS / busy)
    assert result.mfu is None  # a CPU has no peak that a data sheet tells
    assert result.peak_memory > 0
    assert result.constituents == 2 * len(train.values)
    assert result.constituents <= result.tokens <= 2 * JETS * 12
    sums = {"jets": 90, "constituents_squared": 2 * int((train.lengths**2).sum())}
    assert result.flops == training_flops(spec.size, 7, 3, constituents=result.constituents, **sums)
    assert result.flops_padded == training_flops(
        spec.size, 7, 3, jets=90, constituents=90 * 12, constituents_squared=90 * 144
    )
    assert (result.validation["jets"], result.test["jets"]) == (len(validation), len(test))
    assert result.curve["validation_loss"][-1] == [12, result.validation["loss"]]
    assert (result.loss, result.validation_loss) == (result.test["loss"], result.validation["loss"])
    assert [step for step, _ in result.curve["training_loss"]] == list(range(1, 13))
    assert result.training_loss == result.curve["training_loss"][-1][1]
    assert result.timings["total"] >= busy
    plain = asdict(result)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@pytest.mark.long
def test_training_learns_and_repeats(spec_of, jets_of):
    spec = spec_of(epochs=4)
    runs = [train_run(spec, jets_of(200), test=jets_of(200, seed=2)) for _ in range(2)]
    assert without_times(runs[0]) == without_times(runs[1])
    assert runs[0].loss < 0.6 * math.log(3)
    assert runs[0].test["auc"] > 0.85
    assert runs[0].validation is None
    assert len(runs[0].curve["training_loss"]) >= 32


@pytest.mark.long
@pytest.mark.parametrize(
    ("stop", "average"), [(1, 0.0), (6, 0.0), (7, 0.0), (11, 0.0), (12, 0.0), (1, 0.3), (7, 0.3)]
)
def test_resumed_equals_uninterrupted_bit_for_bit(spec_of, data, tmp_path, stop, average):
    def interrupt(step, _):
        if step == stop:
            raise StopError

    spec, files = spec_of(average=average), [tmp_path / "whole.pt", tmp_path / "resumed.pt"]
    whole = train_run(spec, *data, save_trunk=files[0])
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    with pytest.raises(StopError):
        train_run(spec, *data, checkpoint=checkpoint, checkpoint_seconds=0, on_step=interrupt)
    seen = []
    resumed = train_run(
        spec,
        *data,
        checkpoint=checkpoint,
        checkpoint_seconds=1e9,
        save_trunk=files[1],
        on_step=lambda step, _: seen.append(step),
    )
    assert seen == list(range(stop + 1, 13))
    assert without_times(resumed) == without_times(whole)
    first, second = (torch.load(file, weights_only=True)["trunk"] for file in files)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_averaged_weights_are_scored_and_handed_on(spec_of, data, tmp_path):
    """The last step of a run whose rate is spent moves little: an average over it all differs."""
    raw, averaged = (
        train_run(spec_of(average=average), *data, save_trunk=tmp_path / f"{average}.pt")
        for average in (0.0, 0.5)
    )
    assert averaged.curve["training_loss"] == raw.curve["training_loss"]
    assert averaged.loss != raw.loss
    assert averaged.validation_loss != raw.validation_loss
    engine = Engine([Source(spec=spec_of(average=0.5), train=data[0])], "cpu")
    for step in range(12):
        engine.update(step, *engine.assemble(step))
    with engine.optimiser.averaged():
        expected = {name: weight.clone() for name, weight in engine.trunk.state_dict().items()}
        outputs = apply_module(engine.model, data[2])
    scores = engine.objective.scores(outputs, data[2].labels, spec_of().classes)
    assert averaged.loss == scores["loss"]
    stored, last = (
        torch.load(tmp_path / f"{average}.pt", weights_only=True)["trunk"] for average in (0.5, 0.0)
    )
    assert all(torch.equal(stored[name], expected[name]) for name in expected)
    assert not torch.equal(stored["embedding"], last["embedding"])


@pytest.mark.long
def test_checkpoint_of_another_run_or_torn_is_ignored(spec_of, data, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    train_run(spec_of(key="other", seed=5), *data, checkpoint=checkpoint, checkpoint_seconds=0)
    whole = without_times(train_run(spec_of(), *data))
    assert without_times(train_run(spec_of(), *data, checkpoint=checkpoint)) == whole
    for path in checkpoint.files:
        path.write_bytes(path.read_bytes()[:1000])
    assert without_times(train_run(spec_of(), *data, checkpoint=checkpoint)) == whole


def test_a_torn_checkpoint_costs_one_interval(spec_of, data, tmp_path):
    def interrupt(step, _):
        if step == 7:
            raise StopError

    whole, path = without_times(train_run(spec_of(), *data)), tmp_path / "checkpoint.pt"
    with pytest.raises(StopError):
        train_run(
            spec_of(), *data, checkpoint=Checkpoint(path), checkpoint_seconds=0, on_step=interrupt
        )
    last = max(Checkpoint(path).files, key=lambda file: step_in(file))
    last.write_bytes(last.read_bytes()[:-1])
    seen = []
    resumed = train_run(
        spec_of(),
        *data,
        checkpoint=Checkpoint(path),
        on_step=lambda step, _: seen.append(step),
    )
    assert seen[0] == 7  # six steps were kept, the seventh is made again
    assert without_times(resumed) == whole


def step_in(file):
    """The step that a checkpoint file holds, behind its seal."""
    content = io.BytesIO(file.read_bytes()[32:])
    return torch.load(content, weights_only=True)["state"]["step"]


@pytest.mark.long
@pytest.mark.parametrize("changed", ["trunk", "head", "order"])
def test_each_derived_seed_changes_the_result(spec_of, data, monkeypatch, changed):
    seeds = {"trunk": 1, "head": 2, "order": 3}
    results = []
    for value in (seeds, seeds | {changed: 9}):
        monkeypatch.setattr(Seeds, "of", lambda _, value=value: Seeds(**value))
        results.append(train_run(spec_of(), data[0], test=data[2]).loss)
    assert results[0] != results[1]


def test_fine_tuning_starts_from_the_trunk_with_a_new_head(spec_of, data, tmp_path, monkeypatch):
    path = tmp_path / "trunk.pt"
    train_run(spec_of(seed=7, classes=("a", "b", "c", "d")), data[0], save_trunk=path)
    stored = torch.load(path, weights_only=True)["trunk"]
    started = []

    def spy(self, batch):
        if not started:
            started.append({k: v.clone() for k, v in self.state_dict().items()})
        return self.head(self.trunk(batch))

    monkeypatch.setattr(JetTransformer, "forward", spy)
    train_run(spec_of(), data[0], trunk=path)
    fresh = JetTransformer(
        spec_of().size, spec_of().features, 3, trunk_seed=1, head_seed=Seeds.of(1).head
    )
    assert all(torch.equal(started[0][f"trunk.{name}"], stored[name]) for name in stored)
    assert torch.equal(started[0]["head.weight"], fresh.head.weight)
    with pytest.raises(TrainingError, match="its size is 'd8-l1-h2', this run needs 'd16-l1-h2'"):
        train_run(spec_of(size=ModelSize(width=16, layers=1, heads=2)), data[0], trunk=path)


@pytest.mark.long
def test_a_trunk_of_another_parametrization_is_refused(spec_of, data, tmp_path):
    path, complete = tmp_path / "trunk.pt", {"parametrization": "complete", "width_exponent": 0.0}
    train_run(spec_of(**complete), data[0], save_trunk=path)
    assert train_run(spec_of(**complete), *data, trunk=path).loss < 2
    with pytest.raises(TrainingError, match="its parametrization is 'complete', this run needs"):
        train_run(spec_of(), data[0], trunk=path)


@pytest.mark.long
def test_validation_before_the_end_stays_cheap(spec_of, jets_of):
    result = train_run(spec_of(epochs=4), jets_of(100), jets_of(50, seed=1))
    assert [step for step, _ in result.curve["validation_loss"]] == [17, 35, 52]


@pytest.mark.long
def test_a_diverging_run_names_run_step_and_rate(spec_of, jets_of):
    data = jets_of(40)
    values = data.values.copy()
    values[data.offsets[20]] = np.nan
    data = replace(data, values=values)
    with pytest.raises(TrainingError, match=r"run run-a \(d8-l1-h2\): loss is nan at step \d+ of"):
        train_run(spec_of(), data)
    with pytest.raises(TrainingError, match="output is not finite at step 10 of 10, learning rate"):
        train_run(spec_of(), jets_of(40), data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": "kinpid"}, "7 features, feature set 'kinpid' has 13"),
        ({"constituents": 5}, "jets of 1 to 12 constituents, needs 1 to 5"),
        ({"classes": ("QCD", "Hbb")}, "labels 0 to 2, the run has 2 classes"),
    ],
)
def test_data_that_do_not_fit_are_refused(spec_of, data, change, message):
    with pytest.raises(TrainingError, match=f"run run-a, train data: {message}"):
        train_run(spec_of(**change), *data)


def test_no_jets_are_refused(spec_of, data):
    empty = Ragged(
        values=data[0].values[:0], offsets=np.zeros(1, np.int64), labels=np.zeros(0, int)
    )
    with pytest.raises(TrainingError, match="test data: no jets"):
        train_run(spec_of(), data[0], test=empty)


@pytest.mark.long
def test_bfloat16_rounds_the_products_of_training_and_nothing_else(spec_of, data):
    exact, short = spec_of(), spec_of()
    short = replace(short, recipe=replace(short.recipe, precision="bfloat16"))
    single, rounded = train_run(exact, *data), train_run(short, *data)
    assert rounded.loss != single.loss
    assert rounded.loss == pytest.approx(single.loss, rel=0.02)
    engine = Engine([Source(spec=short, train=data[0])], "cpu")
    engine.update(0, *engine.assemble(0))
    assert {p.dtype for p in engine.model.parameters()} == {torch.float32}
    assert {t.dtype for t in engine.optimiser.state().values()} == {torch.float32}
    outputs = engine.apply(data[1])[0]
    np.testing.assert_array_equal(outputs, apply_module(engine.model, data[1]))
    digits = outputs.astype(np.float32).view(np.uint32)
    assert (digits & 0xFFFF).any()  # those that bfloat16 does not have


def test_mfu_is_what_a_known_device_could_have_done(spec_of, data, monkeypatch):
    monkeypatch.setattr(stack, "peak_flops", lambda name, precision: 1e12)
    result = train_run(spec_of(), *data)
    busy = result.timings["batches"] + result.timings["steps"]
    assert result.mfu == pytest.approx(result.flops / (1e12 * busy))
