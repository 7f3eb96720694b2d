"""A tiny pretraining and a fine-tuning from its trunk, and what they gave when pinned.

    python -m golden.run                    # in tests/: print the losses of now beside those pinned
    python -m golden.run --write            # pin those of now, after raising a VERSION

A golden file names the versions it was made with. Losses that change while no version does are a
mistake: runs of two kinds would carry one key. So a file is written only when a version is new, or
when there was no file.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from golden.jets import golden_jets
from jetscale import training
from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures import standardise
from jetscale.models.inputs import feature_inputs
from jetscale.models.protocol import ARCHITECTURES, architecture_named
from jetscale.objectives.protocol import OBJECTIVES, objective_named, token_objective
from jetscale.study import Controls, ModelSize
from jetscale.training.loop import train_run
from jetscale.training.spec import RunSpec

FOLDER = Path(__file__).parent
PAIRS = [(a, o) for a in ARCHITECTURES.built_in for o in OBJECTIVES.built_in]
"""Every architecture that is built in with every objective that is."""
RATES = {"part": {"learning_rate": 1e-4}}
"""Settings of architectures that the default rate, the transformer's, drives so hard that rounding
grows a hundredfold within a dozen steps."""
DOWNSTREAM = "classify"
"""What is fine-tuned for after an objective that is for pretraining alone."""
CLASSES = ("QCD", "Hbb", "Tbl", "Hcc", "Hgg", "Zqq")
TOLERANCE = 1e-4
"""Largest difference, as a share of a loss, on other processors and with other libraries. One and
two threads, our attention, PyTorch's and its plain formulas differ by at most 2.4e-6 here."""


def path_of(architecture: str, objective: str) -> Path:
    """The golden file of a pair."""
    return FOLDER / f"{architecture}-{objective}.json"


def versions(architecture: str, objective: str) -> dict[str, int | str]:
    """Version of each room whose code decides the losses."""
    found: dict[str, int | str] = {
        "architecture": architecture_named(architecture).version,
        "objective": OBJECTIVES.find(objective).version,
        "standardise": standardise.VERSION,
        "training": training.VERSION,
    }
    if token_objective(objective):
        found["downstream"] = objective_named(DOWNSTREAM).version
    return found


def golden_run(architecture: str, objective: str, threads: int = 1) -> dict[str, Any]:
    """Losses of a pretraining and of the fine-tuning that starts from its trunk."""
    recipe = Controls(
        pretraining_jets=256,
        validation_jets=96,
        test_jets=96,
        constituents=32,
        batch_size=32,
        architecture=architecture,
        objective=DOWNSTREAM if token_objective(objective) else objective,
        pretraining_objective=objective,
        **RATES.get(architecture, {}),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    losses: dict[str, Any] = {}
    try:
        with TemporaryDirectory() as folder:
            trunk = Path(folder) / "trunk.pt"
            for kind, classes, epochs, jets, seed in (
                ("pretrain", 6, 2, 256, 1),
                ("finetune", 3, 3, 200, 2),
            ):
                train, *held_out = (
                    standardise.standardise(golden_jets(n, classes, 10 * seed + i), "kinpid", 32)
                    for i, n in enumerate((jets, 96, 96))
                )
                spec = RunSpec(
                    key=kind,
                    size=ModelSize(width=32, layers=2, heads=4),
                    features=feature_inputs(FEATURE_SETS["kinpid"]),
                    classes=CLASSES[:classes],
                    recipe=recipe.at("pretraining" if kind == "pretrain" else "pretrained"),
                    epochs=epochs,
                    seed=seed,
                )
                pretraining = kind == "pretrain"
                result = train_run(
                    spec,
                    train,
                    *(() if pretraining else held_out),
                    save_trunk=trunk if pretraining else None,
                    trunk=None if pretraining else trunk,
                )
                losses[kind] = {**result.curve, "test_loss": result.loss}
    finally:
        torch.set_num_threads(before)
    return losses


def numbers(value: Any) -> list[float]:
    """All numbers in nested lists and dictionaries, in order."""
    if isinstance(value, dict):
        return [number for name in sorted(value) for number in numbers(value[name])]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [] if value is None else [float(value)]


def difference(found: Any, pinned: Any) -> float:
    """Largest difference as a share of the pinned number; infinite for another shape."""
    a, b = numbers(found), numbers(pinned)
    if len(a) != len(b):
        return float("inf")
    return max(abs(x - y) / abs(y) for x, y in zip(a, b, strict=True))


def main(arguments: list[str]) -> None:
    """Print or write the golden files."""
    for pair in PAIRS:
        path, found, now = path_of(*pair), golden_run(*pair), versions(*pair)
        pinned = json.loads(path.read_text()) if path.is_file() else {"versions": {}, "losses": {}}
        print(" x ".join(pair), f"difference {difference(found, pinned['losses']):.2g}", now)
        print(json.dumps({"pinned": pinned["losses"], "now": found}, indent=1))
        if "--write" not in arguments:
            continue
        if pinned["versions"] == now:
            if difference(found, pinned["losses"]) < TOLERANCE:
                continue  # as they were
            sys.exit(f"{path.name}: raise the VERSION of the room that changed, then write")
        value = {"versions": now, "tolerance": TOLERANCE, "losses": found}
        path.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
