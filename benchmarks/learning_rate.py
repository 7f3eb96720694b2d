"""Which peak learning rate is best, for every mixture and width, on validation jets alone.

    JETSCALE_HOME=runs python benchmarks/learning_rate.py sweeps/quickstart.py

Needs the finished study: its streams, and the trunks that fine-tuning starts from. One run per
mixture, size and rate at one data size; test jets are never read. A rate that is best at the edge
of the scan is marked.
"""

import argparse
import datetime
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from jetscale.executor import in_process
from jetscale.jets.schema import FEATURE_SETS, JETCLASS
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import open_stream
from jetscale.models.inputs import feature_inputs
from jetscale.plan import Run, plan_runs
from jetscale.store.home import Home
from jetscale.study import Study
from jetscale.study.load import load_study
from jetscale.training.loop import train_run
from jetscale.training.spec import RunSpec

RATES = (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2)


def validation_loss(study: Study, run: Run, rate: float, streams: dict[str, Path]) -> float:
    """Final validation loss of a run trained at another peak rate."""
    spec = RunSpec(
        key=f"{run.key}-{rate}",
        size=run.size,
        features=feature_inputs(FEATURE_SETS[study.recipe.data.features]),
        classes=JETCLASS,
        recipe=study.recipe.change(learning_rate=rate),
        epochs=run.epochs,
        seed=run.seed,
    )
    train = open_stream(streams[f"train-{run.subset}"]).read(run.examples)
    validation = open_stream(streams["validation"]).read(study.recipe.evaluation.validation_jets)
    trunk = Home(home()).study(study).trunk(run.trunk) if run.trunk else None
    result = train_run(spec, train, validation, trunk=trunk)
    assert result.validation_loss is not None
    return result.validation_loss


def home() -> Path:
    return Path(os.environ.get("JETSCALE_HOME") or "runs")


def prepared(study: Study) -> dict[str, Path]:
    """Folders of the streams that `jetscale run` made."""
    shards = ensure_shards(study, home(), in_process, lambda what, done, total: None)
    return prepare_in_process(stream_plans(study, shards), home() / "streams")


def row(study: Study, group: Sequence[Run], streams: dict[str, Path]) -> str:
    """One table row: mean over seeds at every rate, the best in bold."""
    losses = [np.mean([validation_loss(study, c, r, streams) for c in group]) for r in RATES]
    best = int(np.argmin(losses))
    texts = [f"**{x:.3f}**" if i == best else f"{x:.3f}" for i, x in enumerate(losses)]
    edge = "edge" if best in (0, len(RATES) - 1) else ""
    return f"| {group[0].mixture.name} | {group[0].size.name} | {' | '.join(texts)} | {edge} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--examples", type=int, default=2000, help="data size D of the scan")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = load_study(arguments.sweep)
    streams = prepared(study)
    chosen = [
        c for c in plan_runs(study) if c.kind == "finetune" and c.examples == arguments.examples
    ]
    print(
        f"{study.name}, D = {arguments.examples}, {len(study.seeds)} seeds, torch "
        f"{torch.__version__}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}\n"
    )
    print(f"| mixture | size | {' | '.join(f'{r:g}' for r in RATES)} | |")
    print("|---|---|" + "---|" * (len(RATES) + 1))
    for mixture in study.mixtures:
        for size in study.ladder:
            group = [c for c in chosen if (c.mixture, c.size) == (mixture, size)]
            print(row(study, group, streams), flush=True)


if __name__ == "__main__":
    main()
