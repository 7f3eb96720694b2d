"""Two data-parallel processes against one."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from jetscale.training.loop import train_run

SCRIPT = """
import json, sys
from dataclasses import asdict
import numpy as np
from torch import distributed
from jetscale.errors import Diverged
from jetscale.mixtures.ragged import Ragged
from jetscale.models.inputs import FeatureInput
from jetscale.study import Controls, ModelSize
from jetscale.store.checkpoints import Checkpoint
from jetscale.training.loop import train_run
from jetscale.training.spec import RunSpec
from pathlib import Path

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
)
data = Ragged(**np.load(folder / "jets.npz"))
plain = json.loads((folder / "spec.json").read_text())
flat = {k: v for group in plain.pop("recipe").values() if isinstance(group, dict)
        for k, v in group.items()}
spec = RunSpec(
    **plain | {
        "size": ModelSize(**plain["size"]),
        "features": tuple(FeatureInput(**feature) for feature in plain["features"]),
        "classes": tuple(plain["classes"]),
    },
    recipe=Controls(**flat),
)
try:
    result = train_run(
        spec,
        data,
        data if spec.recipe.model.objective == "classify" else None,
        checkpoint=Checkpoint(folder / f"checkpoint{rank}.pt"),
        checkpoint_seconds=0,
        save_trunk=folder / f"trunk{rank}.pt",
    )
except Diverged as error:
    print(error)
    sys.exit(3)
(folder / f"result{rank}.json").write_text(json.dumps(asdict(result)))
distributed.destroy_process_group()
"""


def train_on_two(spec, data, folder):
    """Exit code and output of each rank."""
    np.savez(folder / "jets.npz", values=data.values, offsets=data.offsets, labels=data.labels)
    (folder / "spec.json").write_text(json.dumps(dataclasses.asdict(spec)))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=120)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, told, strict=True)]


@pytest.mark.integration
def test_a_jet_that_diverges_on_one_rank_ends_both_at_the_same_step(spec_of, jets_of, tmp_path):
    # a checkpoint at every step: a rank that does not hear of it would wait for the other for ever
    spec, data = spec_of(epochs=2), jets_of(40)
    values = data.values.copy()
    values[data.offsets[20]] = np.nan
    bad = dataclasses.replace(data, values=values)
    (code, told), (other, same) = train_on_two(spec, bad, tmp_path)
    assert (code, other) == (3, 3)
    assert told == same
    assert "loss is nan at step" in told


@pytest.mark.integration
@pytest.mark.parametrize("average", [0.0, 0.3])
def test_two_ranks_equal_one(spec_of, jets_of, tmp_path, average):
    spec, data = (
        spec_of(average=average, epochs=4),
        jets_of(41),
    )  # the last batch of an epoch has 1 jet for 2 ranks
    alone = dataclasses.asdict(train_run(spec, data, data))
    assert [code for code, _ in train_on_two(spec, data, tmp_path)] == [0, 0]
    results = [json.loads((tmp_path / f"result{rank}.json").read_text()) for rank in range(2)]
    for result in results:
        assert result["ranks"] == 2
        assert result["validation"]["loss"] == pytest.approx(alone["validation"]["loss"], rel=1e-4)
        assert np.allclose(
            result["curve"]["training_loss"], alone["curve"]["training_loss"], rtol=1e-4
        )
    assert results[0]["validation"] == results[1]["validation"]
    written = {path.name.split(".")[0] for path in tmp_path.glob("*.pt")}
    assert written == {"checkpoint0", "trunk0"}


@pytest.mark.long
@pytest.mark.integration
def test_ranks_share_the_running_statistics_of_the_first(spec_of, jets_of, tmp_path):
    """Batch norms see the jets of their rank, so that losses are near those of one process only."""
    spec, data = spec_of(architecture="part", learning_rate=1e-3, epochs=4), jets_of(41)
    alone = train_run(spec, data, data)
    assert [code for code, _ in train_on_two(spec, data, tmp_path)] == [0, 0]
    results = [json.loads((tmp_path / f"result{rank}.json").read_text()) for rank in range(2)]
    assert results[0]["validation"] == results[1]["validation"]
    assert results[0]["curve"] == results[1]["curve"]
    assert results[0]["validation"]["loss"] == pytest.approx(alone.validation["loss"], rel=0.1)
    resumed = train_on_two(spec, data, tmp_path)  # the checkpoint of rank 0 is that of the end
    assert [code for code, _ in resumed] == [0, 0]
    again = [json.loads((tmp_path / f"result{rank}.json").read_text()) for rank in range(2)]
    assert [result["validation"] for result in again] == [results[0]["validation"]] * 2


@pytest.mark.integration
def test_two_ranks_hide_what_one_does(spec_of, jets_of, tmp_path):
    spec, data = spec_of(objective="masked", epochs=4), jets_of(41)
    alone = train_run(spec, data)
    assert [code for code, _ in train_on_two(spec, data, tmp_path)] == [0, 0]
    for rank in range(2):
        result = json.loads((tmp_path / f"result{rank}.json").read_text())
        curve = result["curve"]["training_loss"]
        assert np.allclose(curve, alone.curve["training_loss"], rtol=1e-4)
