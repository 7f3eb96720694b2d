"""The records, failures and signs of life of one study: JSON files named by the run's key.

A record is never changed; a failure or a sign of life goes when the run has a record.
"""

import json
import os
import reprlib
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import pandas as pd

from jetscale.errors import Failure
from jetscale.planning.former import former_keys
from jetscale.planning.identity import follow, recipe_of
from jetscale.planning.run import Run
from jetscale.shown import Shown, frame_of, row_of
from jetscale.store import former
from jetscale.store.former import Former, upgrade_record
from jetscale.store.home import Home, StudyFolder
from jetscale.store.local import clear_scratch, fits, make_folder, read_json, sha256_of
from jetscale.store.record import BadRecord, Record, check_record, parse_record
from jetscale.store.storage import Storage
from jetscale.study import Study

HEARTBEAT_SECONDS = 5.0
_PLANNED = (
    *("kind", "seed", "subset", "epochs", "trunk", "examples", "steps"),
    *("params", "params_non_embedding"),
)  # fields that a planned run has in common with its record
_TOLD = {"steps", "params", "params_non_embedding"}  # that a command may know better
_BEAT = {"step": int, "steps": int, "time": float}
SILENT_SECONDS = 60.0  # a run without a sign of life for this long is not being trained any more
STALLED_SECONDS = 300.0  # a run is not said to have stalled before its step stood still so long,
STALLED_STEPS = 20  # nor before it could have made so many steps,
STALLED_SHARE = 0.1  # nor for a validation, which takes at most this share of its training


class RunState(StrEnum):
    """What is known of a planned run."""

    DONE = "done"
    DAMAGED = "damaged"  # its record is refused; `jetscale run` trains it again
    RUNNING = "running"
    STALLED = "stalled"  # its worker lives, but its step does not move
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Shown):
    """State of every planned run of a study, or of its search."""

    study: str
    others: int = 0  # records made with other settings, kept beside these
    runs: tuple[RunStatus, ...]

    def __json__(self) -> dict[str, Any]:
        return {**count_states(self.runs), "others": self.others, "runs": self.runs}

    def to_frame(self) -> pd.DataFrame:
        """Return a row per run."""
        columns = "key name kind mixture params examples seed state loss training_loss step steps"
        return frame_of(map(row_of, self.runs), f"{columns} why")


