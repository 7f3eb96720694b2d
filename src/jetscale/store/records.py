"""The records, failures and signs of life of one study: JSON files named by the run's key.

A record is never changed; a failure or a sign of life goes when the run has a record.
"""

import json
import os
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from jetscale.errors import Failure, StorageError
from jetscale.plan.former import former_keys
from jetscale.plan.identity import recipe_of
from jetscale.plan.run import Run
from jetscale.store import former
from jetscale.store.former import Former, upgrade_record
from jetscale.store.home import Home, StudyFolder
from jetscale.store.local import make_folder
from jetscale.store.record import SCHEMA, Record, parse_record
from jetscale.store.storage import LocalStorage, Storage
from jetscale.study import Study

HEARTBEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0  # a run without a sign of life for this long is not being trained any more


class RunState(StrEnum):
    """What is known of a planned run."""

    DONE = "done"
    RUNNING = "running"
    EVICTED = "evicted"  # its sweep was told to stop; it goes on from its checkpoint
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """State of one planned run, as `jetscale status` shows it."""

    key: str
    name: str
    kind: str
    mixture: str
    params: int
    examples: int
    seed: int
    state: RunState
    loss: float | None = None  # test loss of a finished fine-tuning run
    training_loss: float | None = None  # last training loss of a finished run
    step: int | None = None  # steps done of a run that is not finished, where it is known
    steps: int
    failure: Failure | None = None
    why: str | None = None  # one line for people; None for a finished run


