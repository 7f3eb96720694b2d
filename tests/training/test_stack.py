"""Runs in a stack against the same runs alone."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from jetscale.errors import Diverged, TrainingError
from jetscale.models.protocol import ARCHITECTURES
from jetscale.models.protocol import register as register_architecture
from jetscale.models.transformer import Transformer
from jetscale.objectives.protocol import OBJECTIVES, register
from jetscale.store.checkpoints import Checkpoint
from jetscale.training.engine import Source
from jetscale.training.loop import Evicted, Task, train_run, train_stack

pytestmark = pytest.mark.slow

NOT_EQUAL = ("timings", "jets_per_second", "peak_memory", "stack", "tokens")
SAME = 2e-5
"""Largest difference between a run of a stack and the run alone, relative; seeds differ by 1e-2."""


@pytest.fixture
def data(jets_of):
    return jets_of(60, seed=1), jets_of(50, seed=2), jets_of(60, seed=3)


@pytest.fixture(params=["one data set", "own data"])
def sources(request, spec_of, jets_of):
    """Three runs of other seeds or rates, on the same jets in the same order or on their own.

    Jets of their own mostly have as many constituents as are kept, and are padded to that.
    """
    if request.param == "one data set":
        jets, rates = jets_of(60, seed=1), (0.01, 0.02, 0.005)
        specs = [spec_of(key=f"run{i}", learning_rate=rate) for i, rate in enumerate(rates)]
        return [Source(spec=spec, train=jets) for spec in specs]
    return [
        Source(spec=spec_of(key=f"run{seed}", seed=seed), train=jets_of(60, seed=seed, least=9))
        for seed in (1, 2, 3)
    ]


def close(found, expected):
    """Assert that two results differ by rounding alone."""
    one, other = (
        {name: value for name, value in asdict(result).items() if name not in NOT_EQUAL}
        for result in (found, expected)
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        if name == "curve":
            assert value.keys() == other[name].keys()
            for curve in value:
                assert np.allclose(value[curve], other[name][curve], rtol=SAME)
        elif name in ("validation", "test"):
            assert value["loss"] == pytest.approx(other[name]["loss"], rel=SAME)
            assert value["auc"] == pytest.approx(other[name]["auc"], abs=5e-3)  # ranks may swap
        elif name in ("training_loss", "peak_rate"):
            assert value == pytest.approx(other[name], rel=SAME)
        else:
            assert value == other[name]


def interrupted(tmp_path, sources, data, step, **more):
    """Checkpoints of a stack that was told to stop after ``step`` steps."""
    checkpoints = [Checkpoint(tmp_path / f"{source.spec.key}.pt") for source in sources]
    made = []
    tasks = [
        Task(source=source, checkpoint=checkpoint, on_step=lambda step, _: made.append(step))
        for source, checkpoint in zip(sources, checkpoints, strict=True)
    ]
    with pytest.raises(Evicted, match=f"step {step} of"):
        train_stack(tasks, *data, stop=lambda: made[-1] == step, **more)
    return checkpoints


@pytest.mark.long
def test_each_run_of_a_stack_is_the_run_alone(sources, data):
    alone = [train_run(s.spec, s.train, *data[1:]) for s in sources]
    together = train_stack([Task(source=source) for source in sources], *data[1:])
    assert [result.stack for result in together] == [3, 3, 3]
    for found, expected in zip(together, alone, strict=True):
        close(found, expected)
        assert found.tokens == expected.tokens
    assert len({result.loss for result in together}) == 3


def products_do_not_depend_on_their_number():
    """Whether the library of this machine multiplies three pairs of matrices as it does one."""
    for inputs, outputs in ((7, 8), (8, 24), (8, 8), (8, 32), (16, 8)):  # those of the model
        left, right = torch.randn(3, 96, inputs), torch.randn(3, inputs, outputs)
        back = torch.randn(3, 96, outputs)
        for a, b in ((left, right), (back, right.mT), (back.mT, left)):
            together = torch.bmm(a, b)
            if not all(torch.equal(together[i], a[i] @ b[i]) for i in range(3)):
                return False
    return True


@pytest.fixture
def one_thread():
    """As a worker has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_weights_are_those_of_the_run_alone_to_the_last_bit(tmp_path, sources):
    if not products_do_not_depend_on_their_number():
        pytest.skip("products of this machine depend on how many are made together")
    files = [tmp_path / f"{i}.pt" for i in range(3)]
    train_stack([Task(source=s, save_trunk=f) for s, f in zip(sources, files, strict=True)])
    for source, file in zip(sources, files, strict=True):
        train_run(source.spec, source.train, save_trunk=tmp_path / "alone.pt")
        found, expected = (
            torch.load(path, weights_only=True)["trunk"] for path in (file, tmp_path / "alone.pt")
        )
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.long
def test_jets_of_other_lengths_are_not_padded_for_each_other(spec_of, jets_of):
    """Runs on the same jets in the same order stay together, others would see other batches."""
    same, other, full = jets_of(60, seed=1), jets_of(60, seed=2), jets_of(60, seed=3, least=10)
    cases = (
        [(same, 1), (same, 1), (other, 1), (same, 2)],
        [(full, 1), (full, 2), (jets_of(60, seed=4, least=10), 1)],
        [(full, 1), (other, 1), (full, 2)],
    )
    for case, stacks in zip(cases, ([2, 2, 1, 1], [3, 3, 3], [2, 1, 2]), strict=True):
        tasks = [
            Task(source=Source(spec=spec_of(key=f"run{i}", seed=seed), train=jets))
            for i, (jets, seed) in enumerate(case)
        ]
        assert [result.stack for result in train_stack(tasks)] == stacks


