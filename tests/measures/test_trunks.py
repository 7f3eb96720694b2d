import numpy as np
import pytest

from jetscale.jets.schema import FEATURE_SETS
from jetscale.measures.result import DOWNSTREAM
from jetscale.measures.transfer import find_trunks, measure_trunks
from jetscale.models.inputs import feature_inputs
from jetscale.models.transformer.model import Trunk
from jetscale.planning import plan_runs
from jetscale.store.checkpoints import save_trunk
from jetscale.store.records import RecordStore
from jetscale.study import Mixture

INPUTS = feature_inputs(FEATURE_SETS["kinpid"])


def pretend(study, home, mixture, factor=1.0):
    """Trunks of a mixture as pretraining leaves them."""
    runs = plan_runs(study)
    store = RecordStore.open(study, home, runs)
    for run in runs:
        if run.kind == "pretrain" and run.mixture.name == mixture:
            weights = Trunk(run.size, INPUTS, run.seed).state_dict()
            scaled = {name: factor * value for name, value in weights.items()}
            description = {"size": run.size.name, "features": "kinpid"}
            save_trunk(store.trunk(run.key), scaled, description)


def test_without_trunks_nothing_fails_and_the_table_says_why(study, shards, results, progress):
    found, remarks = measure_trunks(study, results, shards, progress)
    assert found == {}
    assert remarks == [
        "no pretrained trunk of near, both yet: LogME and the linear probe come after "
        "`jetscale run`"
    ]


@pytest.mark.long
def test_smallest_and_largest_size_with_all_seeds(study, shards, results, progress):
    pretend(study, results, "near")
    trunks = find_trunks(study, results)
    assert [(name, size.name) for name, size in trunks] == [
        ("near", "d8-l1-h1"),
        ("near", "d16-l1-h2"),
    ]
    assert all(sorted(weights) == [1, 2] for weights in trunks.values())

    found, remarks = measure_trunks(study, results, shards, progress)
    assert set(found) == {"near", DOWNSTREAM}
    assert set(found["near"]) == set(found[DOWNSTREAM]) == {"d8-l1-h1", "d16-l1-h2"}
    assert "no pretrained trunk of both yet" in remarks[0]
    for values in found["near"].values():
        assert 0 <= values["probe_accuracy"].low <= values["probe_accuracy"].high < 0.5
        assert np.isfinite(values["logme"].value)
    untrained = found[DOWNSTREAM]["d8-l1-h1"]
    assert untrained["logme"] != found["near"]["d8-l1-h1"]["logme"]


@pytest.mark.slow
def test_too_few_validation_jets_of_a_class_are_no_failure(study, shards, results, progress):
    pretend(study, results, "both")
    object.__setattr__(study.recipe.evaluation, "validation_jets", 20)
    # the key of a run depends on the controls
    pretend(study, results, "both")
    found, remarks = measure_trunks(study, results, shards, progress)
    assert found == {}
    assert "a linear probe takes 5: not measured" in remarks[-1]


@pytest.mark.parametrize("mixtures", [(Mixture(name="scratch"),)])
def test_a_study_without_mixtures_has_no_trunks(study, results, mixtures):
    object.__setattr__(study, "mixtures", mixtures)
    assert find_trunks(study, results) == {}
