"""What a study of ten thousand runs costs beside the training: ``python benchmarks/studies.py``.

Plans the study of `scheduling.py` with more and more seeds, makes up a finished record of every run
(losses from a law with noise between seeds), and measures what a sweep and a person do with so many
of them: each step in a process of its own, its wall seconds without the start of Python, and the
peak of its resident memory. The exponent is the slope of log seconds over log runs between the
smallest and the largest study: 1 is linear. Results are in ``studies.md``.
"""

import argparse
import json
import os
import pickle
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from importlib.metadata import version
from math import log
from pathlib import Path

from scheduling import study

from jetscale.analysis import analyse
from jetscale.digests import digest
from jetscale.planning import Run, plan_runs
from jetscale.planning.board import Board
from jetscale.planning.identity import follow, recipe_of
from jetscale.planning.overview import overview
from jetscale.planning.timing import CORE
from jetscale.planning.workers import Node
from jetscale.scaling.tuning import collapse
from jetscale.store.home import Home
from jetscale.store.record import Record
from jetscale.store.records import RecordStore, count_states, find_finished
from jetscale.study import Study
from jetscale.study.rates import STARTS
from jetscale.sweep.follow import LiveMirror
from jetscale.sweep.runs import RunSource, load_curves, load_runs
from jetscale.sweep.worker import Job

SEEDS = (5, 9, 18, 36)
POINTS = 32  # of a training curve
NOISE = 0.01  # of the logarithm of the loss, between seeds
EFFECT = {"scratch": 0.0, "qcd": 0.02, "qcd+bsm": 0.04, "bsm": 0.03}  # of pretraining, on log loss


def made_up(asked: Study, runs: Sequence[Run]) -> list[Record]:
    """A finished record of every run, its loss by a law of N and D."""
    whole, dice = recipe_of(asked), random.Random(1)
    recipes = {start: follow(whole, asked.recipe.at(start)) for start in STARTS}
    digests = {start: digest(recipe) for start, recipe in recipes.items()}
    return [_record(asked, run, recipes[run.start], digests[run.start], dice) for run in runs]