class RecordStore:
    """Records, failures and signs of life of one study, in its folder or another ``storage``.

    ``former`` tells how to find results that version 0.1 left in the folder. What a record says of
    its run is compared with the planned ``runs``; ``damaged`` has the key of each record read that
    is refused, and why.
    """

    def __init__(
        self,
        folder: StudyFolder,
        former: Former | None = None,
        storage: Storage | None = None,
        runs: Iterable[Run] = (),
    ) -> None:
        self.folder = folder
        self.former = former or Former()
        self.storage = folder.storage if storage is None else storage
        self.planned = {run.key: run for run in runs}
        self.damaged: dict[str, str] = {}
        self._read: dict[str, Record] = {}
        self._recipes: dict[str, dict[str, Any]] = {}  # one of each digest for all records

    @classmethod
    def open(cls, study: Study, home: Home, runs: Sequence[Run]) -> Self:
        """The store of a study, which also finds the results of version 0.1."""
        keys = former_keys(study, runs)
        former = Former(keys=keys, recipe=recipe_of(study) if keys else {})
        return cls(home.study(study), former, runs=runs)

    def prepare(self) -> None:
        """Make the folders, clear of half files; raises StorageError where that is refused."""
        make_folder(self.folder.path)
        for place in (self.folder.home.path, self.folder.path):
            clear_scratch(place)
        for name in () if self.folder.address else ("records", "failures", "running"):
            make_folder(self.folder.path / name)

    def write(self, record: Record) -> None:
        """Keep a finished run; its failure and sign of life go, a damaged record is set aside."""
        name = f"records/{record.key}.json"
        if self.damaged.pop(record.key, None) and (content := self.storage.read(name)) is not None:
            self.storage.write(f"damaged/{record.key}.json", content)
        self.storage.write(name, record.to_json())
        self._read.pop(record.key, None)
        for folder in ("failures", "running"):
            self.storage.delete(f"{folder}/{record.key}.json")

    def write_failure(self, run: Run, failure: Failure) -> None:
        """Keep why a run failed, for `jetscale status`."""
        value = asdict(failure) | {"key": run.key, "name": run.name, "time": time.time()}
        self._write_json(f"failures/{run.key}.json", value)
        self.storage.delete(f"running/{run.key}.json")

    def failed_at(self, key: str) -> float:
        """Unix time at which a run failed; 0 where nothing says that it did."""
        failure = self._read_json(f"failures/{key}.json", time=float)
        return float(failure["time"]) if failure else 0.0

    def beat(
        self, key: str, step: int, steps: int, *, still: float = 0.0, pace: float = 0.0
    ) -> None:
        """Say that a run is being trained right now.

        ``still`` is for how many seconds its step has not moved, ``pace`` the seconds that a step
        took so far, 0 before the first.
        """
        value = {"step": step, "steps": steps, "host": socket.gethostname(), "pid": os.getpid()}
        value |= {"still": still, "pace": pace, "time": time.time()}
        self._write_json(f"running/{key}.json", value)

    def step_of(self, key: str) -> int:
        """Steps that an unfinished run had made when it was last heard of."""
        beat = self._read_json(f"running/{key}.json", **_BEAT)
        return int(beat["step"]) if beat else 0

    def evict(self, keys: Collection[str]) -> None:
        """Say of the runs that are being trained that their sweep was told to stop."""
        for name in self.storage.names("running"):
            if Path(name).stem in keys and (beat := self._read_json(name, **_BEAT)):
                self._write_json(name, beat | {"evicted": True})

    def refresh(self) -> None:
        """Read every record again: another process may have trained a lost trunk anew."""
        self._read.clear()
        self.damaged.clear()

    def keys(self) -> set[str]:
        """Keys of the runs that have a record file, without reading it."""
        found = {
            name.removeprefix("records/").removesuffix(".json")
            for name in self.storage.names("records")
        }
        return found | {new for new, old in self.former.keys.items() if old in found}

    def read(self, key: str) -> Record | None:
        """The record of a run, None if missing or damaged; StorageError for a later schema."""
        if key not in self._read:
            self.damaged.pop(key, None)
            try:
                record = self._read_record(key)
            except BadRecord as error:
                self.damaged[key], record = str(error), None
            if record is None:
                return None
            self._read[key] = record
        return self._read[key]

    def read_all(self, keys: Iterable[str]) -> dict[str, Record]:
        """The records there are of some runs, by key; raises as `read`."""
        there = self.keys()
        found = {key: self.read(key) for key in keys if key in there}
        return {key: record for key, record in found.items() if record is not None}

    def check(self, record: Record, key: str, name: str) -> None:
        """Raise BadRecord where a record, called ``name``, is not that of the run of this key."""
        check_record(record, name)
        wanted: dict[str, Any] = {"key": key}
        if run := self.planned.get(key):
            # an equal-FLOPs budget decides the jets of a pretraining run when it is trained
            free = {"examples", "steps"} if run.kind == "pretrain" else set[str]()
            free |= _TOLD if run.by_command else set()
            wanted |= {field: getattr(run, field) for field in _PLANNED if field not in free}
            wanted |= {"mixture": run.mixture.name, "parts": dict(run.mixture.parts)}
            wanted |= asdict(run.size) | {"recipe": follow(record.recipe, run.recipe)}
        for field, value in wanted.items():
            if (found := getattr(record, field)) != value:
                words = f"{field} is {reprlib.repr(found)}, needs {reprlib.repr(value)}"
                raise BadRecord(f"{name}: {words}; remove the file")

    def count_others(self, keys: Collection[str]) -> int:
        """Number of records of runs that are not among these: the study had other settings."""
        mine = {*keys, *(self.former.keys.get(key) for key in keys)}
        return sum(Path(name).stem not in mine for name in self.storage.names("records"))

    def trunk(self, key: str) -> Path:
        """Weights of a pretraining run; the file need not be there."""
        path, before = self.folder.trunk(key), self.folder.trunk(self.former.keys.get(key, key))
        return before if not path.is_file() and before.is_file() else path

    def has_trunk(self, key: str) -> bool:
        """Whether the weights of a pretraining run are at `trunk` and those of its record.

        They are fetched from the address of the results where they are not. A record from before
        files were told apart takes any.
        """

        def right(path: Path) -> bool:
            record = self.read(key)
            wanted = record.trunk_sha256 if record else None
            return path.is_file() if wanted is None else sha256_of(path) == wanted

        if right(self.trunk(key)):
            return True
        self._read.pop(key, None)  # another process may have trained it again since
        for name in (key, self.former.keys.get(key, key)):
            if self.folder.fetch(self.folder.trunk(name)):
                break
        return right(self.trunk(key))

    def status(self, runs: Iterable[Run]) -> list[RunStatus]:
        """State of every planned run and why."""
        there = self.keys()
        told = {name for kind in ("running", "failures") for name in self.storage.names(kind)}
        return [self._status_of(run, there, told) for run in runs]

    def _status_of(self, run: Run, there: set[str], told: set[str]) -> RunStatus:
        same = ("key", "name", "kind", "params", "examples", "seed", "steps")
        known = {name: getattr(run, name) for name in same} | {"mixture": run.mixture.name}
        status = RunStatus(**known, state=RunState.MISSING, why="not started")
        record = self.read(run.key) if run.key in there else None
        if record is not None:
            status = replace(status, loss=record.loss, training_loss=record.training_loss)
            return replace(status, state=RunState.DONE, why=None)
        if run.key in there:
            status = replace(status, state=RunState.DAMAGED, why=self.damaged[run.key])
        running, failure = f"running/{run.key}.json", f"failures/{run.key}.json"
        if running in told and (beat := self._read_json(running, **_BEAT)):
            place = f"step {beat['step']} of {beat['steps']}"
            if run.by_command:  # which does not tell its steps
                place = "its command"
            status = replace(status, step=beat["step"], why=f"interrupted at {place}")
            if beat.get("evicted"):
                return replace(status, state=RunState.EVICTED, why=f"evicted at {place}")
            if time.time() - beat["time"] < SILENT_SECONDS:
                if (still := _stalled(beat)) is None:
                    return replace(status, state=RunState.RUNNING, why=place)
                why = f"{place} for {still / 60:.0f} minutes on {beat.get('host')}"
                return replace(status, state=RunState.STALLED, why=f"{why}; stop it and run again")
        if failure in told and (failed := self._read_json(failure, reason=str)):
            kind = str(failed.get("kind", "JetscaleError"))
            found = Failure(kind=kind, reason=failed["reason"])
            return replace(status, state=RunState.FAILED, failure=found, why=found.reason)
        return status

    def _read_record(self, key: str) -> Record | None:
        name, old = f"records/{key}.json", self.former.keys.get(key)
        content = self.storage.read(name)
        if content is None and old is not None:
            name = f"records/{old}.json"
            content = self.storage.read(name)
        if content is None:
            return None
        place = self.folder.shown(self.folder.path / name)
        if (values := read_json(content)) is None:
            raise BadRecord(f"{place}: not a JSON object; remove the file")
        if values.get("schema") == former.SCHEMA and Path(name).stem == old:
            record = upgrade_record(values, self.former, place, self._former_examples(values))
        else:
            record = parse_record(values, place)
        self.check(record, key, place)
        return replace(record, recipe=self._recipes.setdefault(record.recipe_digest, record.recipe))

    def _former_examples(self, values: Mapping[str, Any]) -> int:
        """Pretraining examples of a record of version 0.1, whose trunk's record may be lost."""
        if values.get("trunk") not in self.former.keys.values():
            return 0
        trunk = self._read_json(f"records/{values['trunk']}.json", examples=int)
        planned: int = self.former.recipe["data"]["pretraining_jets"]
        return trunk["examples"] if trunk else planned

    def _read_json(self, name: str, **kinds: Any) -> dict[str, Any] | None:
        """A JSON object with fields of these types; None where there is none."""
        value = read_json(self.storage.read(name) or b"")
        good = value and all(fits(value.get(field), kind) for field, kind in kinds.items())
        return value if good else None

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self.storage.write(name, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def _stalled(beat: Mapping[str, Any]) -> float | None:
    """Seconds for which a run has stalled by its sign of life; None where it has not.

    After the last step it scores its jets, for as long as that takes.
    """
    if not all(fits(beat.get(name), float) for name in ("still", "pace")):
        return None  # written by an older version
    still, pace, steps = float(beat["still"]), float(beat["pace"]), beat["steps"]
    limit = max(STALLED_SECONDS, STALLED_STEPS * pace, STALLED_SHARE * steps * pace)
    return still if still > limit and beat["step"] < steps else None


def find_finished(
    store: RecordStore, runs: Sequence[Run], wanted: Collection[str] = ()
) -> set[str]:
    """Keys of the planned runs that need not be trained.

    A pretraining run whose trunk is gone, or not the one of its record, is trained again if a
    missing run starts from it, or if it is ``wanted``.
    """
    done = set(store.read_all(run.key for run in runs))
    needed = {run.trunk for run in runs if run.trunk and run.key not in done} | set(wanted)
    return {key for key in done if key not in needed or store.has_trunk(key)}


def count_states(rows: Iterable[RunStatus]) -> dict[str, int]:
    """Number of runs in each state, in the order of `RunState`."""
    states = [row.state for row in rows]
    return {state.value: states.count(state) for state in RunState}
