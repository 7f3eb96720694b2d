"""The results folder: the name of every file and folder in it.

It is a folder, or an address such as ``s3://bucket/name`` with a working copy on each machine:
records, failures and signs of life are read and written at the address; trunks, checkpoints, jets,
streams, tables and pages lie in the working copy and are put there and fetched from there.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jetscale.digests import digest
from jetscale.errors import StorageError
from jetscale.store.remote import storage_at
from jetscale.store.storage import LocalStorage, Storage
from jetscale.study import Study


class _Inside:
    """An attribute that is the path of a name inside the folder at ``path``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: "Home | StudyFolder | Attempt", kind: type) -> Path:
        return folder.path / self.name


class Place:
    """What a results folder and the folder of a study have in common."""

    __slots__ = ()
    path: Path
    address: str

    @property
    def where(self) -> str:
        """What people know it by: its address, else its path."""
        return self.address or str(self.path)

    @property
    def storage(self) -> Storage:
        """Its files by name; raises StorageError for an address of no known kind."""
        return storage_at(self.address) if self.address else LocalStorage(self.path)

    def name_of(self, path: Path) -> str:
        """The name in the storage of a file below ``path`` of this place."""
        return path.relative_to(self.path).as_posix()

    def shown(self, path: Path) -> str:
        """What people know a file of this place by."""
        return f"{self.address}/{self.name_of(path)}" if self.address else str(path)

    def put(self, path: Path) -> str:
        """Put a file of the working copy at the address, if there is one; returns `shown`."""
        if self.address:
            self.storage.put(self.name_of(path), path)
        return self.shown(path)

    def fetch(self, path: Path) -> bool:
        """Copy a file from the address over that of the working copy; False where there is none."""
        return bool(self.address) and self.storage.fetch(self.name_of(path), path)


@dataclass(frozen=True, slots=True)
class Home(Place):
    """The results folder that ``$JETSCALE_HOME`` names; studies share its jets."""

    path: Path
    address: str = ""
    """Where the results are if not at ``path``, which then is the working copy of this machine."""

    shards = _Inside("shards")  # simulated jets, one folder for each content
    streams = _Inside("streams")  # model-ready jets, one folder for each content
    files = _Inside("files")  # jets for trainers that are commands, one file for each content
    preparing_lock = _Inside("preparing.lock")  # held while one of several processes prepares
    database = _Inside("mlflow.db")  # MLflow's own file where no tracking server is named
    artifacts = _Inside("artifacts")  # files that MLflow shows for runs in `database`
    identity = _Inside("home.json")  # what a tracking server knows this folder by

    @classmethod
    def at(cls, path: str | Path | None = None) -> "Home":
        """The results at ``path``, else at $JETSCALE_HOME, else in ./runs; blank is not set.

        An address has ``://`` in it. Its working copy lies below $JETSCALE_CACHE, else below
        ``~/.cache/jetscale``. Raises StorageError where neither the folder nor that can be named.
        """
        given = (str(name or "") for name in (path, os.environ.get("JETSCALE_HOME")))
        chosen = next((name.strip() for name in given if name.strip()), "runs")
        address = "" if chosen.startswith("file://") else chosen.rstrip("/")
        if "://" not in address:
            folder = Path(chosen.removeprefix("file://"))
        else:
            cache = os.environ.get("JETSCALE_CACHE", "").strip() or "~/.cache/jetscale"
            folder = Path(cache) / digest(address)
        try:
            return cls(folder.expanduser(), address if "://" in address else "")
        except RuntimeError as error:
            raise StorageError(f"results folder {folder}: no such user; write it out") from error

    def __reduce__(self) -> tuple[Callable[..., "Home"], tuple[Path] | tuple[str]]:
        """An address travels alone: on another machine the working copy is another."""
        return (Home.at, (self.address,)) if self.address else (Home, (self.path,))

    def study(self, study: Study) -> "StudyFolder":
        """The folder of one study."""
        return _study_folder(self, study.name)


@dataclass(frozen=True, slots=True)
class StudyFolder(Place):
    """Results of one study."""

    path: Path
    address: str = ""
    """See `Home.address`."""

    measures = _Inside("measures.json")  # the last measurement of diversity and alignment
    search = _Inside("search.csv")  # the runs of the last search over rates, as a table
    page = _Inside("tune.html")  # that search as a page
    map = _Inside("mixtures.png")  # the picture of that measurement
    driver_lock = _Inside("run.lock")  # held while a sweep of the study runs
    mirror_lock = _Inside("mirror.lock")  # held while MLflow is brought up to date
    ray = _Inside(name="ray")
    """Ray's own state of a sweep on a cluster; nothing here reads it again."""

    def __reduce__(self) -> tuple[Callable[..., "StudyFolder"], tuple[object, ...]]:
        """As `Home`."""
        home, _, name = self.address.rpartition("/")
        return (_study_folder, (Home.at(home), name)) if home else (StudyFolder, (self.path,))

    @property
    def home(self) -> Home:
        """The results folder that it lies in."""
        return Home(self.path.parent, self.address.rpartition("/")[0])

    def checkpoint(self, key: str) -> Path:
        """State of an unfinished run; see `jetscale.store.checkpoints.Checkpoint`."""
        return self.path / "checkpoints" / f"{key}.pt"

    def claim(self, key: str) -> Path:
        """Lock file that the process which trains a run holds, where there are several."""
        return self.path / "claims" / f"{key}.lock"

    def trunk(self, key: str) -> Path:
        """Weights that a pretraining run leaves to fine-tuning."""
        return self.path / "trunks" / f"{key}.pt"

    def record(self, key: str) -> Path:
        """The record of a finished run; see `jetscale.store.records.RecordStore`."""
        return self.path / "records" / f"{key}.json"

    def model(self, key: str, *, best: bool = False) -> Path:
        """Weights of a fine-tuning run; those that a better run may replace lie apart."""
        return self.path / ("best" if best else "models") / f"{key}.pt"

    def attempt(self, key: str) -> "Attempt":
        """What the command that trains a run writes until the run has a record."""
        return Attempt(self.path / "attempts" / key)

    def log(self, key: str) -> Path:
        """What the command that trains a run prints, one attempt after another."""
        return self.path / "logs" / f"{key}.log"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The files of a run that a command trains; they are removed when the run has its record."""

    path: Path

    out = _Inside("out.json")  # its result
    trunk = _Inside("trunk")  # what it leaves to fine-tuning
    checkpoint = _Inside("checkpoint")  # a folder of its own, kept from attempt to attempt
    spent = _Inside("spent.json")  # seconds of the attempts so far


def _study_folder(home: Home, name: str) -> StudyFolder:
    return StudyFolder(home.path / name, home.address and f"{home.address}/{name}")
