import json

import pytest

from golden import run
from jetscale.models.transformer import model
from jetscale.training import optim

pytestmark = pytest.mark.slow


@pytest.fixture(params=run.PAIRS, ids=" x ".join)
def pair(request):
    return request.param


@pytest.fixture
def pinned(pair):
    return json.loads(run.path_of(*pair).read_text())


@pytest.mark.long
def test_losses_change_only_with_a_version(pair, pinned):
    assert run.versions(*pair) == pinned["versions"], "a VERSION was raised: write the golden file"
    changed = run.difference(run.golden_run(*pair), pinned["losses"])
    assert changed < pinned["tolerance"], (
        f"losses differ by {changed:.2g} from those pinned: raise the VERSION of the room you "
        "changed, then `python -m golden.run --write` in tests/"
    )


@pytest.mark.long
def test_the_tolerance_is_wide_enough_for_another_kernel(pair, pinned, monkeypatch):
    monkeypatch.setattr(model, "own", lambda *_: False)
    changed = run.difference(run.golden_run(*pair, threads=2), pinned["losses"])
    assert changed < pinned["tolerance"] / 10


@pytest.mark.long
def test_the_tolerance_is_narrow_enough_for_a_small_change_of_code(pair, pinned, monkeypatch):
    monkeypatch.setattr(optim, "EPSILON", 1e-5)
    changed = run.difference(run.golden_run(*pair), pinned["losses"])
    assert changed > pinned["tolerance"]


def test_a_file_is_not_overwritten_while_no_version_is_new(pair, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "golden_run", lambda *_: {"loss": 2.0})
    run.main(["--write"])
    written = run.path_of(*pair).read_text()
    assert json.loads(written)["losses"] == {"loss": 2.0}
    monkeypatch.setattr(run, "golden_run", lambda *_: {"loss": 3.0})
    with pytest.raises(SystemExit, match="raise the VERSION"):
        run.main(["--write"])
    assert run.path_of(*pair).read_text() == written
    monkeypatch.setattr(run, "versions", lambda *_: {"training": 99})
    run.main(["--write"])
    assert json.loads(run.path_of(*pair).read_text())["losses"] == {"loss": 3.0}
    assert "difference 0.5" in capsys.readouterr().out


def test_difference_counts_every_number():
    assert run.difference({"a": [[1, 2.0]], "b": None}, {"a": [[1, 2.0]], "b": None}) == 0
    assert run.difference({"a": [[1, 2.2]]}, {"a": [[1, 2.0]]}) == pytest.approx(0.1)
    assert run.difference({"a": [1.0]}, {"a": []}) == float("inf")
