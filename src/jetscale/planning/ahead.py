"""How long what is still to be done takes on the cores of this machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from jetscale.machines import JETS_PER_SECOND
from jetscale.planning.board import Board
from jetscale.planning.run import Run
from jetscale.planning.timing import CORE
from jetscale.planning.workers import Node
from jetscale.words import counted, duration

_START = 20.0  # seconds until Ray has its workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What is to be done and how long it takes: good to a factor of two, without GPUs."""

    slots: int  # cores
    jets: int  # to simulate
    runs: int  # to train
    training: float  # seconds on so many cores
    workers: dict[int, int]  # workers to the number of runs that get so many

    @property
    def simulation(self) -> float:
        """Seconds in which the cores make the jets."""
        return self.jets / JETS_PER_SECOND / self.slots

    @property
    def text(self) -> str:
        """The time in words: ``about 12 min on 2 cores: 3.2 min to simulate 58,000 jets, ...``."""
        whole = (_START + self.simulation + self.training) / 3600
        parts = [
            f"{duration(seconds / 3600)} to {what}"
            for seconds, what in (
                (self.simulation, f"simulate {self.jets:,} jets"),
                (self.training, f"train {counted(self.runs, 'run')}"),
            )
            if seconds
        ]
        return f"about {duration(whole)} on {counted(self.slots, 'core')}: {', '.join(parts)}"


def ahead(runs: Sequence[Run], jets: int, slots: int, most: int) -> Ahead:
    """What some ``runs``, of up to ``most`` workers each, and so many ``jets`` take."""
    board = Board(runs, CORE.seconds, most=most)
    board.set_nodes([Node(name="here", slots=slots)])
    workers, seconds = board.expect()
    return Ahead(slots=slots, jets=jets, runs=len(runs), training=seconds, workers=workers)
