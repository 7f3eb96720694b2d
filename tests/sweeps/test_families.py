"""Each family changes the architecture, its rates and what trunks are pretrained to do, alone."""

from pathlib import Path

import pytest

from jetscale.planning import plan_runs
from jetscale.planning.identity import flatten, recipe_of
from jetscale.study.load import load_study

SWEEPS = Path(__file__).parents[2] / "sweeps"
FAMILIES = [f"{a}-{o}" for a in ("transformer", "part") for o in ("classify", "masked")]


@pytest.fixture
def studies(monkeypatch):
    found = {}
    for family in FAMILIES:
        monkeypatch.setenv("VARIATION", family)
        found[family] = load_study(SWEEPS / "families.py")
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_alone_is_changed(studies, family):
    study, whole = studies[family], load_study(SWEEPS / "quickstart.py")
    ours, theirs = flatten(recipe_of(study)), flatten(recipe_of(whole))
    differ = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    allowed = ("model.architecture", "model.pretraining_objective", "optimiser.rates")
    assert {name for name in differ if not name.startswith(allowed)} == set()
    assert set(study.ladder) <= set(whole.ladder)
    assert set(study.data_sizes) <= set(whole.data_sizes)
    assert (study.mixtures, study.seeds, study.subsets, study.source) == (
        *(whole.mixtures, whole.seeds, whole.subsets, whole.source),
    )


@pytest.mark.parametrize("architecture", ["transformer", "part"])
def test_both_objectives_share_their_runs_from_scratch_and_their_folder(studies, architecture):
    one, other = (studies[f"{architecture}-{objective}"] for objective in ("classify", "masked"))
    assert one.name == other.name
    shared = {run.key for run in plan_runs(one)} & {run.key for run in plan_runs(other)}
    assert shared == {run.key for run in plan_runs(one) if run.mixture.is_scratch}


def test_the_docstring_counts_the_runs(studies):
    runs = {run.key: run.kind for study in studies.values() for run in plan_runs(study)}
    kinds = list(runs.values())
    told = (SWEEPS / "families.py").read_text()
    assert f"{kinds.count('finetune')} fine-tuning runs" in told
    assert f"after {kinds.count('pretrain')} pretrainings" in told
