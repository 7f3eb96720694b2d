"""The results folder: the name of every file and folder in it."""

import os
from dataclasses import dataclass
from pathlib import Path

from jetscale.errors import StorageError
from jetscale.study import Study


class _Inside:
    """An attribute that is the path of a name inside the folder at ``path``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: "Home | StudyFolder", kind: type) -> Path:
        return folder.path / self.name


@dataclass(frozen=True, slots=True)
class Home:
    """The results folder that ``$JETSCALE_HOME`` names; studies share its jets."""

    path: Path

    shards = _Inside("shards")  # simulated jets, one folder for each content
    streams = _Inside("streams")  # model-ready jets, one folder for each content
    preparing_lock = _Inside("preparing.lock")  # held while one of several processes prepares
    database = _Inside("mlflow.db")  # MLflow's own file where no tracking server is named
    artifacts = _Inside("artifacts")  # files that MLflow shows for runs in `database`
    identity = _Inside("home.json")  # what a tracking server knows this folder by

    @classmethod
    def at(cls, path: str | Path | None = None) -> "Home":
        """The results folder at ``path``, else at $JETSCALE_HOME, else ./runs; blank is not set."""
        given = (str(name or "") for name in (path, os.environ.get("JETSCALE_HOME")))
        chosen = Path(next((name for name in given if name.strip()), "runs"))
        try:
            return cls(chosen.expanduser())
        except RuntimeError as error:
            raise StorageError(f"results folder {chosen}: no such user; write it out") from error

    def study(self, study: Study) -> "StudyFolder":
        """The folder of one study."""
        return StudyFolder(self.path / study.name)


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """Results of one study."""

    path: Path

    measures = _Inside("measures.json")  # the last measurement of diversity and alignment
    search = _Inside("search.csv")  # the runs of the last search over rates, as a table
    page = _Inside("tune.html")  # that search as a page
    map = _Inside("mixtures.png")  # the picture of that measurement
    driver_lock = _Inside("run.lock")  # held while a sweep of the study runs
    mirror_lock = _Inside("mirror.lock")  # held while MLflow is brought up to date
    ray = _Inside(name="ray")
    """Ray's own state of a sweep on a cluster; nothing here reads it again."""

    def checkpoint(self, key: str) -> Path:
        """State of an unfinished run."""
        return self.path / "checkpoints" / f"{key}.pt"

    def claim(self, key: str) -> Path:
        """Lock file that the process which trains a run holds, where there are several."""
        return self.path / "claims" / f"{key}.lock"

    def trunk(self, key: str) -> Path:
        """Weights that a pretraining run leaves to fine-tuning."""
        return self.path / "trunks" / f"{key}.pt"
