"""Variations: which choice of the composition study moves its exponents, and their difference?

Question    N* ~ C^a differs between mixtures in the composition study. Does that difference depend
            on what was held fixed there: the number of epochs, the law of the learning rates, the
            draw of the simulated jets?
Grid        3 mixtures x 5 model sizes (970 to 33,610 parameters) x 6 data sizes (500 to 16,000
            jets) x 2 seeds = 180 fine-tuning runs for each variation, of the composition study
            (sizes, seeds, subsets and test jets are its own). Its own runs of these cells are the
            baseline.
Variation   VARIATION is one of
            epochs8   8 passes over the downstream jets in place of 2
            epochs32  32 passes, up to 2,000 jets and 12,490 parameters: 72 fine-tuning
                      runs
            grid8     8 passes in cells of the composition study itself, with its three seeds:
                      six sizes to 84,490 parameters, seven data sizes to 32,000 jets, 378
                      fine-tuning runs (COMPOSITION_PART=6x7; another part is another choice of
                      cells, and parts share their runs)
            small8    cells beyond that grid, in the same study: a model of 490 parameters at nine
                      data sizes to 128,000 jets, 81 fine-tuning runs
            long8     64,000 and 128,000 jets for the sizes from 970 to 5,770 parameters, 54 runs
            longer8   12,490 parameters on 128,000 jets, 9 runs
            seeds8    nine seeds, each with its own jets, in place of three: COMPOSITION_PART=6x5
                      is the six smallest sizes on the five smallest data sizes, 5x7 five on seven
            rates     no searched laws: 0.01 (16/width)^0.75 for every start, whatever the steps
            draw      all jets simulated anew: training, pretraining, validation and test jets
Command     VARIATION=epochs8 jetscale run sweeps/variations.py      (ten to twenty-five minutes of
            two cores each; draw simulates 280,000 jets first)
Expect      With more epochs the loss from scratch falls where jets are few, and with it the
            advantage of pretraining. A new draw moves nothing beyond noise.
"""

import os
import runpy
from dataclasses import replace
from pathlib import Path

from jetscale.study import Simulated, Study

COMPOSITION = Path(__file__).with_name("composition.py")
EPOCHS = {"epochs8": 8, "epochs32": 32}
BEYOND = ("small8", "long8", "longer8", "seeds8")
VARIATIONS = (*EPOCHS, "grid8", *BEYOND, "rates", "draw")
DATA_SIZES = (500, 1_000, 2_000, 4_000, 8_000, 16_000)
MANY_JETS = (64_000, 128_000)
MOST_JETS = 2_000  # for 32 epochs
ANOTHER_DRAW = Simulated(train_jets=64_000, seed=2)


def baseline() -> Study:
    """The cells and seeds of the composition study that are varied."""
    composition = runpy.run_path(str(COMPOSITION))
    whole: Study = composition["study"]()
    return replace(whole, ladder=composition["LADDER"][:5], data_sizes=DATA_SIZES, seeds=(1, 2))


def at_eight(choice: str) -> Study:
    """A part of the composition study, or cells beyond it, with all its seeds, at 8 epochs."""
    composition = runpy.run_path(str(COMPOSITION))
    whole: Study = composition["study"]()
    sizes, data_sizes = composition["ALL_SIZES"], (*composition["DATA_SIZES"], *MANY_JETS)
    n, d = map(int, os.environ.get("COMPOSITION_PART", "6x7").split("x"))
    ladder, data_sizes = {
        "grid8": (sizes[1 : n + 1], data_sizes[:d]),
        "small8": (sizes[:1], data_sizes),
        "long8": (sizes[1:4], MANY_JETS),
        "longer8": (sizes[4:5], MANY_JETS[1:]),
        "seeds8": (sizes[:n], data_sizes[:d]),
    }[choice]
    seeds = tuple(range(1, 10)) if choice == "seeds8" else whole.seeds
    return replace(
        whole,
        name="variations-epochs",
        ladder=ladder,
        data_sizes=data_sizes,
        seeds=seeds,
        subsets=len(seeds),
        recipe=whole.recipe.change(epochs=8),
    )


def study() -> Study:
    """The cells of the composition study with what VARIATION names done otherwise."""
    choice = os.environ.get("VARIATION", VARIATIONS[0])
    if choice in ("grid8", *BEYOND):
        return at_eight(choice)
    same = replace(baseline(), name=f"variations-{choice.strip('0123456789')}")
    if choice in EPOCHS:  # one folder: their models start from the same trunks
        many = replace(same, recipe=same.recipe.change(epochs=EPOCHS[choice]))
        if choice == "epochs8":
            return many
        few = tuple(size for size in DATA_SIZES if size <= MOST_JETS)
        return replace(many, data_sizes=few, ladder=many.ladder[:-1])
    if choice == "rates":
        return replace(same, recipe=same.recipe.change(rates=None))
    return replace(same, source=ANOTHER_DRAW)


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
