"""What bfloat16 does to the test loss: the same runs with both precisions, paired by seed.

    JETSCALE_HOME=runs python benchmarks/precision.py sweeps/quickstart.py

Simulates 2,000 training and 4,000 test jets, or finds them, and trains models of two widths from
random weights, six seeds each: weights, jets and their order are those of the seed with both
precisions. Prints the mean change of the test loss with its 95% interval over seeds, and the spread
between seeds, which is what the change has to be judged by.
"""

import argparse
import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from scratch_runs import prepare, test_loss

from jetscale.planning import plan_runs
from jetscale.study import ModelSize, Simulated, Study
from jetscale.study.load import load_study

LADDER = (ModelSize(width=16, layers=2, heads=2), ModelSize(width=64, layers=2, heads=8))
EXAMPLES = 2000
SEEDS = tuple(range(1, 7))


def scratch_study(sweep: Path) -> Study:
    """The study without its pretraining mixtures, with two model sizes and few jets."""
    study = load_study(sweep)
    source = study.source
    assert isinstance(source, Simulated), "the sweep has to simulate its jets"
    evaluation = replace(study.recipe.evaluation, validation_jets=500, test_jets=4000)
    return replace(
        study,
        name="precision",
        source=replace(source, train_jets=EXAMPLES),
        mixtures=tuple(mixture for mixture in study.mixtures if mixture.is_scratch),
        ladder=LADDER,
        data_sizes=(EXAMPLES,),
        seeds=SEEDS,
        subsets=1,
        recipe=replace(study.recipe, evaluation=evaluation),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    study = scratch_study(parser.parse_args().sweep)
    torch.set_num_threads(1)
    streams = prepare(study)
    print(
        f"{EXAMPLES} jets, from scratch, {len(SEEDS)} seeds, torch {torch.__version__}, "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}\n"
    )
    print("| model | steps | float32 | spread over seeds | bfloat16 - float32 [95%] |")
    print("|---|---|---|---|---|")
    for size in study.ladder:
        runs = [run for run in plan_runs(study) if run.size == size]
        pairs = [
            [
                test_loss(study, run, replace(run.recipe, precision=p), streams)
                for p in ("float32", "bfloat16")
            ]
            for run in runs
        ]
        single, short = np.array(pairs).T
        change = short - single
        half = stats.t.ppf(0.975, len(change) - 1) * stats.sem(change)
        print(
            f"| {size.name} | {runs[0].steps} | {single.mean():.4f} | {single.std(ddof=1):.4f} | "
            f"{change.mean():+.4f} [{change.mean() - half:+.4f}, {change.mean() + half:+.4f}] |",
            flush=True,
        )


if __name__ == "__main__":
    main()