@pytest.mark.long
@pytest.mark.parametrize("change", [{"average": 0.3}, {"parametrization": "complete"}])
def test_averages_and_the_other_parametrization_stack(sources, data, change):
    if "parametrization" in change:
        change = change | {"width_exponent": 0.0}
    changed = [
        replace(s, spec=replace(s.spec, recipe=s.spec.recipe.change(**change))) for s in sources
    ]
    alone = [train_run(s.spec, s.train, *data[1:]) for s in changed]
    for found, expected in zip(
        train_stack([Task(source=source) for source in changed], *data[1:]), alone, strict=True
    ):
        close(found, expected)


@pytest.mark.long
def test_the_same_stack_gives_the_same_bits_also_resumed(tmp_path, sources, data):
    whole = train_stack([Task(source=source) for source in sources], *data[1:])
    checkpoints = interrupted(tmp_path, sources, data[1:], 7)
    resumed = train_stack(
        [
            Task(source=source, checkpoint=checkpoint)
            for source, checkpoint in zip(sources, checkpoints, strict=True)
        ],
        *data[1:],
    )
    for found, expected in zip(resumed, whole, strict=True):
        assert replace(found, timings={}, jets_per_second=0.0, peak_memory=0) == replace(
            expected, timings={}, jets_per_second=0.0, peak_memory=0
        )


@pytest.mark.long
def test_runs_go_on_in_another_company(tmp_path, sources, data):
    """From a stack alone, from alone in a stack, and beside runs that are at another step."""
    alone = [train_run(s.spec, s.train, *data[1:]) for s in sources]
    checkpoints = interrupted(tmp_path, sources[:2], data[1:], 7)
    first = sources[0]
    close(train_run(first.spec, first.train, *data[1:], checkpoint=checkpoints[0]), alone[0])
    checkpoints[0].remove()
    checkpoints = interrupted(tmp_path, sources[:1], data[1:], 3) + checkpoints[1:]
    tasks = [
        Task(source=source, checkpoint=checkpoint)
        for source, checkpoint in zip(sources, [*checkpoints, None], strict=True)
    ]
    together = train_stack(tasks, *data[1:])
    assert [result.stack for result in together] == [1, 1, 1]  # at steps 3, 7 and 0
    for found, expected in zip(together, alone, strict=True):
        close(found, expected)


