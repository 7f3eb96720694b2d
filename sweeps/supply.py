"""Supply: how much of what pretraining is worth depends on how many jets it has?

Question    Up to how many downstream jets does pretraining pay, and does that move with the number
            of pretraining jets P? The composition study pretrains on 128,000; this one on fewer.
Grid        2 mixtures x 1 model size (width 24, the fourth of composition) x 7 data sizes x 3 seeds
            = 42 fine-tuning runs after 6 pretrainings, for each P: 2,000, 8,000 and 32,000. 6.9
            TFLOP in all. Mixtures, data sizes, seeds, subsets, test jets and rates are those of
            composition, and so are its runs from scratch: they are the baseline, as no P enters
            them. Its runs from 128,000 jets are the fourth P.
Epochs      SUPPLY_EPOCHS=8 trains eight epochs in place of two; the baseline and the fourth P
            are then runs of grid8 in variations.py.
Supply      SUPPLY_JETS is P: 2000, 8000 (the default) or 32000. One P is one recipe, and one call.
            The rate of pretraining was searched at 128,000 jets alone: where the best rate moves
            with P, fewer jets look worse than they are.
Command     SUPPLY_JETS=2000 jetscale run sweeps/supply.py      (two to three minutes of two cores
            SUPPLY_JETS=8000 jetscale run sweeps/supply.py      for each P, and 63,000 jets to
            SUPPLY_JETS=32000 jetscale run sweeps/supply.py     simulate)
            python analysis/supply.py                           (with the runs of composition)
Expect      Fewer pretraining jets are worth fewer downstream jets, and stop paying earlier. Three
            trunks per mixture and P: differences of 1 to 3% in mean log loss are seen.
"""

import os
import runpy
from dataclasses import replace
from pathlib import Path

from jetscale.study import Study

COMPOSITION = Path(__file__).with_name("composition.py")
WIDTH = 24
SUPPLIES = (2_000, 8_000, 32_000)


def study() -> Study:
    """The composition study at one model size, pretrained on SUPPLY_JETS jets."""
    jets = int(os.environ.get("SUPPLY_JETS", SUPPLIES[1]))
    composition = runpy.run_path(str(COMPOSITION))
    whole: Study = composition["study"]()
    epochs = int(os.environ.get("SUPPLY_EPOCHS", whole.recipe.schedule.epochs))
    return replace(
        whole,
        name="supply",
        mixtures=whole.pretrained,
        ladder=tuple(size for size in composition["LADDER"] if size.width == WIDTH),
        data_sizes=composition["DATA_SIZES"],
        recipe=whole.recipe.change(pretraining_jets=jets, epochs=epochs),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
