import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling.estimate import student_interval
from jetscale.study.load import load_study

SCRIPT = Path(__file__).parents[2] / "analysis" / "factorial.py"
MANY, NEAR, BOTH = -0.05, -0.02, 0.03


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


@pytest.fixture(scope="module", params=[2, 8])
def source(script, request):
    """The study with two and with eight epochs."""
    return script["Source"](request.param)


@pytest.fixture(scope="module")
def frame():
    """Losses with known effects of many labels, near jets and both."""
    rng = np.random.default_rng(1)
    corners = {"few-far": 0.0, "many-far": MANY, "few-near": NEAR, "many-near": MANY + NEAR + BOTH}
    rows = [
        {
            "mixture": name,
            "params": n,
            "examples": d,
            "seed": s,
            "loss": 2 + 10 / d**0.5 + shift + 0.001 * rng.normal(),
        }
        for name, shift in (corners | {"scratch": 0.1}).items()
        for n in (900, 3000, 20_000)
        for d in (500, 1000)
        for s in (1, 2)
    ]
    return pd.DataFrame(rows)


@pytest.mark.long
def test_known_effects_are_found(script, frame):
    losses = script["by_mixture"](frame)
    truth = {
        "diversity: many - few": MANY + BOTH / 2,
        "alignment: near - far": NEAR + BOTH / 2,
        "interaction": BOTH,
    }
    for name, weights in script["EFFECTS"].items():
        values = script["effect"](losses, weights)
        for sizes in script["groups"](losses.index.unique("examples")).values():
            found = script["mean_effect"](script["of_sizes"](values, sizes))
            assert found.value == pytest.approx(truth[name], abs=0.002)
            assert found.high - found.low < 0.01


@pytest.mark.slow
def test_data_sizes_alone_those_of_few_jets_and_all(script):
    found = script["groups"](pd.Index([2000, 500, 1000]))
    each = {"500": [500], "1,000": [1000], "2,000": [2000]}
    assert found == each | {"to 1,000": [500, 1000], "all": [500, 1000, 2000]}


@pytest.mark.slow
def test_signs_are_counted_over_runs(script, frame):
    lines = script["doubts"](frame, script["Source"](2)).splitlines()
    assert "| 12 of 12 |" in next(x for x in lines if x.startswith("| diversity: many - few | all"))
    assert "| 0 of 12 |" in next(x for x in lines if x.startswith("| interaction | to 1,000"))


@pytest.mark.long
def test_an_effect_as_large_as_the_smallest_seen_is_seen_in_four_of_five_studies(script):
    rng, seen, found = np.random.default_rng(3), [], 0
    index = pd.MultiIndex.from_product([(1, 2, 3), range(8)], names=["params", "seed"])
    for _ in range(400):
        values = pd.Series(rng.normal(size=24), index)
        seen.append(script["smallest_seen"](values))
        found += script["mean_effect"](values + 0.598).low > 0  # of 24 values of unit spread
    assert np.mean(seen) == pytest.approx(0.598, abs=0.02)
    assert found / 400 == pytest.approx(0.8, abs=0.05)


@pytest.mark.slow
def test_seeds_that_agree_on_every_size_are_as_many_as_they_are(script):
    index = pd.MultiIndex.from_product([(1, 2, 3), range(4)], names=["params", "seed"])
    values = pd.Series(np.tile([1.0, 2.0, 3.0, 4.0], 3), index)
    of_four = student_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert script["by_seeds"](values) == pytest.approx(of_four.high - of_four.value)


def test_a_plane_is_found_and_followed_to_the_other_mixtures(script):
    places = script["PLACES"]

    def height(name):
        labels, alignment = places[name]
        return 1.5 - 0.02 * np.log(labels) - 0.3 * alignment

    losses = pd.DataFrame({name: [height(name)] for name in script["CORNERS"]})
    parts = {k: script["effect"](losses, w).item() for k, w in script["explained"]().items()}
    assert parts["both"] == pytest.approx(height("qcd+bsm") - height("qcd"))
    step = places["qcd+bsm"][1] - places["qcd"][1]
    assert parts["alignment"] == pytest.approx(-0.3 * step)


def test_incomplete_runs_are_left_out(script, frame):
    missing = frame[(frame["mixture"] != "few-near") | (frame["params"] > 900)]
    assert len(script["by_mixture"](missing)) == 8


def test_the_effects_name_the_mixtures_of_the_sweep(script, source):
    study = load_study(source.sweep)
    names = {mixture.name for mixture in study.mixtures}
    for weights in (script["EFFECTS"] | script["ALONE"]).values():
        assert set(weights) < names
        assert sum(weights.values()) == 0


def test_a_main_effect_is_the_mean_of_those_at_each_level_of_the_other(script, frame):
    losses = script["by_mixture"](frame)
    far, near, few, many = (script["effect"](losses, w) for w in script["ALONE"].values())
    diversity, alignment, both = (script["effect"](losses, w) for w in script["EFFECTS"].values())
    assert np.allclose((far + near) / 2, diversity)
    assert np.allclose((few + many) / 2, alignment)
    assert np.allclose(near - far, both)
    assert np.allclose(many - few, both)


def test_own_rates_are_those_of_the_lowest_loss_of_each_mixture(script, source):
    search = source.search
    tried = search[search["start"] == "pretraining"]
    told = script["own_rates"](source).splitlines()[-1]
    for name in script["CORNERS"]:
        losses = tried[tried["mixture"] == name].groupby("factor")["loss"].mean()
        assert f"{name} x {losses.idxmin():g}" in told


@pytest.mark.slow
def test_the_tables_are_markdown(script, frame):
    for text in (
        script["table"](frame, script["EFFECTS"]),
        script["doubts"](frame, script["Source"](2)),
    ):
        lines = text.splitlines()
        assert len(lines) > 3
        assert len({line.count("|") for line in lines}) == 1
        assert set(lines[1]) == {"|", "-"}


@pytest.mark.slow
def test_the_figure_is_a_picture(script, frame, tmp_path):
    script["draw"](frame, tmp_path / "f.png")
    content = (tmp_path / "f.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000


def test_the_table_of_the_study_is_whole(script, source):
    runs, study = source.runs, load_study(source.sweep)
    cells = len(study.mixtures) * len(study.ladder) * len(study.data_sizes)
    assert len(runs) == cells * len(study.seeds)
    assert len(script["by_mixture"](runs)) == len(runs) / len(study.mixtures)
    assert list(runs) == list(source.composition)


def test_the_difference_of_the_composition_study_stands_beside_what_explains_it(script, source):
    lines = script["explanation"](source.runs, source).splitlines()
    assert lines[0].split(" | ")[-1].startswith("measured, P = 128,000")
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1].startswith("| all |")


def test_what_the_rates_may_make_of_an_effect(script, frame):
    regrets = {"few-far": 0.02, "many-far": 0.0, "few-near": 0.0, "many-near": 0.0, "scratch": 0.9}
    told = frame.assign(regret=frame["mixture"].map(regrets), regret_error=0.0)
    # few far labels would gain .02 by better rates: half of it in either main effect
    both, sizes = script["EFFECTS"]["interaction"], [500, 1000]
    for name, share in (("diversity: many - few", 0.01), ("interaction", 0.02)):
        for some in ([500], [1000], sizes):
            found = script["rates_share"](told, script["EFFECTS"][name], some)
            assert found == pytest.approx(share)
    noisy = told.assign(regret=0.0, regret_error=0.02)
    assert script["rates_share"](noisy, both, sizes) == pytest.approx(0.04)
    assert np.isnan(script["rates_share"](frame, both, sizes))
