"""How well the board of a sweep schedules a cluster: ``python benchmarks/scheduling.py``.

A discrete-event simulation. The board is the one that sweeps use, fed with the runs that a study
plans and told of groups as Ray would tell it; only the clock, the nodes and the faults are made up.
About 10,000 runs on 1,000 workers of nodes of 4 to 64 CPUs:

- a group starts in 8 to 40 s (measured on two cores, idle and busy), and a request takes 5 ms;
- a run takes what the plan expects times a log-normal factor of 15% that the board does not know,
  a group of w workers w ** 0.9 times less, and loads for 0.3 s;
- workers die (once a day each), nodes are taken away (every 8 hours each, back after 10 minutes),
  and runs go on from checkpoints that are 60 s apart.

The lower bound is the larger of two: when the slots that are there could have done all the work of
one-worker runs, and the longest chain of a trunk and its follower on the most workers they may
have; both without any start, fault or idle moment. Results are in ``scheduling.md``.
"""

import argparse
import heapq
import math
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from jetscale.planning import Run, plan_runs
from jetscale.planning.board import Board
from jetscale.planning.timing import CORE
from jetscale.planning.workers import GAIN, Node
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study

WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128)
DATA = (500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000)
MOST = 8  # workers per run
CHECKPOINT, LOAD, ASK = 60.0, 0.3, 0.005  # seconds
SIGMA = 0.15  # of the logarithm of what a run takes over what was expected