@pytest.mark.long
def test_a_run_that_diverges_leaves_and_the_others_go_on(tmp_path, spec_of, jets_of, data):
    good, bad = jets_of(60, seed=1, least=9), jets_of(60, seed=1, least=9)
    values = bad.values.copy()
    values[bad.offsets[20]] = np.nan
    bad = replace(bad, values=values)
    sources = [
        Source(spec=spec_of(key=f"run{i}", seed=i), train=train)
        for i, train in enumerate((good, bad, good), 1)
    ]
    files = [tmp_path / f"{i}.pt" for i in range(3)]
    tasks = [
        Task(source=source, save_trunk=file) for source, file in zip(sources, files, strict=True)
    ]
    first, failed, last = train_stack(tasks, *data[1:])
    assert isinstance(failed, Diverged)
    assert "run run2 (d8-l1-h2): loss is nan at step" in str(failed)
    assert not files[1].exists()
    for found, source, file in ((first, sources[0], files[0]), (last, sources[2], files[2])):
        assert found.stack == 2
        close(replace(found, trunk_sha256=None), train_run(source.spec, source.train, *data[1:]))
        train_run(source.spec, source.train, save_trunk=tmp_path / "alone.pt")
        trunk, alone = (
            torch.load(path, weights_only=True)["trunk"] for path in (file, tmp_path / "alone.pt")
        )
        assert trunk.keys() == alone.keys()
        for name, weights in trunk.items():
            assert weights.shape == alone[name].shape
            assert torch.allclose(weights, alone[name], rtol=1e-3, atol=1e-4)


@pytest.mark.long
def test_a_run_that_diverges_within_a_window_leaves_with_its_own_step(spec_of, jets_of):
    """A validation may come between two reads of the losses: 75 steps are read 2 at a time."""
    good, validation = jets_of(300, seed=1, least=9), jets_of(50, seed=2)
    told = []
    for row in range(0, 300, 50):  # its first batch varies with where the bad jet is
        values = good.values.copy()
        values[good.offsets[row]] = np.nan
        trains = (good, replace(good, values=values), good)
        outcomes = train_stack(
            [
                Task(
                    source=Source(spec=spec_of(key=f"run{i}", epochs=2), train=train),
                    on_end=told.append,
                )
                for i, train in enumerate(trains)
            ],
            validation,
            validation,
        )
        assert [isinstance(outcome, Diverged) for outcome in outcomes] == [False, True, False]
        assert "run run1 (d8-l1-h2): loss is nan at step" in str(outcomes[1])
        assert told[0] is outcomes[1], "told at once"
        assert told[1:] == [outcomes[0], outcomes[2]]
        told.clear()


def test_where_all_diverge_all_are_named(spec_of, jets_of):
    values = np.full_like(jets_of(40).values, np.nan)
    bad = replace(jets_of(40), values=values)
    tasks = [Task(source=Source(spec=spec_of(key=f"run{i}"), train=bad)) for i in range(2)]
    outcomes = train_stack(tasks, bad, bad)
    assert [str(outcome).split()[1] for outcome in outcomes] == ["run0", "run1"]


def test_an_objective_that_only_sums_is_not_stacked(sources, monkeypatch):
    class Summing:
        """An objective of before there were stacks."""

        name, version = "summing", 1
        outputs = loss = scores = staticmethod(lambda *_: 1)

    monkeypatch.setattr(OBJECTIVES, "known", dict(OBJECTIVES.known))
    register(Summing())
    own = [
        replace(s, spec=replace(s.spec, recipe=s.spec.recipe.change(objective="summing")))
        for s in sources
    ]
    with pytest.raises(TrainingError, match=r"'summing' has no losses\(outputs, batch\)"):
        train_stack([Task(source=source) for source in own])


def test_models_that_would_share_running_buffers_are_not_stacked(sources, monkeypatch):
    class Counting(Transformer):
        name = "counting"

        def build(self, *shape, **seeds):
            model = super().build(*shape, **seeds)
            model.trunk.register_buffer("seen", torch.zeros(()))
            return model

    monkeypatch.setattr(ARCHITECTURES, "known", dict(ARCHITECTURES.known))
    register_architecture(Counting())
    own = [
        replace(s, spec=replace(s.spec, recipe=s.spec.recipe.change(architecture="counting")))
        for s in sources
    ]
    with pytest.raises(TrainingError, match="'counting' keeps buffers that training changes"):
        train_stack([Task(source=source) for source in own])


def test_the_seconds_of_a_stack_are_shared(sources, data):
    results = train_stack([Task(source=source) for source in sources], *data[1:])
    assert len({result.timings["steps"] for result in results}) == 1
    assert all(r.timings["total"] >= r.timings["steps"] > 0 for r in results)
