"""A sweep under faults for ten minutes, compared to the last bit: ``python benchmarks/soak.py``.

A sweep of tiny runs is trained twice: in one process, without Ray and undisturbed, and at the same
time by `jetscale run` on two workers, mirroring to a real MLflow server, while every 20 s a fault
drawn with a seed hits it: workers and the driver are killed or told to end, the server dies for a
while, and checkpoints, trunks and records are damaged. In the end `jetscale run` is called until
the sweep is done, and the records, and what MLflow shows of them, must be those of the undisturbed
sweep. The exit code is 1 where anything differs. An objective beside the sweep counts the optimiser
steps that are made, so the steps made again are known exactly; those after a fault are the ones
made until the next fault less what records and checkpoints gained, good to a checkpoint. Results
are in ``soak.md``.
"""

import argparse
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from scale import tree
from soak_sweep import Server, make_sweep, numbers_of, train_undisturbed

from jetscale.planning import Run, plan_runs
from jetscale.store.checkpoints import Checkpoint
from jetscale.store.home import Home
from jetscale.store.record import make_table
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.study.load import load_study
from jetscale.sweep.runs import RunSource, load_runs

INTERVAL = 20.0  # seconds between two faults
CALLS = 6  # of `jetscale run` that may be needed to end the sweep after the last fault
PATIENCE = 1800.0  # seconds that one of them may take