def study(seeds: int) -> Study:
    """Four arms, eight sizes, eight data sizes: 280 runs per seed."""
    parts: tuple[dict[str, float], ...] = ({}, {"qcd": 1}, {"qcd": 1, "res2p": 1}, {"res2p": 1})
    names = ("scratch", "qcd", "qcd+bsm", "bsm")
    return Study(
        name="large",
        source=Simulated(train_jets=DATA[-1]),
        mixtures=tuple(Mixture(name=n, parts=p) for n, p in zip(names, parts, strict=True)),
        ladder=tuple(ModelSize(width=w, layers=2, heads=max(1, w // 16)) for w in WIDTHS),
        data_sizes=DATA,
        seeds=tuple(range(1, seeds + 1)),
        controls=Controls(
            pretraining_jets=100_000, validation_jets=1000, test_jets=20_000, epochs=10
        ),
    )


def cluster(workers: int, dice: random.Random) -> list[Node]:
    """Nodes of mixed size with so many workers in all."""
    nodes: list[Node] = []
    while (left := workers - sum(node.slots for node in nodes)) > 0:
        slots = min(left, dice.choice((4, 8, 16, 32, 64)))
        nodes.append(Node(name=f"node-{len(nodes)}", slots=slots))
    return nodes


@dataclass
class Faults:
    """Mean seconds between the deaths of a worker and the losses of a node; infinite for none."""

    worker: float = math.inf
    node: float = math.inf
    away: float = 600.0


@dataclass
class Simulation:
    """A sweep in simulated time."""

    board: Board
    nodes: list[Node]
    took: dict[str, float]  # seconds of each run on one worker
    faults: Faults
    dice: random.Random
    now: float = 0.0
    worked: float = 0.0  # slot-seconds of steps that count
    offered: float = 0.0  # slot-seconds that were there
    again: float = 0.0  # slot-seconds of steps that were made again
    starts: int = 0
    deaths: int = 0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _done: dict[str, float] = field(default_factory=dict)  # share of each run in its checkpoint
    _alive: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    _under: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    _count: int = 0

    def run(self) -> float:
        """The makespan in seconds."""
        self.board.set_nodes(self.nodes)
        for node in self.nodes:
            self._later(self.faults.node * self.dice.expovariate(1), self._lose, node)
        self._fill()
        while not self.board.done:
            at, _, event = heapq.heappop(self._events)
            self.offered += (at - self.now) * sum(node.slots for node in self.nodes)
            self.now = at
            event()
        return self.now

    def _later(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        if seconds < math.inf:
            self._count += 1
            entry = self.now + seconds, self._count, lambda: call(*arguments)
            heapq.heappush(self._events, entry)

    def _fill(self) -> None:
        while (start := self.board.next_start()) is not None:
            self.starts += 1
            group = f"group-{self.starts}"
            self.board.start(group, start)
            self._alive[group] = start.workers, start.nodes[0]
            self._later(self.dice.uniform(8, 40), self._ask, group)
            life = self.faults.worker / start.workers * self.dice.expovariate(1)
            self._later(life, self._die, group, "SIGKILL")

    def _ask(self, group: str) -> None:
        if group not in self._alive:
            return
        order = self.board.take(group)
        if order.retire:
            del self._alive[group]
            self.board.end(group)
            self._fill()
        elif order.runs:
            self._train(group, list(order.runs))
        else:
            self._later(0.2, self._ask, group)

    def _train(self, group: str, runs: list[Run]) -> None:
        if not runs:
            return self._later(ASK, self._ask, group)
        run, workers = runs[0], self._alive[group][0]
        whole = self.took[run.key] / workers**GAIN
        seconds = whole * (1 - self._done.get(run.key, 0.0)) + LOAD
        self._later(seconds, self._finish, group, runs, self.now, whole)
        self._under[group] = run.key, self.now + LOAD, whole
        return None

    def _finish(self, group: str, runs: list[Run], begun: float, whole: float) -> None:
        if group not in self._alive or self._under.get(group, ("", 0, 0))[0] != runs[0].key:
            return
        workers = self._alive[group][0]
        self.worked += workers * whole * (1 - self._done.get(runs[0].key, 0.0))
        del self._under[group]
        self.board.finish(group, runs[0].key)
        self._fill()
        self._train(group, runs[1:])

    def _die(self, group: str, why: str) -> None:
        if group not in self._alive:
            return
        self.deaths += 1
        workers, _ = self._alive.pop(group)
        if group in self._under:
            key, begun, whole = self._under.pop(group)
            made = max(0.0, self.now - begun)
            kept = made // CHECKPOINT * CHECKPOINT
            self._done[key] = min(1.0, self._done.get(key, 0.0) + kept / whole)
            self.worked += workers * kept
            self.again += workers * (made - kept)
        # the loss of a node is an eviction, the death of a worker a try of its run
        self.board.end(group, why if why == "SIGKILL" else "")
        self._fill()

    def _lose(self, node: Node) -> None:
        self.nodes = [other for other in self.nodes if other != node]
        self.board.set_nodes(self.nodes)
        for group in [g for g, (_, place) in self._alive.items() if place == node.name]:
            self._die(group, "node lost")
        self._later(self.faults.away, self._return, node)

    def _return(self, node: Node) -> None:
        self.nodes = [*self.nodes, node]
        self.board.set_nodes(self.nodes)
        self._later(self.faults.node * self.dice.expovariate(1), self._lose, node)
        self._fill()


def bound(runs: Sequence[Run], took: dict[str, float], slots: int) -> tuple[float, float]:
    """Seconds that all work takes on all slots, and that the longest chain takes."""
    fastest = {key: seconds / MOST**GAIN for key, seconds in took.items()}
    chains = [fastest[run.key] + fastest.get(run.trunk or "", 0.0) for run in runs]
    return sum(took.values()) / slots, max(chains)


def simulate(runs: Sequence[Run], workers: int, faults: Faults, seed: int) -> str:
    """A row of the table."""
    dice = random.Random(seed)
    took = {run.key: CORE.seconds(run) * dice.lognormvariate(0, SIGMA) for run in runs}
    nodes = cluster(workers, dice)
    board, begun = Board(runs, CORE.seconds, most=MOST), time.perf_counter()
    simulation = Simulation(board, nodes, took, faults, dice)
    makespan = simulation.run()
    spent = time.perf_counter() - begun
    work, chain = bound(runs, took, workers)
    ratio = min(simulation.offered / (work * workers), makespan / chain)
    efficiency = simulation.worked / simulation.offered
    return (
        f"| {len(runs)} | {workers} | {len(nodes)} | {seed} | {work / 3600:.2f} | "
        f"{chain / 3600:.2f} | {makespan / 3600:.2f} | {ratio:.3f} | {efficiency:.3f} | "
        f"{simulation.starts} | {simulation.deaths} | {len(board.given_up)} | "
        f"{simulation.again / (simulation.worked or 1):.2%} | "
        f"{1e3 * spent / simulation._count:.2f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=36, help="of the study (default %(default)s)")
    parser.add_argument("--workers", type=int, default=1000)
    arguments = parser.parse_args()
    runs = plan_runs(study(arguments.seeds))
    print(f"{date.today()}, Python {platform.python_version()}\n")
    print(
        "| runs | workers | nodes | seed | work / slots (h) | longest chain (h) | makespan (h) | "
        "over bound | efficiency | groups | died | given up | made again | ms per event |"
    )
    print("|" + "---|" * 14)
    for name, faults in (
        ("no faults", Faults()),
        ("faults", Faults(worker=86_400, node=8 * 3600)),
    ):
        print(f"| **{name}** |" + " |" * 13)
        for seed in (1, 2, 3):
            print(simulate(runs, arguments.workers, faults, seed), flush=True)
        for workers in (2, 16, 128):
            few = [run for run in runs if run.seed <= max(1, workers // 16)]
            print(simulate(few, workers, faults, 1), flush=True)


if __name__ == "__main__":
    main()
