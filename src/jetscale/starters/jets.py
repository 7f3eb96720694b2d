"""NAME: what is this study to find out?

Question    Is pretraining on QCD jets worth anything, and from how many downstream jets on is it
            not?
Next        jetscale plan NAME.py       what it trains and costs
            jetscale tune NAME.py       learning rates, searched alike for all mixtures
            jetscale power NAME.py      how small a difference it will detect
            jetscale run NAME.py        trains what is missing; then `jetscale fit NAME.py`
"""

from jetscale.study import (
    Data,
    Evaluation,
    Mixture,
    ModelSize,
    Optimiser,
    Recipe,
    Schedule,
    Simulated,
    Study,
)

# After `jetscale tune NAME.py`: from jetscale.study import load_optimiser, and in the recipe
# optimiser=load_optimiser(__file__)


def study() -> Study:
    """The study: what varies, and the recipe that does not."""
    return Study(
        name="NAME",
        # Jets of Pythia 8; published or own files instead: Folders(train="folder", ...)
        source=Simulated(train_jets=4_000, seed=1),
        # What is pretrained on, by share: qcd, res2p, res34p, or labels (`jetscale labels`).
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="qcd", parts={"qcd": 1.0}),
        ),
        # Three sizes of model and of data at least, for a law; two seeds tell the noise.
        ladder=(
            ModelSize(width=8, layers=1, heads=1),
            ModelSize(width=16, layers=1, heads=2),
            ModelSize(width=24, layers=2, heads=3),
        ),
        data_sizes=(500, 1_000, 2_000, 4_000),
        seeds=(1, 2),
        subsets=2,
        recipe=Recipe(
            data=Data(pretraining_jets=4_000, constituents=32),
            schedule=Schedule(epochs=4),
            optimiser=Optimiser(),
            evaluation=Evaluation(validation_jets=1_000, test_jets=4_000),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
