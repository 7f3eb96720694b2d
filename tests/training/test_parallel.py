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
result = train_run(
    spec,
    data,
    data,
    checkpoint=Checkpoint(folder / f"checkpoint{rank}.pt"),
    checkpoint_seconds=0,
    save_trunk=folder / f"trunk{rank}.pt",
)
(folder / f"result{rank}.json").write_text(json.dumps(asdict(result)))
distributed.destroy_process_group()
"""


@pytest.mark.integration
@pytest.mark.parametrize("average", [0.0, 0.3])
def test_two_ranks_equal_one(spec_of, jets_of, tmp_path, average):
    spec, data = (
        spec_of(average=average, epochs=4),
        jets_of(41),
    )  # the last batch of an epoch has 1 jet for 2 ranks
    alone = dataclasses.asdict(train_run(spec, data, data))
    np.savez(tmp_path / "jets.npz", values=data.values, offsets=data.offsets, labels=data.labels)
    (tmp_path / "spec.json").write_text(json.dumps(dataclasses.asdict(spec)))
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(rank), str(tmp_path)])
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
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
