"""What averaged weights do to the test loss and to its spread over seeds, from scratch.

    JETSCALE_HOME=runs python benchmarks/averaging.py sweeps/quickstart.py

Simulates the downstream jets of the sweep, or finds them, and trains its second model size from
random weights at two data sizes: all seeds at every time constant, the settings else those of the
sweep. The raw weights of a seed follow the same path at every time constant, so that a line differs
from the one above by what is evaluated alone.
"""

import argparse
import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scratch_runs import prepare, test_loss

from jetscale.planning import plan_runs
from jetscale.study import Study
from jetscale.study.load import load_study

AVERAGES = (0.0, 0.05, 0.1, 0.2)
SIZES = (500, 2000)
SEEDS = tuple(range(1, 7))


def scratch_study(sweep: Path) -> Study:
    """The study without its pretraining mixtures, at one model size and with one order of jets."""
    study = load_study(sweep)
    scratch = next(mixture for mixture in study.mixtures if mixture.is_scratch)
    return replace(
        study,
        mixtures=(scratch,),
        ladder=(study.ladder[1],),
        data_sizes=SIZES,
        seeds=SEEDS,
        subsets=1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    study = scratch_study(parser.parse_args().sweep)
    torch.set_num_threads(1)
    streams = prepare(study)
    print(
        f"{study.name}, scratch, {study.ladder[0].name}, {len(SEEDS)} seeds, torch "
        f"{torch.__version__}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}\n"
    )
    print("| D | steps | average | mean test loss | spread over seeds | change, paired by seed |")
    print("|---|---|---|---|---|---|")
    for examples in SIZES:
        runs = [run for run in plan_runs(study) if run.examples == examples]
        raw = np.array([])
        for average in AVERAGES:
            losses = np.array(
                [test_loss(study, run, run.recipe.change(average=average), streams) for run in runs]
            )
            raw = losses if average == 0 else raw
            change = losses - raw
            error = change.std(ddof=1) / np.sqrt(len(change))
            print(
                f"| {examples} | {runs[0].steps} | {average:g} | {losses.mean():.4f} | "
                f"{losses.std(ddof=1):.4f} | {change.mean():+.4f} ± {error:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