class RecordStore:
    """Records, failures and signs of life of one study, in its folder or another ``storage``.

    ``former`` tells how to find results that version 0.1 left in the folder.
    """

    def __init__(
        self, folder: StudyFolder, former: Former | None = None, storage: Storage | None = None
    ) -> None:
        self.folder = folder
        self.former = former or Former()
        self.storage = LocalStorage(folder.path) if storage is None else storage
        self._read: dict[str, Record] = {}

    @classmethod
    def open(cls, study: Study, home: Home, runs: Sequence[Run]) -> Self:
        """The store of a study, which also finds the results of version 0.1."""
        keys = former_keys(study, runs)
        return cls(home.study(study), Former(keys=keys, recipe=recipe_of(study) if keys else {}))

    def prepare(self) -> None:
        """Make the folders; raises StorageError where that is refused."""
        for name in ("records", "failures", "running"):
            make_folder(self.folder.path / name)

    def write(self, record: Record) -> None:
        """Keep a finished run; its failure and sign of life go."""
        self.storage.write(f"records/{record.key}.json", record.to_json())
        self._read.pop(record.key, None)
        for folder in ("failures", "running"):
            self.storage.delete(f"{folder}/{record.key}.json")

    def write_failure(self, run: Run, failure: Failure) -> None:
        """Keep why a run failed, for `jetscale status`."""
        value = asdict(failure) | {"key": run.key, "name": run.name, "time": time.time()}
        self._write_json(f"failures/{run.key}.json", value)
        self.storage.delete(f"running/{run.key}.json")

    def beat(self, key: str, step: int, steps: int) -> None:
        """Say that a run is being trained right now."""
        value = {"step": step, "steps": steps, "host": socket.gethostname(), "pid": os.getpid()}
        self._write_json(f"running/{key}.json", value | {"time": time.time()})

    def evict(self, keys: Collection[str]) -> None:
        """Say of the runs that are being trained that their sweep was told to stop."""
        for name in self.storage.names("running"):
            if Path(name).stem in keys and (beat := self._read_json(name)):
                self._write_json(name, beat | {"evicted": True})

    def refresh(self) -> None:
        """Read every record again: another process may have trained a lost trunk anew."""
        self._read.clear()

    def keys(self) -> set[str]:
        """Keys of the runs that have a record file, without reading it."""
        found = {Path(name).stem for name in self.storage.names("records")}
        return found | {new for new, old in self.former.keys.items() if old in found}

    def read(self, key: str) -> Record | None:
        """The record of a run, None if missing or damaged; StorageError for an unknown schema."""
        record = self._read.get(key) or self._read_record(key)
        if record is not None:
            self._read[key] = record
        return record

    def read_all(self, keys: Iterable[str]) -> dict[str, Record]:
        """The records there are of some runs, by key; raises as `read`."""
        there = self.keys()
        found = {key: self.read(key) for key in keys if key in there}
        return {key: record for key, record in found.items() if record is not None}

    def count_others(self, keys: Collection[str]) -> int:
        """Number of records of runs that are not among these: the study had other settings."""
        mine = {*keys, *(self.former.keys.get(key) for key in keys)}
        return sum(Path(name).stem not in mine for name in self.storage.names("records"))

    def trunk(self, key: str) -> Path:
        """Weights of a pretraining run; the file need not be there."""
        path, before = self.folder.trunk(key), self.folder.trunk(self.former.keys.get(key, key))
        return before if not path.is_file() and before.is_file() else path

    def status(self, runs: Iterable[Run]) -> list[RunStatus]:
        """State of every planned run and why."""
        there = self.keys()
        return [self._status_of(run, there) for run in runs]

    def _status_of(self, run: Run, there: set[str]) -> RunStatus:
        same = ("key", "name", "kind", "params", "examples", "seed", "steps")
        known = {name: getattr(run, name) for name in same} | {"mixture": run.mixture.name}
        status = RunStatus(**known, state=RunState.MISSING, why="not started")
        record = self.read(run.key) if run.key in there else None
        if record is not None:
            status = replace(status, loss=record.loss, training_loss=record.training_loss)
            return replace(status, state=RunState.DONE, why=None)
        if run.key in there:
            status = replace(status, why="its record is damaged; `jetscale run` trains it again")
        if beat := self._read_json(f"running/{run.key}.json"):
            place = f"step {beat['step']} of {beat['steps']}"
            status = replace(status, step=beat["step"], why=f"interrupted at {place}")
            if beat.get("evicted"):
                return replace(status, state=RunState.EVICTED, why=f"evicted at {place}")
            if time.time() - beat["time"] < SILENT_SECONDS:
                return replace(status, state=RunState.RUNNING, why=place)
        if failed := self._read_json(f"failures/{run.key}.json"):
            failure = Failure(kind=failed.get("kind", "JetscaleError"), reason=failed["reason"])
            return replace(status, state=RunState.FAILED, failure=failure, why=failure.reason)
        return status

    def _read_record(self, key: str) -> Record | None:
        name = f"records/{key}.json"
        if (values := self._read_json(name)) is not None:
            return parse_record(values, name)
        name = f"records/{self.former.keys.get(key)}.json"
        if (values := self._read_json(name)) is None:
            return None
        if values.get("schema") != former.SCHEMA:
            raise StorageError(
                f"{name}: schema {values.get('schema')!r}, expected {former.SCHEMA} or {SCHEMA}"
            )
        pretraining_examples = 0
        if values.get("trunk"):
            trunk = self._read_json(f"records/{values['trunk']}.json")
            planned = self.former.recipe["data"]["pretraining_jets"]
            pretraining_examples = trunk["examples"] if trunk else planned
        return upgrade_record(values, self.former, name, pretraining_examples)

    def _read_json(self, name: str) -> dict[str, Any] | None:
        content = self.storage.read(name)
        try:
            value = None if content is None else json.loads(content)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self.storage.write(name, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def find_finished(store: RecordStore, runs: Sequence[Run]) -> set[str]:
    """Keys of the planned runs that need not be trained.

    A pretraining run whose trunk is gone is trained again if a missing run starts from it.
    """
    done = set(store.read_all(run.key for run in runs))
    needed = {run.trunk for run in runs if run.trunk and run.key not in done}
    return {key for key in done if key not in needed or store.trunk(key).is_file()}


def count_states(rows: Iterable[RunStatus]) -> dict[str, int]:
    """Number of runs in each state, in the order of `RunState`."""
    states = [row.state for row in rows]
    return {state.value: states.count(state) for state in RunState}
