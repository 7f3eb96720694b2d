import numpy as np
import pytest

from jetscale.errors import StudyError, TrainingError
from jetscale.objectives.classify import CLASSIFY, Classify
from jetscale.objectives.protocol import (
    OBJECTIVES,
    Objective,
    has_losses,
    needs_labels,
    objective_named,
    outputs_of,
    register,
    try_scores,
)
from jetscale.training.loop import train_run


class Regress:
    """Predicts the label as one number: a square loss and scores of its own."""

    name = "regress"
    version = 1
    needs_labels = False

    def outputs(self, classes):
        return 1

    def loss(self, outputs, batch):
        return (outputs[:, 0] - batch.labels).square().sum()

    def scores(self, outputs, labels, classes):
        residual = outputs[:, 0] - labels
        return {"loss": float(np.mean(residual**2)), "bias": float(residual.mean())}


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(OBJECTIVES, "known", dict(OBJECTIVES.known))


def test_the_built_in_one_fits_the_protocol():
    assert objective_named("classify") is CLASSIFY
    assert isinstance(CLASSIFY, Objective)


def test_an_objective_may_need_no_labels():
    register(Regress())
    assert needs_labels("classify")
    assert not needs_labels("regress")


@pytest.mark.long
def test_a_registered_objective_trains_with_its_own_head_and_scores(spec_of, jets_of):
    register(Regress())
    data = jets_of(200)
    result = train_run(spec_of(objective="regress", epochs=4), data, data, jets_of(100, seed=2))
    assert set(result.test) == {"loss", "bias"}
    assert result.loss < np.var(data.labels)
    assert result.params == train_run(spec_of(), data).params - 2 * 17  # one output, not three
    assert result.curve["validation_loss"][-1][1] == result.validation["loss"]


@pytest.mark.parametrize("scores", [{}, {"loss": float("nan")}, {"loss": "low"}])
def test_scores_without_a_usable_loss_are_refused(spec_of, jets_of, scores):
    objective = Regress()
    objective.scores = lambda *_: scores
    register(objective)
    with pytest.raises(TrainingError, match="'regress' scores 9 jets with the loss"):
        train_run(spec_of(objective="regress"), jets_of(20), jets_of(9))


def test_references_are_instances(tmp_path, monkeypatch):
    (tmp_path / "outside_objective.py").write_text(
        "from jetscale.objectives.classify import Classify\n"
        "class Mine(Classify):\n    version = 5\n"
        "MINE = Mine()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert objective_named("outside_objective:MINE").version == 5
    with pytest.raises(
        StudyError, match=r"'outside_objective:Mine' is <class.*name an object with"
    ):
        objective_named("outside_objective:Mine")
    with pytest.raises(StudyError, match="unknown objective 'clasify'; did you mean 'classify'"):
        objective_named("clasify")


def test_numbers_of_numpy_become_plain_ones(spec_of, jets_of):
    objective = Regress()
    objective.scores = lambda *_: {"loss": np.float32(0.5), "n": np.int64(2), "of": np.ones(2)}
    register(objective)
    result = train_run(spec_of(objective="regress"), jets_of(20), jets_of(9))
    assert repr(result.validation) == "{'loss': 0.5, 'n': 2, 'of': [1.0, 1.0]}"


@pytest.mark.parametrize("outputs", [None, "x", 2.5, 0, -1, True])
def test_outputs_must_be_a_number_of_them(outputs):
    objective = Regress()
    objective.outputs = lambda classes: outputs
    register(objective)
    with pytest.raises(StudyError, match=r"'regress': outputs\(3\) is .*, needs a whole number"):
        outputs_of("regress", 3)


def quits(*_):
    raise SystemExit("no licence")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda *_: None, "TypeError"),
        (lambda *_: {"loss": 1.0, "side": float("nan")}, "a score that is not finite in"),
        (lambda *_: {"loss": 1.0, "side": {1, 2}}, "'set' object"),
        (lambda *_: {"side": 1.0}, "the loss None, needs a finite float"),
        (lambda outputs, *_: {"loss": outputs.no_such}, "'no_such'"),
        (quits, "SystemExit: no licence"),
    ],
)
def test_scores_are_tried_before_a_sweep(scores, message):
    objective = Regress()
    register(objective)
    try_scores("regress", ("a", "b", "c"))
    objective.scores = scores
    with pytest.raises(StudyError, match=f"'regress': scores of 12 made-up jets .*{message}"):
        try_scores("regress", ("a", "b", "c"))


def test_what_is_registered_must_be_an_objective():
    nothing = type("Nothing", (), {"name": "nothing"})()
    with pytest.raises(StudyError, match=r"'nothing' is .*; name an object with name, version"):
        register(nothing)


def test_losses_that_are_not_those_of_the_loss_are_not_used():
    class Smoothed(Classify):
        """A loss of its own, and the losses of another one."""

        def loss(self, outputs, batch):
            return 0.9 * super().loss(outputs, batch)

    class Both(Smoothed):
        def losses(self, outputs, batch):
            return 0.9 * super().losses(outputs, batch)

    assert has_losses(CLASSIFY)
    assert not has_losses(Smoothed())
    assert has_losses(Both())
    assert not has_losses(Regress())
