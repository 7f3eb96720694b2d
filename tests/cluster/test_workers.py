"""cluster/workers.py: the request it makes and how it waits."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[2] / "cluster" / "workers.py"


@pytest.fixture
def workers():
    spec = importlib.util.spec_from_file_location("workers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake_ray(monkeypatch):
    """A Ray whose cluster has two GPUs; collects the requests made to its autoscaler."""
    requests: list[list[dict[str, int]]] = []
    ray = ModuleType("ray")
    ray.init = lambda **_: None
    ray.cluster_resources = lambda: {"CPU": 24.0, "GPU": 2.0}
    sdk = SimpleNamespace(request_resources=lambda bundles: requests.append(bundles))
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.autoscaler.sdk", sdk)
    return requests


def test_waits_until_all_have_joined(workers, capsys):
    counts = iter([0, 0, 1, 3])
    slept: list[float] = []
    assert workers.wait_for_gpus(3, lambda: next(counts), 30, slept.append)
    assert slept == [10, 10, 10]
    assert capsys.readouterr().out.splitlines() == ["0 of 3 GPUs", "1 of 3 GPUs", "3 of 3 GPUs"]


def test_gives_up_when_time_is_up(workers):
    slept: list[float] = []
    assert not workers.wait_for_gpus(1, lambda: 0, 2, slept.append)
    assert sum(slept) == 120


def test_one_bundle_per_gpu(workers, fake_ray, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["workers.py", "2"])
    workers.main()
    assert fake_ray == [[{"GPU": 1}, {"GPU": 1}]]


def test_zero_withdraws_the_request(workers, fake_ray, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["workers.py", "0"])
    workers.main()
    assert fake_ray == [[]]


def test_too_few_workers_take_one_line(workers, fake_ray, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["workers.py", "4", "--minutes", "0"])
    monkeypatch.setattr(workers.time, "sleep", lambda _: None)
    with pytest.raises(SystemExit, match="4 GPUs did not join in 0 minutes"):
        workers.main()
    assert len(fake_ray) == 1


def test_negative_number_is_refused(workers, fake_ray, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["workers.py", "-1"])
    with pytest.raises(SystemExit):
        workers.main()
    assert "gpus is -1" in capsys.readouterr().err
    assert fake_ray == []
