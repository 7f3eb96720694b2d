from dataclasses import replace

from jetscale.planning import plan_runs
from jetscale.planning.former import former_keys
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study


def study(**changes):
    """The study whose keys were computed with version 0.1 (commit 1150e03)."""
    values = {
        "name": "tiny",
        "source": Simulated(train_jets=100),
        "mixtures": (Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        "ladder": (ModelSize(width=8, layers=1, heads=1),),
        "data_sizes": (20, 40),
        "seeds": (1, 2),
        "recipe": Controls(pretraining_jets=50, validation_jets=10, test_jets=10, constituents=16),
    }
    return Study(**(values | changes))


KEYS = [
    "c5d65f2505af9f16",
    "b07a223f5d515c28",
    "73f9b1a2ee4150b8",
    "e20ba3667755bfb7",
    "9d93cfa82b2ab032",
    "34fc69c9954be918",
    "ac645c62b4cc895c",
    "1277283a2e4a8c16",
    "43aac6e78cbbf0ec",
    "50abc77a62e300ec",
]


def test_keys_are_those_that_version_0_1_gave():
    found = former_keys(study(), plan_runs(study()))
    assert list(found.values()) == KEYS
    assert list(found) == [run.key for run in plan_runs(study())]


def test_results_of_another_version_are_not_taken_over(monkeypatch):
    for target in ("training", "mixtures.standardise", "jets.generator"):
        with monkeypatch.context() as patch:
            patch.setattr(f"jetscale.{target}.VERSION", 99)
            assert former_keys(study(), plan_runs(study())) == {}


def test_other_settings_have_other_former_keys():
    other = study(recipe=study().recipe.change(epochs=3))
    assert not set(former_keys(other, plan_runs(other)).values()) & set(KEYS)
    assert replace(other, recipe=study().recipe) == study()


def test_a_setting_of_the_model_that_version_0_1_did_not_have_has_no_former_keys():
    recipe = study().recipe.change(parametrization="complete", width_exponent=0.0)
    other = study(recipe=recipe)
    assert former_keys(other, plan_runs(other)) == {}
