"""Families: does what quickstart finds hold for another architecture and another objective?

Question    Is pretraining worth as much, and in the same order of mixtures, where the model is
            ParticleTransformer, and where trunks are pretrained on completing jets, unlabelled?
Grid        3 mixtures x 2 seeds of the quickstart study, on its jets and with its recipe, for two
            architectures and two objectives of pretraining: the transformer at 5 model sizes and
            3 data sizes (500 to 2,000 jets), ParticleTransformer, which costs five times as much,
            at 3 sizes and 500 jets: 180 fine-tuning runs, as those from scratch serve both
            objectives of their architecture, after 64 pretrainings.
Rates       Those of the composition study, searched for the transformer and for labels; the
            other architecture takes 0.3 of them, the best of 1, 0.3, 0.1 and 0.03 from scratch at
            widths 4 and 16 on 1,000 jets.
Variation   VARIATION is an architecture and what trunks are pretrained to do:
            transformer-classify, transformer-masked, part-classify, part-masked
Command     VARIATION=part-masked jetscale run sweeps/families.py       (once for each)
Expect      analysis/families.md
"""

import os
import runpy
from dataclasses import replace
from pathlib import Path

from jetscale.study import Study
from jetscale.study.search import Point

QUICKSTART = Path(__file__).with_name("quickstart.py")
RATE = {"transformer": 1.0, "part": 0.3}
"""Architecture to its rates, relative to those of quickstart."""
OBJECTIVES = ("classify", "masked")
VARIATIONS = tuple(f"{a}-{o}" for a in RATE for o in OBJECTIVES)
CELLS = {"transformer": (slice(5), (500, 1_000, 2_000)), "part": (slice(1, 4), (500,))}
"""Architecture to its rungs of quickstart's ladder and its data sizes. ParticleTransformer of width
4 learns nothing from 500 jets with this recipe."""


def study() -> Study:
    """Cells of the quickstart study with the architecture and objective that VARIATION names.

    Both objectives share a folder, as runs from scratch are the same.
    """
    architecture, _, objective = os.environ.get("VARIATION", VARIATIONS[0]).partition("-")
    whole: Study = runpy.run_path(str(QUICKSTART))["study"]()
    rungs, data_sizes = CELLS[architecture]
    rates = Point(rate=RATE[architecture], pretraining_rate=RATE[architecture])
    recipe = rates.apply(whole.recipe)
    return replace(
        whole,
        name=f"families-{architecture}",
        ladder=whole.ladder[rungs],
        data_sizes=data_sizes,
        recipe=recipe.change(architecture=architecture, pretraining_objective=objective),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
