"""What results print, for one made-up table of runs and one small study, and what they printed.

    python -m golden.texts              # in tests/: print the texts of now that differ
    python -m golden.texts --write      # keep those of now; look at them with git diff

A text that changes while nobody meant it to is a mistake; one that was changed is written anew. The
numbers in them have few digits, so other processors and libraries give the same.
"""

import difflib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import jetscale as js
from jetscale.display import console
from jetscale.scaling import StudyFit
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study

FOLDER = Path(__file__).parent / "texts"
WIDTH = 80
STUDY = Study(
    name="small",
    source=Simulated(train_jets=4000),
    mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
    ladder=tuple(ModelSize(width=width, layers=1, heads=1) for width in (8, 16, 32)),
    data_sizes=(500, 1000, 2000),
    seeds=(1, 2),
    controls=Controls(pretraining_jets=2000, validation_jets=100, test_jets=500),
)


def runs() -> pd.DataFrame:
    """Runs of two known laws with 1% between seeds.

    Only `numpy.random.Generator.random` is drawn from: its numbers are the same in every version.
    """
    random = np.random.Generator(np.random.PCG64(1))
    rows = [
        (name, n, d, seed, height * (0.5 + 20 / n**0.45 + c / d**0.42))
        for name, height, c in (("scratch", 1.0, 30), ("qcd", 0.97, 20))
        for n in (1e3, 3e3, 1e4, 3e4, 1e5)
        for d in (1e3, 4e3, 16e3, 64e3)
        for seed in (1, 2)
    ]
    frame = pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "loss"])
    noise = random.random((len(frame), 12)).sum(axis=1) - 6  # of variance 1, nearly normal
    return frame.assign(loss=frame["loss"] * np.exp(0.01 * noise))


def laws() -> StudyFit:
    """The laws that several texts are about."""
    return js.fit(runs(), replicates=100)


TEXTS: dict[str, Callable[[], object]] = {
    "allocate": lambda: js.allocate(laws(), 1e10),
    "answer": lambda: js.answer(laws()),
    "compare": lambda: js.compare(laws()),
    "fit": laws,
    "paired": lambda: js.paired(runs()),
    "plan": lambda: js.plan(STUDY, slots=2),
    "power": lambda: js.power(STUDY, simulations=10),
}
"""What makes each text."""


@cache
def result(name: str) -> Any:
    """What a text is of, made once: some take seconds."""
    return TEXTS[name]()


def text(name: str) -> str:
    """The text of now, as in a terminal of `WIDTH` columns."""
    console._terminal.width = WIDTH
    return f"{result(name)}\n"


def difference(name: str, now: str) -> str:
    """The lines that changed since the text was kept; empty without any."""
    path = FOLDER / f"{name}.txt"
    kept = path.read_text() if path.is_file() else ""
    lines = difflib.unified_diff(kept.splitlines(), now.splitlines(), "kept", "now", lineterm="")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Print what differs, or write the texts."""
    for name in TEXTS:
        now = text(name)
        print(name, difference(name, now) or "as it was", sep="\n")
        if "--write" in arguments:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / f"{name}.txt").write_text(now)


if __name__ == "__main__":
    main(sys.argv[1:])