def _record(
    asked: Study, run: Run, recipe: dict[str, object], told: str, dice: random.Random
) -> Record:
    pretraining = run.kind == "pretrain"
    loss = 0.4 + 30 / run.params**0.5 + 4 / run.examples**0.3
    loss *= 2.718 ** (dice.gauss(0, NOISE) - EFFECT[run.mixture.name])
    steps = [max(1, run.steps * (i + 1) // POINTS) for i in range(POINTS)]
    curve = [[step, loss * (1 + 3 / (step + 1) ** 0.5)] for step in steps]
    streams = {"pretrain" if pretraining else "train-0": "abc"}
    held_out = {} if pretraining else {"validation": "def", "test": "0123"}
    seconds = run.flops / 12e9
    same = ["key", "kind", "seed", "subset", "epochs", "trunk", "params", "params_non_embedding"]
    same += ["examples", "pretraining_examples", "steps", "peak_rate", "flops"]
    scores = {"accuracy": 0.5, "auc": 0.9, "rejections": {f"H{i}": 10.0 + i for i in range(10)}}
    return Record(
        **{name: getattr(run, name) for name in same},
        study=asked.name,
        mixture=run.mixture.name,
        parts=dict(run.mixture.parts),
        width=run.size.width,
        layers=run.size.layers,
        heads=run.size.heads,
        trunk_sha256=None,
        examples_seen=run.epochs * run.examples,
        constituents=37 * run.examples,
        tokens=40 * run.examples,
        flops_padded=2 * run.flops,
        flops_6nd=0.8 * run.flops,
        pretraining_flops=5e9 if run.trunk else 0.0,
        loss=None if pretraining else loss,
        validation_loss=None if pretraining else 1.01 * loss,
        training_loss=curve[-1][1],
        scores={} if pretraining else scores,
        validation_scores={} if pretraining else scores,
        curve={"training_loss": curve} | ({} if pretraining else {"validation_loss": curve[-3:]}),
        recipe=recipe,
        recipe_digest=told,
        streams=streams | held_out,
        timings={"batches": 0.1, "steps": seconds, "evaluation": 0.5, "total": seconds + 1},
        jets_per_second=1000.0,
        ranks=1,
        device="cpu",
        host="node",
        versions={"torch": version("torch"), "python": platform.python_version()},
        started=1000.0,
        finished=1000.0 + seconds,
    )


Step = Iterator[str]
"""Before its first value a step gets ready, then it is timed; the second value says what it did."""


class Steps:
    """What is measured, a method each."""

    def __init__(self, folder: Path, seeds: int) -> None:
        self.study, self.home = study(seeds), Home(folder / "runs")
        self.uri = f"sqlite:///{self.home.database}"

    def plan(self) -> Step:
        yield ""
        yield f"{len(plan_runs(self.study))} runs"

    def overview(self) -> Step:
        yield ""
        yield f"{overview(self.study)['core_hours']:,.0f} core hours"

    def job(self) -> Step:
        """What goes to every worker, packed and unpacked."""
        runs = plan_runs(self.study)
        folder, recipe = self.home.study(self.study), recipe_of(self.study)
        job = Job(study=self.study, folder=folder, streams={}, recipe=recipe, runs=runs)
        yield ""
        packed = pickle.dumps(job)
        pickle.loads(packed)
        yield f"{len(packed) / 1e6:.2f} MB"

    def board(self) -> Step:
        """Hand out every run to 1,000 workers one after another."""
        runs = plan_runs(self.study)
        yield ""
        board = Board(runs, CORE.seconds)
        board.set_nodes([Node(name=f"node-{i}", slots=10) for i in range(100)])
        groups: list[str] = []
        while (start := board.next_start()) is not None:
            groups.append(f"group-{len(groups)}")
            board.start(groups[-1], start)
        while not board.done:
            for group in groups:
                for run in board.take(group).runs:
                    board.finish(group, run.key)
        yield f"{len(groups)} groups"

    def write(self) -> Step:
        """Leave the records, as workers do."""
        runs = plan_runs(self.study)
        records, store = made_up(self.study, runs), self.store(runs)
        store.prepare()
        yield ""
        for record in records:
            store.write(record)
        size = sum(path.stat().st_size for path in (store.folder.path / "records").iterdir())
        yield f"{size / len(records) / 1e3:.1f} kB each"

    def status(self) -> Step:
        runs = plan_runs(self.study)
        yield ""
        yield f"{count_states(self.store(runs).status(runs))['done']} done"

    def finished(self) -> Step:
        """What is left to do, at the start of a sweep."""
        runs = plan_runs(self.study)
        yield ""
        yield f"{len(find_finished(self.store(runs), runs))} done"

    def names(self) -> Step:
        """Which runs have a record: a sweep looks once a second."""
        store = self.store(plan_runs(self.study))
        yield ""
        yield f"{len(store.keys())} names"

    def mirror(self) -> Step:
        """Into a new MLflow."""
        live = self.live()
        live.store.read_all(live.keys)
        yield ""
        yield self.pushed(live)

    def mirrored(self) -> Step:
        """Nothing is new, in a process that has just begun."""
        live = self.live()
        yield ""
        yield self.pushed(live)

    def again(self) -> Step:
        """Nothing is new in a sweep, which looks every 20 s."""
        live = self.live()
        self.pushed(live)
        yield ""
        yield self.pushed(live)

    def records(self) -> Step:
        """The run table from the files."""
        yield ""
        frame, _ = load_runs(self.study, self.home, self.uri, RunSource.RECORDS)
        yield f"{len(frame)} rows"

    def tracked(self) -> Step:
        """The run table from MLflow."""
        yield ""
        frame, _ = load_runs(self.study, self.home, self.uri, RunSource.MLFLOW)
        yield f"{len(frame)} rows"

    def fit(self) -> Step:
        """What `jetscale fit` computes from the run table."""
        frame, _ = load_runs(self.study, self.home, self.uri, RunSource.RECORDS)
        yield ""
        found = analyse(frame, parts=("paired", "fits", "diagnostics", "conventions"))
        yield f"{len(found.fits.mixtures) if found.fits else 0} laws"

    def collapse(self) -> Step:
        """Whether the training curves collapse, which `jetscale fit` shows too."""
        yield ""
        curves = load_curves(self.study, self.home) or []
        yield f"{len(collapse(curves).rungs)} rungs"

    def store(self, runs: Sequence[Run]) -> RecordStore:
        return RecordStore.open(self.study, self.home, runs)

    def live(self) -> LiveMirror:
        return LiveMirror(self.study, self.home, plan_runs(self.study), self.uri)

    def pushed(self, live: LiveMirror) -> str:
        added = live.push()
        if live.behind:
            raise SystemExit(live.behind)
        return f"{added} new"


STEPS: dict[str, tuple[str, Callable[[Steps], Step]]] = {
    "plan": ("plan_runs", Steps.plan),
    "overview": ("`jetscale plan`", Steps.overview),
    "board": ("all runs handed out", Steps.board),
    "job": ("the job of a worker, packed and unpacked", Steps.job),
    "write": ("records written", Steps.write),
    "finished": ("find what is left", Steps.finished),
    "status": ("`jetscale status`", Steps.status),
    "names": ("one look of a sweep", Steps.names),
    "records": ("run table from the files", Steps.records),
    "fit": ("`jetscale fit`, laws", Steps.fit),
    "collapse": ("`jetscale fit`, curves", Steps.collapse),
    "mirror": ("into a new MLflow", Steps.mirror),
    "mirrored": ("nothing new, first look", Steps.mirrored),
    "again": ("nothing new, next look", Steps.again),
    "tracked": ("run table from MLflow", Steps.tracked),
}
MLFLOW = ("mirror", "mirrored", "again", "tracked")


def do(step: str, seeds: int, folder: Path) -> dict[str, object]:
    """A step in this process: seconds of wall and processor, peak memory, and what it did."""
    work = STEPS[step][1](Steps(folder, seeds))
    next(work)
    began, busy = time.perf_counter(), time.process_time()
    told = next(work)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "cpu": cpu, "peak": peak, "did": told}


def measured(step: str, seeds: int, folder: Path) -> dict[str, float]:
    """A step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--seeds", str(seeds)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{step} with {seeds} seeds failed")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the table, or do one step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="of each study")
    parser.add_argument("--most", type=int, default=SEEDS[-1], help="seeds that MLflow is given")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder")
    options = parser.parse_args()
    if options.step:
        print(json.dumps(do(options.step, options.seeds[0], options.folder)))
        return
    names = ("ray", "mlflow", "pandas", "numpy")
    print(
        f"{date.today()}, {', '.join(f'{name} {version(name)}' for name in names)}, Python", end=""
    )
    print(f" {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| step | runs | did | wall (s) | CPU (s) | peak (MB) | exponent of CPU |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for step in options.steps:
            rows: list[tuple[int, float]] = []
            for seeds in options.seeds:
                if step in MLFLOW and seeds > options.most:
                    continue
                found = measured(step, seeds, Path(name) / str(seeds))
                rows.append((seeds, found["cpu"]))
                slope = ""
                if len(rows) > 1 and rows[0][1] > 0.05:
                    (few, low), (many, high) = rows[0], rows[-1]
                    slope = f"{log(high / low) / log(many / few):.2f}"
                told = f"{found['did']} | {found['seconds']:.2f} | {found['cpu']:.2f}"
                memory = f"{found['peak'] / 1e6:.0f}"
                print(
                    f"| {STEPS[step][0]} | {280 * seeds:,} | {told} | {memory} | {slope} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
