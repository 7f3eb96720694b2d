"""MLflow as a mirror of the record store: one run per training under one parent per study.

Records are on disk before MLflow hears of them, so a tracking server that is down delays the mirror
and loses nothing. A run is found again by the key in its tags, never by its name. Mirroring twice,
or after a kill half way, leaves exactly one finished run per training. A mirror changes the runs of
its own results folder only.
"""

import logging
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jetscale.errors import SweepError
from jetscale.store.home import Home
from jetscale.store.local import atomic_path, locked
from jetscale.store.record import Record
from jetscale.tracking.address import (
    database_of,
    has_results,
    hide_password,
    identify_home,
    is_server,
)
from jetscale.tracking.codec import curve_of, decode, encode
from jetscale.tracking.names import name_parent, name_run
from jetscale.tracking.view import NOTE, VIEW, VIEW_TAG, address_in, set_view

KEY, CONTENT, HOME, PARENT = (
    "jetscale.key", "jetscale.record", "jetscale.home", "jetscale.parent",
)  # fmt: skip
SILENT_SECONDS = 60.0  # a server that let a request time out is left alone for this long
_silent: dict[str, float] = {}  # address of such a server to the end of that, on `time.monotonic`
_CONTENT_CODES = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")  # of one record, not of the server
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_LOOK_UP = 10  # runs that MLflow lists in the time in which it finds one by its key
_SCHEME = "mlflow-artifacts:/"
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a server that is down is asked again later anyway
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow makes an experiment of its own in a new database, with an absolute path otherwise
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
}


