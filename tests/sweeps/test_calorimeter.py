"""The calorimeter sweep: the physics of its showers, and a smaller version of it run for real."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jetscale.planning import plan_runs
from jetscale.planning.timing import CORE
from jetscale.store.home import Home
from jetscale.study import Mixture, ModelSize
from jetscale.study.load import load_study
from jetscale.sweep.launch import run_study
from jetscale.sweep.runs import RunSource, load_runs

SWEEP = Path(__file__).parents[2] / "sweeps" / "calorimeter.py"


@pytest.fixture(scope="module")
def sweep():
    return runpy.run_path(str(SWEEP))


@pytest.fixture
def study():
    return load_study(SWEEP)


def mean_of(table, name):
    """Mean of a feature over the hits of each shower."""
    lists = table[name].combine_chunks()
    starts = lists.offsets.to_numpy()[:-1]
    return np.add.reduceat(lists.values.to_numpy(), starts) / lists.value_lengths().to_numpy()


def showers(sweep, kind, energy, rows=2000):
    kinds = np.full(rows, sweep["PARTICLES"].index(kind))
    return sweep["hits"](kinds, np.full(rows, float(energy)), np.zeros((rows, 2)), kinds, 1)


def test_depth_grows_with_the_logarithm_of_the_energy(sweep):
    """The mean of the gamma profile is (peak + 1 / b), with the peak at ln(E / E_c) - 1/2."""
    for energy in (5, 20, 60):
        expected = np.log(energy / 0.01) - 0.5 + 1 / 0.5
        assert mean_of(showers(sweep, "electron", energy), "depth").mean() == pytest.approx(
            expected, abs=0.15
        )


def test_photons_start_later_than_electrons(sweep):
    """After 9/7 radiation lengths on average, and their profile peaks one later (+ 1/2)."""
    photon, electron = (mean_of(showers(sweep, k, 30), "depth") for k in ("photon", "electron"))
    assert photon.mean() - electron.mean() == pytest.approx(1 + 9 / 7, abs=0.2)


def test_pions_are_wide_and_muons_narrow(sweep):
    spread = {
        kind: np.concatenate(showers(sweep, kind, 30)["x"].to_numpy()).std()
        for kind in sweep["PARTICLES"]
    }
    assert spread["muon"] < spread["electron"] < spread["pion"]
    assert spread["electron"] == pytest.approx(spread["photon"], rel=0.05)


def test_hits_deposit_the_energy_of_the_shower(sweep):
    table = showers(sweep, "electron", 30)
    lists = table["log_energy"].combine_chunks()
    total = np.add.reduceat(np.exp(lists.values.to_numpy()), lists.offsets.to_numpy()[:-1])
    assert total.mean() == pytest.approx(30, rel=0.02)
    assert all((np.diff(hits) <= 0).all() for hits in table["log_energy"].to_numpy()[:50])


@pytest.mark.parametrize("name", ["particles", "low_energy", "cosmic"])
def test_simulators_give_what_is_asked_for(sweep, name):
    classes = {"particles": "PARTICLES", "low_energy": "LOW_ENERGY", "cosmic": "DIRECTIONS"}[name]
    wanted = sweep[classes][1:3]
    table = pa.concat_tables(sweep[name](wanted, 300, 5))
    assert table.num_rows == 300
    assert set(table["label"].to_pylist()) == {1, 2}
    assert table.equals(pa.concat_tables(sweep[name](wanted, 300, 5)))
    assert not table.equals(pa.concat_tables(sweep[name](wanted, 300, 6)))


def test_the_labels_of_cosmic_muons_are_their_direction(sweep):
    table = pa.concat_tables(sweep["cosmic"](sweep["DIRECTIONS"], 400, 1))
    label, x, y = table["label"].to_numpy(), mean_of(table, "x"), mean_of(table, "y")
    for i, (side, sign) in enumerate([(x, -1), (x, 1), (y, 1), (y, -1)]):
        assert (sign * side[label == i]).mean() > 0.2


def test_it_fits_two_minutes_of_two_cores(study):
    assert sum(map(CORE.seconds, plan_runs(study))) < 2 * 90
    assert study.noun == "shower"


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_smaller_one_runs_on_ray_and_finds_the_aligned_mixture(study, tmp_path):
    small = replace(
        study,
        mixtures=(*study.mixtures[:2], Mixture(name="far", parts={"cosmic:left,right": 1.0})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(60, 125),
        recipe=study.recipe.change(pretraining_jets=1500, validation_jets=100, test_jets=500),
    )
    home = Home(tmp_path / "runs")
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    outcome = run_study(small, home, tracking=tracking)
    assert (outcome.trained, outcome.failed) == (16, 0)
    runs, _ = load_runs(small, home, tracking, RunSource.RECORDS)
    assert set(runs["noun"]) == {"shower"}
    loss = runs.groupby("mixture")["loss"].mean()
    assert loss["near"] < loss["scratch"]
    assert loss["near"] < loss["far"]
