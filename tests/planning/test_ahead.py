"""The time that is told before a sweep, against sums by hand."""

from pathlib import Path

import pytest

from jetscale.mixtures.inputs import jets_to_simulate, shard_requests
from jetscale.planning import plan_runs
from jetscale.planning.ahead import ahead
from jetscale.planning.timing import CORE
from jetscale.study.load import load_study

QUICKSTART = Path(__file__).parents[2] / "sweeps" / "quickstart.py"


@pytest.fixture(scope="module")
def quickstart():
    return load_study(QUICKSTART)


def test_the_time_is_that_of_the_jets_and_of_the_runs(quickstart):
    runs = plan_runs(quickstart)
    alone, two = (ahead(runs, 3_000, slots, 1) for slots in (1, 2))
    assert alone.simulation == 20
    assert alone.training == pytest.approx(sum(map(CORE.seconds, runs)))
    assert two.training == pytest.approx(alone.training / 2, rel=0.02)
    assert alone.text.startswith("about ")
    assert " on 1 core: 20 s to simulate 3,000 jets, " in alone.text
    assert alone.text.endswith(" to train 170 runs")
    assert "simulate" not in ahead(runs, 0, 2, 1).text


def test_jets_that_lie_there_are_not_simulated_again(quickstart, tmp_path):
    requests = shard_requests(quickstart, quickstart.source)
    assert jets_to_simulate(quickstart) == jets_to_simulate(quickstart, tmp_path) == 58_000
    requests[0].folder(tmp_path).mkdir(parents=True)
    assert jets_to_simulate(quickstart, tmp_path) == 58_000 - requests[0].jets