class Mirror:
    """The MLflow experiment of one study. Every method raises SweepError if MLflow refuses."""

    def __init__(self, uri: str, study: str, home: Home, *, make: bool = True) -> None:
        """Connect, and make the experiment and the schema if they are not there.

        Who only reads says ``make=False``: nothing is written, `pull` finds nothing where nothing
        is.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("alembic", "mlflow"):  # after the import, which sets its own levels
            logging.getLogger(name).setLevel(logging.CRITICAL)  # refusals become one line
        self.uri, self.study, self.home = uri, study, home
        database = database_of(uri)
        self.in_folder = database is not None
        self._seen: dict[str, Record] = {}  # what MLflow was seen to show
        with self.refusals():
            self.identity = identify_home(home, uri, draw=make)
            self.experiment = ""
            if not (make or has_results(uri)):
                return
            if database is not None and not database.exists():
                with locked(database.with_name(f"{database.name}.lock")):
                    _make_database(database)
            self.client = MlflowClient(uri)
            found = self.client.get_experiment_by_name(self.study)
            if make:
                self.experiment = self._experiment(found)
                if not (found and found.tags.get(VIEW_TAG) == VIEW):
                    set_view(self.client, self.experiment)
            elif found and not self._is_former(found):
                self.experiment = str(found.experiment_id)

    def _is_former(self, found: Any) -> bool:
        """True for an experiment of version 0.1, which holds absolute paths."""
        return self.identity == "own" and not found.artifact_location.startswith(_SCHEME)

    def _experiment(self, found: Any) -> str:
        """Id of the experiment; one of version 0.1 is set aside."""
        from mlflow.exceptions import MlflowException

        if found and self._is_former(found):
            aside = f"{self.study} (version 0.1, {found.experiment_id})"
            self.client.rename_experiment(found.experiment_id, aside)
            found = None
        if found:
            return str(found.experiment_id)
        location = _SCHEME + self.study if self.in_folder else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # which pages the UI shows
        try:
            made = self.client.create_experiment(self.study, artifact_location=location, tags=kind)
        except MlflowException as error:
            if error.error_code != _EXISTS or not (
                found := self.client.get_experiment_by_name(self.study)
            ):
                raise
            return str(found.experiment_id)  # another process was faster
        database = database_of(self.uri)
        if database is not None:
            _remove_stray(Path(self.uri.removeprefix("sqlite:///")), database)
        return str(made)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn what MLflow and its database raise into one line without passwords.

        A server that let one request time out is not asked again for `SILENT_SECONDS`: who reads a
        table or ends a sweep waits once.
        """
        where = hide_password(self.uri)
        if time.monotonic() < _silent.get(self.uri, 0.0):
            raise SweepError(f"MLflow at {where} does not answer")
        try:
            yield
        except SweepError:
            raise
        except ImportError as error:  # the driver of a database address
            raise SweepError(
                f"MLflow at {where} needs the Python package {error.name!r}: install it"
            ) from error
        except Exception as error:  # a server that is no MLflow makes its client raise anything
            if is_server(self.uri) and isinstance(error.__cause__ or error.__context__, OSError):
                if _timed_out(error):
                    _silent[self.uri] = time.monotonic() + SILENT_SECONDS
                raise SweepError(f"MLflow at {where} does not answer") from error
            cause = _database_error(error) or error
            line = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            raise SweepError(f"MLflow at {where} failed: {hide_password(line)[:200]}") from error

    def parent(self, identity: str, summary: Mapping[str, Any], name: str = "") -> str:
        """Id of this folder's parent run of a study or search, made if it is not there."""
        query = f"tags.`{PARENT}` = '{identity}' and tags.`{HOME}` = '{self.identity}'"
        with self.refusals():
            for run in self._search(query):
                return str(run.info.run_id)
            told = {key: str(value)[:500] for key, value in summary.items()}
            others = self._parents("search.digest" in told)
            name = name_parent(name or f"study {self.study}", told, others)
            tags = {PARENT: identity, HOME: self.identity, "mlflow.runName": name}
            made = str(self.client.create_run(self.experiment, tags=tags).info.run_id)
            self._log(made, params=told)
            self.client.set_terminated(made)
            return made

    def _parents(self, of_search: bool) -> list[dict[str, str]]:
        """The settings of this folder's parent runs, of studies or of searches, latest first."""
        query = f"tags.`{PARENT}` != '' and tags.`{HOME}` = '{self.identity}'"
        told = [dict(run.data.params) for run in self._search(query)]  # as MLflow gives them
        return [each for each in told if ("search.digest" in each) == of_search]

    def sync(self, records: Iterable[Record], parent: str) -> int:
        """Mirror the records that have no finished run yet; returns how many were added.

        Raises SweepError in the end where MLflow refuses the content of some of them.
        """
        from mlflow.exceptions import MlflowException

        refused = []
        with self.refusals():
            # a sweep offers all its records every few seconds: the same object is not looked up
            wanted = {r.key: r for r in records if self._seen.get(r.key) is not r}
            shown = self._shown({key: record.content for key, record in wanted.items()})
            self._seen |= {key: wanted[key] for key in shown}
            missing = [record for key, record in wanted.items() if key not in shown]
            for record in missing:
                try:
                    self._add(record, parent)
                    self._seen[record.key] = record
                except MlflowException as error:
                    if error.error_code not in _CONTENT_CODES:
                        raise
                    refused.append(f"{record.key} ({str(error).splitlines()[0][:200]})")
        if refused:
            raise SweepError(f"MLflow refuses {len(refused)} records, the first: {refused[0]}")
        return len(missing)

    def _shown(self, wanted: Mapping[str, str]) -> set[str]:
        """Keys that MLflow shows with the wanted content, whichever folder they are of.

        Runs of this folder that were cut half way, doubled or outdated are removed.
        """
        shown: set[str] = set()
        queries = [f"tags.`{KEY}` != ''"]
        if _LOOK_UP * len(wanted) < len(self._seen):  # rather than a list of everything
            queries = [f"tags.`{KEY}` = '{key}'" for key in wanted]
        for run in [run for query in queries for run in self._search(query)]:
            key, found = run.data.tags[KEY], run.data.tags.get(CONTENT)
            good = run.info.status == "FINISHED" and found == wanted.get(key)
            if good and key not in shown:
                shown.add(key)
            elif key in wanted and run.data.tags.get(HOME) == self.identity:
                self.client.delete_run(run.info.run_id)
        return shown & wanted.keys()

    def set_metrics(self, parent: str, metrics: Mapping[str, float]) -> None:
        """Show numbers of a whole sweep on the parent run."""
        with self.refusals():
            # of two at a step MLflow shows the later one, and of the same time the larger one
            values = [(name, value, 0) for name, value in metrics.items()]
            self._log(parent, metrics=values, time=int(time.time() * 1000))

    def attach(self, parent: str, texts: Mapping[str, str], described: str = "") -> None:
        """Keep texts, by file name, as artifacts of the parent run, and describe it."""
        with self.refusals():
            if described:  # as code: the UI renders Markdown, which would join the lines
                pages = [
                    f"[{name}]({address_in(self.experiment, parent, name)})"
                    for name in texts
                    if name.endswith(".html")
                ]
                note = f"In full: {', '.join(pages)}\n\n```text\n{described}\n```"
                self.client.set_tag(parent, NOTE, note)
            for name, text in texts.items():
                if path := self._place(parent, name):
                    with atomic_path(path) as temporary:
                        temporary.write_text(text, encoding="utf-8")
                else:
                    self.client.log_text(parent, text, name)

    def keep_folder(self, run: str, folder: Path, name: str) -> None:
        """Keep a folder as artifacts of a run, under a name; raises whatever MLflow does."""
        if path := self._place(run, name):
            shutil.copytree(folder, path, dirs_exist_ok=True)
        else:
            self.client.log_artifacts(run, str(folder), name)

    def _place(self, run: str, name: str) -> Path | None:
        """Where an artifact lies in the folder that the UI serves; None where MLflow has others."""
        location = self.client.get_run(run).info.artifact_uri
        # addresses of that scheme are relative to the folder that the UI serves
        if not (self.in_folder and location.startswith(_SCHEME)):
            return None
        place = self.home.artifacts.resolve()
        path: Path = (place / location.removeprefix(_SCHEME) / name).resolve()
        if not path.is_relative_to(place):  # the database may be somebody else's
            raise SweepError(f"MLflow keeps files of {self.study} outside {place}")
        return path

    def run_of(self, key: str) -> str:
        """Id of the finished run that MLflow shows for a key; SweepError where there is none."""
        for run in self._search(f"tags.`{KEY}` = '{key}'"):
            if run.info.status == "FINISHED":
                return str(run.info.run_id)
        raise SweepError(f"MLflow does not show run {key}; add it with `jetscale sync`")

    def pull(
        self, keys: Collection[str], own: Mapping[str, Record] | None = None, curves: bool = False
    ) -> list[Record]:
        """The records of finished runs by key, one for each.

        Of several runs of a key the one that shows the record in ``own`` counts, which may be of
        another folder, else the one of this folder. Reading the points of the ``curves`` too takes
        several requests per run. Raises StorageError for a run that was edited by hand and is no
        record any more.
        """
        if not self.experiment:
            return []
        with self.refusals():
            runs = [
                run
                for run in self._search(f"tags.`{KEY}` != ''")
                if run.info.status == "FINISHED" and run.data.tags[KEY] in keys
            ]
            kept = {key: record.content for key, record in (own or {}).items()}

            def rank(run: Any) -> tuple[bool, bool]:
                tags = run.data.tags
                return tags.get(CONTENT) == kept.get(tags[KEY]), tags.get(HOME) == self.identity

            runs.sort(key=rank)
            chosen = {run.data.tags[KEY]: run for run in runs}  # the last one stays
            return [self._record(run, curves) for run in chosen.values()]

    def _record(self, run: Any, curves: bool) -> Record:
        data, curve = run.data, {}
        for metric in sorted(data.metrics) if curves else ():
            if name := curve_of(metric):
                history = self.client.get_metric_history(run.info.run_id, metric)
                points = sorted((point.step, point.value) for point in history)
                curve[name] = [[step, value] for step, value in points]
        return decode(data.params, data.metrics, data.tags, curve, f"MLflow run {run.info.run_id}")

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

    def _add(self, record: Record, parent: str) -> None:
        encoded = encode(record)
        tags = {
            **encoded.tags,
            KEY: record.key,
            CONTENT: record.content,  # another content makes this run outdated
            HOME: self.identity,
            "mlflow.runName": name_run(record),
            "mlflow.parentRunId": parent,
        }
        start, end = int(record.started * 1000), int(record.finished * 1000)
        run = self.client.create_run(self.experiment, start_time=start, tags=tags).info.run_id
        scalars = [(name, value, record.steps) for name, value in encoded.metrics.items()]
        try:
            self._log(run, params=encoded.params, metrics=[*encoded.points, *scalars], time=end)
            self.client.set_terminated(run, end_time=end)
        except Exception as error:
            if not _timed_out(error):  # a server that is down keeps the half run; see `_shown`
                with suppress(Exception):
                    self.client.delete_run(run)
            raise

    def _log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Iterable[tuple[str, float, int]] = (),
        time: int = 0,
    ) -> None:
        from mlflow.entities import Metric, Param

        values = [Metric(name, value, time, step) for name, value, step in metrics]
        texts = [Param(name, value) for name, value in (params or {}).items()]
        for i in range(0, max(len(values), 1), 900):  # MLflow takes 1000 entities at a time
            self.client.log_batch(
                run_id, metrics=values[i : i + 900], params=texts[:100] if i == 0 else []
            )


def _timed_out(error: BaseException | None) -> bool:
    """True for what was raised, however indirectly, by a request that got no answer in time."""
    while error is not None and not isinstance(error, TimeoutError):
        error = error.__cause__ or error.__context__
    return error is not None


def _database_error(error: BaseException | None) -> BaseException | None:
    """What a database said, without the statements that SQLAlchemy and MLflow put around it."""
    from sqlalchemy.exc import DBAPIError

    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__ or error.__context__
    return error and error.orig


def _make_database(database: Path) -> None:
    """Make an empty MLflow database in one step.

    MLflow makes its tables one by one and never mends what a kill left half made.
    """
    from mlflow.tracking import MlflowClient

    if not database.exists():  # another process may have been faster
        with atomic_path(database) as whole:
            address = quote(str(whole))
            MlflowClient(f"sqlite:///{address}").search_experiments()
            _remove_stray(Path(address), whole)


def _remove_stray(address: Path, database: Path) -> None:
    """Remove the empty folders that MLflow leaves, named by the quoted address of a database."""
    with suppress(OSError):
        for stray in address.parents:
            if stray in database.parents:
                return
            stray.rmdir()
