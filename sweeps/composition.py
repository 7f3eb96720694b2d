"""Composition: does what a model is pretrained on change how its loss scales?

Question    Do the exponents of the compute-optimal frontier, N* ~ C^a and D* ~ C^b, differ between
            training from scratch, pretraining on QCD jets, and pretraining on QCD and BSM jets?
Grid        3 mixtures x 7 model sizes (970 to 188,170 parameters, all of two layers) x 7 data sizes
            (500 to 32,000 jets) x 3 seeds, each seed with its own draw of jets = 441 fine-tuning
            runs, after 42 pretrainings on 128,000 jets, four times the largest data size; 20,000
            test jets. 124 TFLOP. An eighth size, 332,810 parameters, takes as much again.
Parts       COMPOSITION_PART=4x5 is the part of the four smallest sizes and five smallest data
            sizes. Parts share all runs: 1x7, 2x6, 3x5, 4x4, 5x3 and 6x2 are the 27 cells of a
            thirtieth of the compute of the three largest cells of 7x7 and less, from which those
            are forecast before they are trained; 8x7 adds the eighth size. The 49 cells of 7x7
            turned out to hold no minimum at a fixed budget: the best models are smaller. The part
            "edge" was added for that reason: a model of 490 parameters, and 64,000 and 128,000 jets
            for the five smallest, 153 runs. The part "wide" takes the next size, 33,610 parameters,
            to 128,000 jets, 18 runs, for a forecast missed most where compute is largest.
Command     jetscale run sweeps/composition.py      (an hour and a half of two cores; a second call
            trains only what is missing)
Expect      Half-widths of a of 0.04 to 0.06, and a shift of a of 0.10 to 0.16 seen with 80% power,
            if seeds differ by 1.0 to 1.5% and the law misses cells by 0.5 to 1% (`jetscale power`).

Learning rates follow the laws of composition.recipe.json, which `jetscale tune` found by the same
search for all three mixtures.
"""

import os

from jetscale.study import (
    Data,
    Evaluation,
    Mixture,
    ModelSize,
    Recipe,
    Schedule,
    Simulated,
    Study,
    load_optimiser,
)

LADDER = tuple(
    ModelSize(width=width, layers=2, heads=heads)
    for width, heads in ((6, 1), (10, 1), (16, 2), (24, 3), (40, 5), (64, 8), (96, 12), (128, 16))
)
DATA_SIZES: tuple[int, ...] = (500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)
ALL_SIZES = (ModelSize(width=4, layers=2, heads=1), *LADDER)
LONGER = {"edge": ALL_SIZES[:5], "wide": ALL_SIZES[5:6]}  # to 128,000 jets


def study() -> Study:
    """The composition study, or the part of it that COMPOSITION_PART says."""
    part = os.environ.get("COMPOSITION_PART", "7x7")
    if part in LONGER:
        ladder, data_sizes = LONGER[part], (*DATA_SIZES, 64_000, 128_000)
    else:
        sizes, data = map(int, part.split("x"))
        ladder, data_sizes = LADDER[:sizes], DATA_SIZES[:data]
    return Study(
        name="composition",
        source=Simulated(train_jets=128_000, seed=1),
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="qcd", parts={"qcd": 1.0}),
            Mixture(name="qcd+bsm", parts={"qcd": 0.5, "res2p": 0.25, "res34p": 0.25}),
        ),
        ladder=ladder,
        data_sizes=data_sizes,
        seeds=(1, 2, 3),
        subsets=3,
        recipe=Recipe(
            data=Data(pretraining_jets=128_000, constituents=32),
            schedule=Schedule(epochs=2, pretraining_epochs=1, batch_exponent=0.5),
            optimiser=load_optimiser(__file__),
            evaluation=Evaluation(validation_jets=4_000, test_jets=20_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
