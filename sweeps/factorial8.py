"""Factorial at eight epochs: diversity and alignment, where models are trained enough.

Question    As in factorial.py. Two passes over few jets leave models undertrained, and most of what
            pretraining seems to be worth there is that (composition8.py, variations.py). Are the
            effects of diversity and alignment, too?
Grid        That of factorial.py with eight passes over the downstream jets: 450 fine-tuning runs
            after 72 pretrainings.
Command     jetscale tune sweeps/factorial8.py --widths 10,24 --data-sizes 500,2000,8000
                --rates 0.33,1,3
            jetscale run sweeps/factorial8.py         (forty minutes of two cores)
Expect      In composition qcd+bsm minus qcd shrinks from 0.067 to 0.003 at 500 jets and from 0.036
            to 0.019 at 4,000. Effects of a few hundredths, if any; the 18 pairs see a main effect
            of 0.02 over all D.

Learning rates follow the laws of factorial8.recipe.json, which `jetscale tune` found by the same
search for all five. That of pretraining rests on two cells of few-far, with the exponent found at
two epochs.
"""

import runpy
from dataclasses import replace
from pathlib import Path

from jetscale.study import Study, load_optimiser

FACTORIAL = Path(__file__).with_name("factorial.py")


def study() -> Study:
    """The factorial study with eight epochs."""
    whole: Study = runpy.run_path(str(FACTORIAL))["study"]()
    recipe = replace(whole.recipe.change(epochs=8), optimiser=load_optimiser(__file__))
    return replace(whole, name="factorial8", recipe=recipe)


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
