"""MLflow as a mirror of the record store: one run per run under one parent run per study.

Records are on disk before MLflow hears of them, so a tracking server that is down delays the mirror
and loses nothing. A run is found again by the key in its tags, never by its name; mirroring twice,
or after a kill half way, leaves exactly one finished run per run.
"""

import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale.digests import digest
from jetscale.errors import SweepError
from jetscale.store.records import Record
from jetscale.words import short

KEY = "jetscale.key"
PARENT = "jetscale.parent"
CONTENT = "jetscale.record"
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
_FURTHER = ("validation_loss", "seconds", "trunk", "device", "controls_digest", "controls")
_TEXT = {"mixture": str}
_NO_TRUNK = "none"
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is down is asked again later anyway
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def default_uri(home: Path) -> str:
    """MLFLOW_TRACKING_URI if set, else a sqlite file in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.resolve() / 'mlflow.db'}"


def has_database(uri: str) -> bool:
    """False for a sqlite file that does not exist; opening it would make one."""
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).exists()


class Mirror:
    """The MLflow experiment of one study. Every method raises SweepError if MLflow refuses."""

    def __init__(self, uri: str, study: str, artifacts: Path) -> None:
        """Connect, and make the experiment and the schema if they are not there."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("alembic", "mlflow"):  # after the import, which sets its own levels
            logging.getLogger(name).setLevel(logging.CRITICAL)  # refusals become one line
        self.uri, self.study = uri, study
        with self._refusals():
            self.client = MlflowClient(uri)
            self.experiment = self._experiment(artifacts)

    def _experiment(self, artifacts: Path) -> str:
        found = self.client.get_experiment_by_name(self.study)
        if found:
            return str(found.experiment_id)
        local = artifacts.resolve().as_uri() if self.uri.startswith("sqlite:") else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # which pages the UI shows
        return str(self.client.create_experiment(self.study, artifact_location=local, tags=kind))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn what MLflow and its database raise into one line."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise SweepError(f"MLflow at {self.uri} does not do its part: {line}") from error

    def parent(self, identity: str, summary: dict[str, Any]) -> str:
        """Id of the parent run of a study with this identity, made if it is not there."""
        with self._refusals():
            for run in self._search(f"tags.`{PARENT}` = '{identity}'"):
                return str(run.info.run_id)
            tags = {PARENT: identity, "mlflow.runName": f"study {self.study}"}
            made = self.client.create_run(self.experiment, tags=tags)
            self._log(made.info.run_id, params=summary)
            return str(made.info.run_id)

    def sync(self, records: Iterable[Record], parent: str) -> int:
        """Mirror the records that have no finished run yet; returns how many were added."""
        with self._refusals():
            wanted = {record.key: record for record in records}
            shown = self._shown({key: content(record) for key, record in wanted.items()})
            missing = [record for key, record in wanted.items() if key not in shown]
            for record in missing:
                self._mirror(record, parent)
            return len(missing)

    def _shown(self, wanted: dict[str, str]) -> set[str]:
        """Keys that MLflow shows as wanted; runs cut half way, doubled or outdated are removed."""
        shown: set[str] = set()
        for run in list(self._search(f"tags.`{KEY}` != ''")):
            key, found = run.data.tags[KEY], run.data.tags.get(CONTENT)
            good = run.info.status == "FINISHED" and found == wanted.get(key, found)
            if good and key not in shown:
                shown.add(key)
            else:
                self.client.delete_run(run.info.run_id)
        return shown

    def close(self, parent: str, metrics: dict[str, float]) -> None:
        """Metrics of a sweep that is over on the parent run, and its end."""
        with self._refusals():
            self._log(parent, metrics=[(name, value, 0) for name, value in metrics.items()])
            self.client.set_terminated(parent)

    def attach(self, parent: str, texts: Mapping[str, str]) -> None:
        """Keep texts, by file name, as artifacts of the parent run."""
        with self._refusals():
            for name, text in texts.items():
                self.client.log_text(parent, text, name)

    def pull(self) -> pd.DataFrame:
        """All finished fine-tuning runs as a run table, with the run key as a column."""
        with self._refusals():
            runs = list(self._search("tags.`jetscale.kind` = 'finetune'"))
        rows = [_row(run) for run in runs if run.info.status == "FINISHED"]
        columns = ["key", *_PARAMS, *_SCALARS, *_FURTHER]
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
            CONTENT: content(record),
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
        params |= {"device": record.device, "host": record.host, "trunk": record.trunk or _NO_TRUNK}
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


def _row(run: Any) -> dict[str, Any]:
    """One row of the run table from one MLflow run."""
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    prefix = "controls."
    return (
        {"key": tags[KEY], "controls_digest": tags["jetscale.controls"]}
        | {name: _TEXT.get(name, int)(params[name]) for name in _PARAMS}
        | {name: metrics[name] for name in (*_SCALARS, "validation_loss")}
        | {"seconds": metrics["time_total"], "device": params["device"]}
        | {"trunk": tags[KEY] if params["trunk"] == _NO_TRUNK else params["trunk"]}
        | {"controls": {k[len(prefix) :]: v for k, v in params.items() if k.startswith(prefix)}}
    )


def content(record: Record) -> str:
    """Digest of a record: a run that mirrors another content of the same run is outdated."""
    return digest(record.to_dict())


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
