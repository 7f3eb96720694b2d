"""The record of a cell and the folder that keeps them.

A record is written by the worker that trained the cell, before anything else is told. It is the
truth about a run: MLflow mirrors it, the analysis can be redone from it, and a cell with a record
is never trained again. One JSON file per cell, named by the cell's key, written atomically.
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

from jetscale.plan import Cell
from jetscale.store.local import make_folder, write_json
from jetscale.study import Study

SCHEMA = 1
HEARTBEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0  # a cell without a heartbeat for this long is not running any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Result of one cell; plain JSON types throughout, null where a number does not exist."""

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
    """Training FLOPs of this cell, forward and backward, real constituents, MAC = 2 FLOPs."""
    flops_padded: float
    """The same if every jet of a batch were padded to its longest."""
    flops_6nd: float
    """6 x non-embedding parameters x constituents seen."""
    pretraining_flops: float
    """FLOPs of the pretraining cell this one starts from; 0 from scratch."""
    loss: float
    """Test cross-entropy at the end; of a pretraining cell its last training loss."""
    validation_loss: float | None
    """None for pretraining cells, which are not validated."""
    scores: dict[str, Any]
    """Test accuracy, AUC and background rejections."""
    curve: dict[str, Any]
    controls: dict[str, Any]
    controls_digest: str
    streams: dict[str, str]
    """Content digest of every stream the cell read."""
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
        """Keep a finished cell; its failure and heartbeat files go."""
        write_json(self.records / f"{record.key}.json", record.to_dict())
        self.forget(record.key)

    def write_failure(self, cell: Cell, reason: str) -> None:
        """Keep why a cell failed, for `jetscale status`."""
        value = {"key": cell.key, "name": cell.name, "reason": reason, "time": time.time()}
        write_json(self.failures / f"{cell.key}.json", value)
        (self.heartbeats / f"{cell.key}.json").unlink(missing_ok=True)

    def beat(self, key: str, step: int, steps: int) -> None:
        """Say that a cell is being trained right now."""
        value = {"step": step, "steps": steps, "host": socket.gethostname(), "pid": os.getpid()}
        write_json(self.heartbeats / f"{key}.json", value | {"time": time.time()})

    def forget(self, key: str) -> None:
        """Remove the failure and heartbeat of a cell."""
        for folder in (self.failures, self.heartbeats):
            (folder / f"{key}.json").unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the folders; raises StorageError where that is refused."""
        for folder in (self.records, self.failures, self.heartbeats):
            make_folder(folder)

    def keys(self) -> set[str]:
        """Keys of the cells that have a record, without reading them."""
        return {path.stem for path in self.records.glob("*.json")}

    def read(self, key: str) -> Record | None:
        """One record, or None if there is none or its file cannot be read."""
        return _read_record(self.records / f"{key}.json")

    def all(self) -> list[Record]:
        """All readable records, ordered by key."""
        found = (_read_record(path) for path in sorted(self.records.glob("*.json")))
        return [record for record in found if record is not None]

    def status(self, planned: Iterable[Cell]) -> list[dict[str, Any]]:
        """State of every planned cell: done, running, failed or missing, and why."""
        done = {record.key: record for record in self.all()}
        return [self._cell_status(cell, done.get(cell.key)) for cell in planned]

    def _cell_status(self, cell: Cell, record: Record | None) -> dict[str, Any]:
        row: dict[str, Any] = {
            "key": cell.key,
            "name": cell.name,
            "kind": cell.kind,
            "mixture": cell.mixture.name,
            "params": cell.params,
            "examples": cell.examples,
            "seed": cell.seed,
        }
        if record is not None:
            return row | {"state": "done", "loss": record.loss, "why": None}
        beat = _read_json(self.heartbeats / f"{cell.key}.json")
        if beat and time.time() - beat["time"] < SILENT_SECONDS:
            return row | {"state": "running", "why": f"step {beat['step']} of {beat['steps']}"}
        failure = _read_json(self.failures / f"{cell.key}.json")
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
    """Weights of a pretraining cell, in the results folder of its study."""
    return folder / "trunks" / f"{key}.pt"


def finished(store: RecordStore, folder: Path, planned: Sequence[Cell]) -> set[str]:
    """Keys of the planned cells that need not run.

    A pretraining cell whose trunk is gone runs again if a missing cell starts from it.
    """
    done = {record.key for record in store.all()} & {cell.key for cell in planned}
    needed = {cell.trunk for cell in planned if cell.trunk and cell.key not in done}
    return {key for key in done if key not in needed or trunk_path(folder, key).is_file()}


def run_table(records: Iterable[Record]) -> pd.DataFrame:
    """Fine-tuning records as the run table of `jetscale.scaling`, one row per cell.

    Columns: mixture, params, examples, loss, flops, seed, then the other scalar fields, the seconds
    the cell took, the trunk it shares with others (its own key from scratch) and the controls as a
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
    """Number of cells in each state, and the rows themselves."""
    states = ("done", "running", "failed", "missing")
    counts = {state: sum(row["state"] == state for row in rows) for state in states}
    return counts | {"cells": rows}
