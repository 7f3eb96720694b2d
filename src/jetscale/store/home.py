"""The results folder: the name of every file and folder in it."""

from dataclasses import dataclass
from pathlib import Path

from jetscale.study import Study


@dataclass(frozen=True, slots=True)
class Home:
    """The results folder that ``$JETSCALE_HOME`` names; studies share its jets."""

    path: Path

    @property
    def shards(self) -> Path:
        """Simulated jets, one folder for each content."""
        return self.path / "shards"

    @property
    def streams(self) -> Path:
        """Model-ready jets, one folder for each content."""
        return self.path / "streams"

    @property
    def database(self) -> Path:
        """MLflow's own file where no tracking server is named."""
        return self.path / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Files that MLflow shows for runs in `database`."""
        return self.path / "artifacts"

    @property
    def identity(self) -> Path:
        """What a tracking server knows this folder by."""
        return self.path / "home.json"

    def study(self, study: Study) -> "StudyFolder":
        """The folder of one study."""
        return StudyFolder(self.path / study.name)


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """Results of one study."""

    path: Path

    @property
    def measures(self) -> Path:
        """The last measurement of diversity and alignment."""
        return self.path / "measures.json"

    @property
    def map(self) -> Path:
        """The picture of that measurement."""
        return self.path / "mixtures.png"

    @property
    def driver_lock(self) -> Path:
        """Held while a sweep of the study runs."""
        return self.path / "run.lock"

    @property
    def mirror_lock(self) -> Path:
        """Held while MLflow is brought up to date."""
        return self.path / "mirror.lock"

    @property
    def ray(self) -> Path:
        """Ray's own state of a sweep on a cluster; nothing here reads it again."""
        return self.path / "ray"

    def checkpoint(self, key: str) -> Path:
        """State of an unfinished run."""
        return self.path / "checkpoints" / f"{key}.pt"

    def trunk(self, key: str) -> Path:
        """Weights that a pretraining run leaves to fine-tuning."""
        return self.path / "trunks" / f"{key}.pt"
