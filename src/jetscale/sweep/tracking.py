"""MLflow as a mirror of the record store: one run per cell under one parent run per study.

Records are on disk before MLflow hears of them, so a tracking server that is down delays the mirror
and loses nothing. A run is found again by the key in its tags, never by its name; mirroring twice,
or after a kill half way, leaves exactly one finished run per cell.
"""

import logging
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale.errors import SweepError
from jetscale.plan import short
from jetscale.sweep.records import Record

KEY = "jetscale.key"
PARENT = "jetscale.parent"
_SCALARS = (
    "loss",
    "flops",
    "flops_padded",
    "flops_6nd",
    "pretraining_flops",
    "steps",
    "examples_seen",
)
_PARAMS = (
    "mixture",
    "params",
    "params_non_embedding",
    "examples",
    "seed",
    "subset",
    "width",
    "layers",
    "heads",
)
_TEXT = {"mixture": str}


def default_uri(home: Path) -> str:
    """MLFLOW_TRACKING_URI if set, else a sqlite file in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.resolve() / 'mlflow.db'}"


class Mirror:
    """The MLflow experiment of one study."""

    def __init__(self, uri: str, study: str, artifacts: Path) -> None:
        """Connect, and make the experiment and the schema if they are not there.

        Raises
        ------
        SweepError
            MLflow cannot be reached or refuses.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        for name in ("alembic", "mlflow"):  # after the import, which sets its own levels
            logging.getLogger(name).setLevel(logging.WARNING)

        self.study = study
        try:
            self.client = MlflowClient(uri)
            found = self.client.get_experiment_by_name(study)
            local = artifacts.resolve().as_uri() if uri.startswith("sqlite:") else None
            self.experiment: str = (
                found.experiment_id
                if found
                else self.client.create_experiment(study, artifact_location=local)
            )
        except (MlflowException, OSError) as error:
            raise SweepError(f"MLflow at {uri} does not answer: {_first_line(error)}") from error

    def parent(self, identity: str, summary: dict[str, Any]) -> str:
        """Id of the parent run of a study with this identity, made if it is not there."""
        found = self._search(f"tags.`{PARENT}` = '{identity}'")
        for run in found:
            return str(run.info.run_id)
        tags = {PARENT: identity, "mlflow.runName": f"study {self.study}"}
        run = self.client.create_run(self.experiment, tags=tags)
        self._log(run.info.run_id, params=summary)
        self.client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def sync(self, records: Iterable[Record], parent: str) -> int:
        """Mirror the records that have no finished run yet; returns how many were added."""
        finished, broken = set(), {}
        for run in self._search(f"tags.`{KEY}` != ''"):
            key = run.data.tags[KEY]
            if run.info.status == "FINISHED" and key not in finished:
                finished.add(key)
            else:
                broken[run.info.run_id] = key
        for run_id in broken:
            self.client.delete_run(run_id)
        missing = [record for record in records if record.key not in finished]
        for record in missing:
            self._mirror(record, parent)
        return len(missing)

    def log_study(self, parent: str, metrics: dict[str, float]) -> None:
        """Metrics of the whole sweep on the parent run."""
        self._log(parent, metrics=[(name, value, 0) for name, value in metrics.items()])

    def log_artifact(self, parent: str, path: Path) -> None:
        """Attach a file to the parent run."""
        self.client.log_artifact(parent, str(path))

    def pull(self) -> pd.DataFrame:
        """All finished fine-tuning runs as a run table, with the cell key as a column."""
        rows = []
        for run in self._search("tags.`jetscale.kind` = 'finetune'"):
            if run.info.status != "FINISHED":
                continue
            row: dict[str, Any] = {"key": run.data.tags[KEY]}
            row |= {name: _TEXT.get(name, int)(run.data.params[name]) for name in _PARAMS}
            row |= {name: run.data.metrics[name] for name in (*_SCALARS, "validation_loss")}
            row["controls_digest"] = run.data.tags["jetscale.controls"]
            row["controls"] = {
                name.removeprefix("controls."): value
                for name, value in run.data.params.items()
                if name.startswith("controls.")
            }
            rows.append(row)
        columns = ["key", *_PARAMS, *_SCALARS, "validation_loss", "controls_digest", "controls"]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.sort_values(["mixture", "params", "examples", "seed"], ignore_index=True)

    def _search(self, query: str) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], filter_string=query, max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _mirror(self, record: Record, parent: str) -> None:
        tags = {
            KEY: record.key,
            "jetscale.kind": record.kind,
            "jetscale.mixture": record.mixture,
            "jetscale.controls": record.controls_digest,
            "jetscale.streams": str(record.streams),
            "mlflow.runName": run_name(record),
            "mlflow.parentRunId": parent,
        }
        start, end = int(record.started * 1000), int(record.finished * 1000)
        run = self.client.create_run(self.experiment, start_time=start, tags=tags)
        params = {name: getattr(record, name) for name in _PARAMS}
        params |= {f"controls.{name}": value for name, value in record.controls.items()}
        params |= {"device": record.device, "host": record.host, "trunk": record.trunk or "none"}
        self._log(run.info.run_id, params=params, metrics=_metrics(record), time=end)
        self.client.set_terminated(run.info.run_id, end_time=end)

    def _log(
        self,
        run_id: str,
        *,
        params: dict[str, Any] | None = None,
        metrics: Iterable[tuple[str, float, int]] = (),
        time: int = 0,
    ) -> None:
        from mlflow.entities import Metric, Param

        values = [Metric(name, value, time, step) for name, value, step in metrics]
        texts = [Param(name, str(value)[:500]) for name, value in (params or {}).items()]
        for i in range(0, max(len(values), 1), 900):  # MLflow takes 1000 entities at a time
            self.client.log_batch(
                run_id, metrics=values[i : i + 900], params=texts[:100] if i == 0 else []
            )


def run_name(record: Record) -> str:
    """For people, never parsed."""
    kind = "pretrain " if record.kind == "pretrain" else ""
    name = f"{kind}{record.mixture} N={short(record.params)} D={record.examples}"
    return f"{name} seed {record.seed}"


def _metrics(record: Record) -> Iterator[tuple[str, float, int]]:
    """(name, value, step) of everything numeric; MLflow has no null, so nulls are left out."""
    for name in _SCALARS:
        yield name, float(getattr(record, name)), record.steps
    for name, value in _flat(record.scores):
        yield f"test_{name}", value, record.steps
    for name, value in record.timings.items():
        yield f"time_{name}", float(value), record.steps
    for curve, points in record.curve.items():
        for step, value in points:
            if value is not None and math.isfinite(value):
                yield curve, float(value), int(step)


def _flat(scores: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in scores.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}_")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
