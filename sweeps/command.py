"""Command: runs trained by a program of somebody else's, here a small network in numpy.

Question    Does pretraining on QCD jets help a network that sees sums over the constituents alone?
            The sweep is a pattern: put your own trainer in place of `sweeps/trainers/summed.py`.
Grid        2 mixtures x 3 widths x 3 data sizes x 2 seeds = 36 fine-tuning runs after 6
            pretrainings. N and FLOPs are those that the program tells, not those of the plan.
Command     jetscale run sweeps/command.py      (or: python sweeps/command.py)
Expect      A minute of training. Nothing about jets should be concluded from it.
"""

from jetscale.study import (
    Command,
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

TRAIN = (
    "{python} trainers/summed.py --width={width} --epochs={epochs} --batch={batch_size} "
    "--rate={learning_rate} --seed={seed} --train={train} --validation={validation} "
    "--test={test} --trunk={trunk} --save-trunk={save_trunk} --checkpoint={checkpoint} --out={out}"
)


def study() -> Study:
    """The study whose runs a command trains."""
    return Study(
        name="command",
        source=Simulated(train_jets=4_000, seed=1),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1.0})),
        ladder=tuple(ModelSize(width=width, layers=1, heads=1) for width in (4, 16, 64)),
        data_sizes=(500, 1_000, 2_000),
        seeds=(1, 2),
        recipe=Recipe(
            data=Data(pretraining_jets=4_000, constituents=32),
            schedule=Schedule(epochs=8, pretraining_epochs=4),
            optimiser=Optimiser(learning_rate=3e-3, width_exponent=0.0),
            evaluation=Evaluation(validation_jets=1_000, test_jets=2_000),
            trainer=Command(run=TRAIN, version=1),
        ),
    )


if __name__ == "__main__":
    from jetscale.cli import run_script

    run_script(__file__)
