"""The record of a run and the folder that keeps them.

A record is written by the worker that trained the run, before anything else is told. It is the
truth about a run: MLflow mirrors it, the analysis can be redone from it, and a run with a record
is never trained again. One JSON file per run, named by the run's key, written atomically.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale.plan import Run
from jetscale.store.local import make_folder, write_json
from jetscale.study import Study

SCHEMA = 1
HEARTBEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0  # a run without a heartbeat for this long is not running any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Result of one run; plain JSON types throughout, null where a number does not exist."""

    key: str
    study: str
    kind: str
    mixture: str
    parts: dict[str, float]
    width: int
    layers: int
    heads: int
    seed: int
    subset: int
    params: int
    params_non_embedding: int
    examples: int
    """Distinct jets D."""
    examples_seen: int
    steps: int
    flops: float
    """Training FLOPs of this run, forward and backward, real constituents, MAC = 2 FLOPs."""
    flops_padded: float
    """The same if every jet of a batch were padded to its longest."""
    flops_6nd: float
    """6 x non-embedding parameters x constituents seen."""
    pretraining_flops: float
    """FLOPs of the pretraining run this one starts from; 0 from scratch."""
    loss: float
    """Test cross-entropy at the end; of a pretraining run its last training loss."""
    validation_loss: float | None
    """None for pretraining runs, which are not validated."""
    scores: dict[str, Any]
    """Test accuracy, AUC and background rejections."""
    curve: dict[str, Any]
    controls: dict[str, Any]
    controls_digest: str
    streams: dict[str, str]
    """Content digest of every stream the run read."""
    trunk: str | None
    timings: dict[str, float]
    device: str
    host: str
    versions: dict[str, str]
    started: float
    """Unix time."""
    finished: float
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Record":
        """The record that `to_dict` gave; raises TypeError or KeyError for anything else."""
        if values["schema"] != SCHEMA:
            raise KeyError(f"record schema {values['schema']}")
        return cls(**values)


def study_folder(study: Study, home: Path) -> Path:
    """Results folder of a study."""
    return home / study.name


class RecordStore:
    """Records, failures and heartbeats of one study, as files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = folder / "records"
        self.failures = folder / "failures"
        self.heartbeats = folder / "running"

    def write(self, record: Record) -> None:
        """Keep a finished run; its failure and heartbeat files go."""
        write_json(self.records / f"{record.key}.json", record.to_dict())
        self.forget(record.key)

    def write_failure(self, run: Run, reason: str) -> None:
        """Keep why a run failed, for `jetscale status`."""
        value = {"key": run.key, "name": run.name, "reason": reason, "time": time.time()}
        write_json(self.failures / f"{run.key}.json", value)
        (self.heartbeats / f"{run.key}.json").unlink(missing_ok=True)

    def beat(self, key: str, step: int, steps: int) -> None:
        """Say that a run is being trained right now."""
        value = {"step": step, "steps": steps, "host": socket.gethostname(), "pid": os.getpid()}
        write_json(self.heartbeats / f"{key}.json", value | {"time": time.time()})

    def forget(self, key: str) -> None:
        """Remove the failure and heartbeat of a run."""
        for folder in (self.failures, self.heartbeats):
            (folder / f"{key}.json").unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the folders; raises StorageError where that is refused."""
        for folder in (self.records, self.failures, self.heartbeats):
            make_folder(folder)

    def keys(self) -> set[str]:
        """Keys of the runs that have a record, without reading them."""
        return {path.stem for path in self.records.glob("*.json")}

    def read(self, key: str) -> Record | None:
        """One record, or None if there is none or its file cannot be read."""
        return _read_record(self.records / f"{key}.json")

    def all(self) -> list[Record]:
        """All readable records, ordered by key."""
        found = (_read_record(path) for path in sorted(self.records.glob("*.json")))
        return [record for record in found if record is not None]

    def status(self, planned: Iterable[Run]) -> list[dict[str, Any]]:
        """State of every planned run: done, running, failed or missing, and why."""
        done = {record.key: record for record in self.all()}
        return [self._run_status(run, done.get(run.key)) for run in planned]

    def _run_status(self, run: Run, record: Record | None) -> dict[str, Any]:
        row: dict[str, Any] = {
            "key": run.key,
            "name": run.name,
            "kind": run.kind,
            "mixture": run.mixture.name,
            "params": run.params,
            "examples": run.examples,
            "seed": run.seed,
        }
        if record is not None:
            return row | {"state": "done", "loss": record.loss, "why": None}
        beat = _read_json(self.heartbeats / f"{run.key}.json")
        if beat and time.time() - beat["time"] < SILENT_SECONDS:
            return row | {"state": "running", "why": f"step {beat['step']} of {beat['steps']}"}
        failure = _read_json(self.failures / f"{run.key}.json")
        if failure:
            return row | {"state": "failed", "why": failure["reason"]}
        why = f"interrupted at step {beat['step']} of {beat['steps']}" if beat else "not started"
        return row | {"state": "missing", "why": why}


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _read_record(path: Path) -> Record | None:
    value = _read_json(path)
    try:
        return Record.from_dict(value) if value else None
    except (TypeError, KeyError):
        return None


def trunk_path(folder: Path, key: str) -> Path:
    """Weights of a pretraining run, in the results folder of its study."""
    return folder / "trunks" / f"{key}.pt"


def finished(store: RecordStore, folder: Path, planned: Sequence[Run]) -> set[str]:
    """Keys of the planned runs that need not run.

    A pretraining run whose trunk is gone runs again if a missing run starts from it.
    """
    done = {record.key for record in store.all()} & {run.key for run in planned}
    needed = {run.trunk for run in planned if run.trunk and run.key not in done}
    return {key for key in done if key not in needed or trunk_path(folder, key).is_file()}


def run_table(records: Iterable[Record]) -> pd.DataFrame:
    """Fine-tuning records as the run table of `jetscale.scaling`, one row per run.

    Columns: mixture, params, examples, loss, flops, seed, then the other scalar fields, the seconds
    the run took, the trunk it shares with others (its own key from scratch) and the controls as a
    mapping.
    """
    scalars = [f.name for f in fields(Record) if f.type in (str, int, float)]
    rows = [
        {name: getattr(record, name) for name in scalars}
        | {
            "seconds": record.timings["total"],
            "trunk": record.trunk or record.key,
            "controls": record.controls,
        }
        for record in records
        if record.kind == "finetune"
    ]
    frame = pd.DataFrame(rows, columns=[*scalars, "seconds", "trunk", "controls"])
    return frame.sort_values(["mixture", "params", "examples", "seed"], ignore_index=True)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Number of runs in each state, and the rows themselves."""
    states = ("done", "running", "failed", "missing")
    counts = {state: sum(row["state"] == state for row in rows) for state in states}
    return counts | {"runs": rows}
