"""Telling a person and MLflow how a sweep goes, while Ray holds the main thread.

MLflow may be down for a while or for good: what it could not take is offered again later, training
does not wait, and the last refusal is kept as one line.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from jetscale.errors import SweepError
from jetscale.mixtures.inputs import Progress
from jetscale.plan import Run, study_identity, study_summary
from jetscale.store.local import locked
from jetscale.store.records import Record, RecordStore
from jetscale.study import Study
from jetscale.tracking.mirror import Mirror

LOOK_SECONDS = 1.0
MIRROR_SECONDS = 20.0


class LiveMirror:
    """MLflow's picture of a study, brought up to date by `push`."""

    def __init__(self, study: Study, folder: Path, planned: Sequence[Run], uri: str) -> None:
        self.study, self.folder, self.uri = study, folder, uri
        self.keys = {run.key for run in planned}
        self.store = RecordStore(folder)
        self.problem = ""
        """Why MLflow could not take everything; empty once it could."""
        self._mirror: Mirror | None = None

    def records(self) -> list[Record]:
        """The records of planned runs."""
        return [record for record in self.store.all() if record.key in self.keys]

    def push(self, metrics: dict[str, float] | None = None) -> None:
        """Mirror what is missing; ``metrics`` of a sweep that is over close the parent run."""
        try:
            with locked(self.folder / "mirror.lock"):
                parent = self.mirror.parent(study_identity(self.study), study_summary(self.study))
                self.mirror.sync(self.records(), parent)
                if metrics:
                    self.mirror.close(parent, metrics)
            self.problem = ""
        except SweepError as error:
            self.problem = f"{error}; records are kept and mirrored by the next `jetscale run`"

    def attach(self, texts: Mapping[str, str]) -> None:
        """Keep texts, by file name, with the parent run; raises SweepError if MLflow refuses."""
        with locked(self.folder / "mirror.lock"):
            parent = self.mirror.parent(study_identity(self.study), study_summary(self.study))
            self.mirror.attach(parent, texts)

    @property
    def mirror(self) -> Mirror:
        """The connection; raises SweepError where there is none to be had."""
        if self._mirror is None:
            self._mirror = Mirror(self.uri, self.study.name, self.folder / "artifacts")
        return self._mirror


@contextmanager
def following(live: LiveMirror, todo: Sequence[Run], progress: Progress) -> Iterator[None]:
    """Report finished runs and mirror them from a thread until the block ends."""
    keys, stop = {run.key for run in todo}, threading.Event()

    def report() -> None:
        progress("training runs", len(live.store.keys() & keys), len(keys))

    def follow() -> None:
        pushed = time.monotonic()
        while not stop.wait(LOOK_SECONDS):
            report()
            if time.monotonic() - pushed > MIRROR_SECONDS:
                live.push()
                pushed = time.monotonic()

    report()
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        report()
