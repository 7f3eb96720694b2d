"""jetscale: what to pretrain on, how it scales, and how to spend the compute."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from jetscale.study import Study

__version__ = "0.1.0"


def load_study(path: str | Path) -> "Study":
    """The study that a sweep file describes (see `jetscale.study.load.load_study`)."""
    from jetscale.study.load import load_study

    return load_study(Path(path))


def runs(
    study: "Study", *, home: str | Path | None = None, source: str | None = None
) -> "pd.DataFrame":
    """The finished runs of a study as a table (see `jetscale.sweep.runs.load_runs`).

    Args:
        home: Results folder; ``$JETSCALE_HOME`` or ``./runs`` if not given.
        source: ``mlflow`` or ``records``; MLflow with the records as a fallback if not given.
    """
    import os

    from jetscale.store.home import Home
    from jetscale.sweep.runs import RunSource, load_runs
    from jetscale.tracking.address import tracking_uri

    folder = Home(Path(home or os.environ.get("JETSCALE_HOME") or "runs"))
    chosen = RunSource(source) if source else None
    return load_runs(study, folder, tracking_uri(folder), chosen)[0]
