"""Composition at eight epochs, with models of one shape: is the misfit of the law the ladder's?

Question    As in composition.py, where two passes over few jets leave models undertrained. The grid
            at eight epochs in variations.py has models of one head of 4, 6 and 10 dimensions beside
            models of 2 to 8 heads of 8, and from scratch the law misses them by 1%. Is that the
            law, or the ladder?
Grid        The mixtures, jets, seeds and test jets of composition.py; model sizes of 490, 1,610,
            3,370, 5,770, 12,490 and 33,610 parameters, all of two layers with heads of 4
            dimensions; 500 to 32,000 jets. COMPOSITION8_PART=5x7 is the part of the five smallest
            sizes and seven smallest data sizes, with three seeds; 5x5x6 has six seeds. Parts share
            their runs: 5x7, 6x5 and 5x5x6 are 40 cells and 585 fine-tuning runs.
Command     for part in 5x7 6x5 5x5x6; do
                COMPOSITION8_PART=$part jetscale run sweeps/composition8.py
            done                                    (70 minutes of two busy cores)
Expect      The exponents of the other ladder. From scratch the law misses less, 0.2%; after
            pretraining it does not.

Learning rates follow the laws of composition8.recipe.json, searched at eight epochs for all three
mixtures alike, with the ladder of composition.py (VARIATION=grid8 jetscale tune
sweeps/variations.py --widths 6,16,24 --data-sizes 500,4000,32000 --pretraining-rates 1); those of
pretraining are of composition.py.
"""

import os
import runpy
from dataclasses import replace
from pathlib import Path

from jetscale.study import ModelSize, Study, load_optimiser

COMPOSITION = Path(__file__).with_name("composition.py")
HEAD = 4  # dimensions of every head
LADDER = tuple(
    ModelSize(width=width, layers=2, heads=width // HEAD) for width in (4, 8, 12, 16, 24, 40)
)
MANY_JETS = (64_000, 128_000)


def study() -> Study:
    """The part of the study that COMPOSITION8_PART says."""
    composition = runpy.run_path(str(COMPOSITION))
    whole: Study = composition["study"]()
    part = os.environ.get("COMPOSITION8_PART", "6x7").split("x")
    sizes, data_sizes, seeds = map(int, [*part, str(len(whole.seeds))][:3])
    return replace(
        whole,
        name="composition8",
        ladder=LADDER[:sizes],
        data_sizes=(*composition["DATA_SIZES"], *MANY_JETS)[:data_sizes],
        seeds=tuple(range(1, seeds + 1)),
        subsets=seeds,
        recipe=replace(whole.recipe.change(epochs=8), optimiser=load_optimiser(__file__)),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