@dataclass
class Soak:
    """The sweep that is disturbed, and what was done to it."""

    path: Path
    runs: tuple[Run, ...]
    home: Home
    store: RecordStore
    server: Server
    dice: random.Random
    driver: subprocess.Popen[bytes] | None = None
    codes: list[int] = field(default_factory=list)  # of drivers that ended by themselves
    calls: int = 0

    def drive(self) -> subprocess.Popen[bytes]:
        """The driver, started where none runs."""
        if self.driver is not None and self.driver.poll() is not None:
            self.codes.append(self.driver.returncode)
            self.driver = None
        if self.driver is None:
            self.calls += 1
            command = [sys.executable, "-m", "jetscale", "run", str(self.path)]
            environment = os.environ | {"JETSCALE_HOME": str(self.home.path)}
            environment["MLFLOW_TRACKING_URI"] = self.server.uri
            with (self.path.parent / f"driver-{self.calls}.log").open("wb") as log:
                self.driver = subprocess.Popen(
                    [*command, "--checkpoint-seconds", "1"], env=environment, stdout=log, stderr=log
                )
        return self.driver

    def made(self) -> int:
        """Optimiser steps made so far, by all processes that ever were."""
        counts = (path.read_bytes() for path in (self.path.parent / "steps").iterdir())
        return sum(int.from_bytes(count, "little") for count in counts)

    def kept(self) -> int:
        """Optimiser steps that records and checkpoints hold."""
        self.store.refresh()
        records = self.store.read_all(run.key for run in self.runs)
        steps = sum(record.steps for record in records.values())
        files = (self.store.folder.path / "checkpoints").glob("*.pt")
        for key in {path.name.split(".")[0] for path in files} - records.keys():
            state = Checkpoint(self.store.folder.checkpoint(key)).load(key)
            steps += int(state["step"]) if state else 0
        return steps

    def worker(self, number: int) -> str:
        """Send a signal to a worker that trains; empty where there is none."""
        driver, found = self.drive(), []
        for process in tree(driver.pid):
            with suppress(OSError):
                if b"RayTrainWorker" in Path(f"/proc/{process}/cmdline").read_bytes():
                    found.append(process)
        if not found:
            return ""
        os.kill(chosen := self.dice.choice(sorted(found)), number)
        return f"process {chosen}, one of {len(found)}"

    def end_driver(self, number: int) -> str:
        """Send a signal to the driver, wait for its end, and start it again."""
        driver = self.drive()
        driver.send_signal(number)
        code = driver.wait(PATIENCE)
        self.driver = None
        self.drive()
        return f"ended with {code}"

    def kill_server(self) -> str:
        """Kill MLflow until the next fault."""
        self.server.kill()
        return "until the next fault"

    def chosen(self, folder: str, pattern: str = "*") -> Path | None:
        """A file of the study, drawn."""
        found = sorted((self.store.folder.path / folder).glob(pattern))
        return self.dice.choice(found) if found else None

    def flip(self, folder: str) -> str:
        """Change a byte in the middle of a file, as a bad disk does."""
        path = self.chosen(folder, "*.pt")
        with suppress(OSError):  # it was removed meanwhile
            if path is not None:
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 255
                with path.open("r+b") as file:
                    file.write(content)
                return path.name
        return ""

    def delete_trunk(self) -> str:
        """Remove a trunk."""
        path = self.chosen("trunks", "*.pt")
        if path is None:
            return ""
        path.unlink()
        return path.name

    def tear_record(self) -> str:
        """Cut a record in half."""
        path = self.chosen("records", "*.json")
        if path is None:
            return ""
        os.truncate(path, path.stat().st_size // 2)
        return path.name


FAULTS: dict[str, Callable[[Soak], str]] = {
    "worker killed": lambda soak: soak.worker(signal.SIGKILL),
    "worker told to end": lambda soak: soak.worker(signal.SIGTERM),
    "driver killed": lambda soak: soak.end_driver(signal.SIGKILL),
    "driver told to end": lambda soak: soak.end_driver(signal.SIGTERM),
    "MLflow killed": Soak.kill_server,
    "checkpoint altered": lambda soak: soak.flip("checkpoints"),
    "trunk altered": lambda soak: soak.flip("trunks"),
    "trunk deleted": Soak.delete_trunk,
    "record torn": Soak.tear_record,
}


def disturb(soak: Soak, seconds: float) -> tuple[bool, dict[str, list[int]]]:
    """Faults for so long; whether the sweep was done then, and the steps made again by fault.

    Every kind comes once, in an order that is drawn, before one comes again; one that finds nothing
    to damage waits for the next turn.
    """
    begun, names, again = time.monotonic(), list[str](), dict[str, list[int]]()
    made, kept, last = soak.made(), soak.kept(), ""
    while time.monotonic() - begun < seconds:
        time.sleep(INTERVAL)
        soak.drive()
        if last:
            now, held = soak.made(), soak.kept()
            again[last][-1] += now - made - (held - kept)
            made, kept = now, held
        soak.server.up()
        names = names or soak.dice.sample(list(FAULTS), len(FAULTS))
        for name in tuple(names):
            if told := FAULTS[name](soak):
                names.remove(last := name)
                again.setdefault(name, []).append(0)
                at, records = time.monotonic() - begun, len(soak.store.keys())
                print(f"{at:4.0f} s, {records} records: {name}, {told}", flush=True)
                break
    done = finish(soak)
    if last:
        again[last][-1] += soak.made() - made - (soak.kept() - kept)
    return done, again


def finish(soak: Soak) -> bool:
    """Drive the sweep to its end; whether every planned run is done."""
    soak.server.up()
    soak.server.wait()
    for _ in range(CALLS):
        code = soak.drive().wait(PATIENCE)
        soak.store.refresh()
        states = {row.state.value for row in soak.store.status(soak.runs)}
        print(f"`jetscale run` ended with {code}, states: {', '.join(sorted(states))}", flush=True)
        if code == 0 and states == {"done"}:
            return True
    return False


def differences(soak: Soak, study: Study, undisturbed: dict[str, str]) -> list[str]:
    """Everything in which the sweep differs from the undisturbed one, a line each."""
    found = numbers_of(soak.store)
    wrong = [f"run {key} is missing" for key in undisturbed.keys() - found.keys()]
    wrong += [f"run {k} is none of the sweep" for k in found.keys() - undisturbed.keys()]
    wrong += [
        f"run {key}: {found[key]} instead of {numbers}"
        for key, numbers in undisturbed.items()
        if key in found and found[key] != numbers
    ]
    shown, _ = load_runs(study, soak.home, soak.server.uri, RunSource.MLFLOW)
    kept = make_table(soak.store.read_all(run.key for run in soak.runs).values())
    columns = ["key", "loss", "validation_loss", "flops", "steps", "tokens"]
    tables = [table.sort_values("key")[columns].reset_index(drop=True) for table in (shown, kept)]
    if not tables[0].equals(tables[1]):
        wrong.append("MLflow shows another table")
    left = sorted(path.name for path in (soak.store.folder.path / "checkpoints").glob("*"))
    wrong += [f"checkpoint {name} was left" for name in left]
    logs = sorted(soak.path.parent.glob("driver-*.log"))
    return wrong + [f"{log.name} has a traceback" for log in logs if "Traceback" in log.read_text()]


def main() -> int:
    """Print the faults, what they cost, and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=40, help="of the sweep, five runs each")
    parser.add_argument("--epochs", type=int, default=80, help="of each run: how long it takes")
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder")
    options = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
    libraries = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "mlflow"))
    print(f"{date.today()}, {libraries}, Python {platform.python_version()},", end=" ")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        return soak_in(Path(name), options)


def soak_in(folder: Path, options: argparse.Namespace) -> int:
    """Train the sweep twice below a folder, the second time under faults; the exit code."""
    path = make_sweep(folder, options.seeds, options.epochs)
    sys.path.insert(0, str(folder))
    study = load_study(path)
    runs, home, server = plan_runs(study), Home(folder / "runs"), Server(folder)
    needed = sum(run.steps for run in runs)
    print(f"{len(runs)} runs, {needed} steps\n", flush=True)
    store = RecordStore.open(study, home, runs)
    soak = Soak(path, runs, home, store, server, random.Random(options.seed))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        expected = pool.submit(train_undisturbed, path)
        try:
            server.up()
            server.wait()
            soak.drive()
            begun = time.monotonic()
            done, again = disturb(soak, 60 * options.minutes)
            seconds, made = time.monotonic() - begun, soak.made()
            wrong = differences(soak, study, expected.result())
        finally:
            if soak.driver is not None:
                soak.driver.kill()
            server.kill()
    print("\n| fault | how often | steps made again, up to the next fault |\n|---|---|---|")
    for fault, steps in again.items():
        print(f"| {fault} | {len(steps)} | {', '.join(map(str, steps))} |")
    print(f"\n{seconds:.0f} s, {soak.calls} drivers; {made - needed} steps made again", end=" ")
    print(f"({(made - needed) / needed:.1%} of {needed})")
    for line in wrong:
        print(line[:500])
    verdict = "the same to the last bit" if done and not wrong else "DIFFERENT"
    print(f"verdict: {verdict}")
    return 0 if done and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
