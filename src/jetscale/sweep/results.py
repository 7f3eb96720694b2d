"""The runs of a study as the table the analysis works on, pulled from MLflow.

Only runs of the study as it is now are returned: runs of an earlier version of the sweep file stay
in MLflow and in the record store, but are not mixed in.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from jetscale.errors import StudyError, SweepError
from jetscale.plan import plan_runs
from jetscale.plan.identity import check_same_controls
from jetscale.store.records import run_table, study_folder
from jetscale.study import Study
from jetscale.sweep.follow import LiveMirror
from jetscale.tracking.mirror import has_database


def results(study: Study, home: Path, tracking: str) -> tuple[pd.DataFrame, list[str]]:
    """Run table of a study and warnings about it.

    Records not yet mirrored are mirrored first. If MLflow does not answer, the table comes from the
    record files and a warning says so.

    Raises
    ------
    StudyError
        No run of this study has finished, or the runs were made with different controls.
    """
    planned = plan_runs(study)
    keys = {run.key for run in planned if run.kind == "finetune"}
    live = LiveMirror(study, study_folder(study, home), planned, tracking)
    warnings, frame = [], run_table(live.records())
    if len(frame) or has_database(tracking):
        live.push()
        if live.problem:
            warnings.append(f"{live.problem}; using the record files instead")
        else:
            frame = live.mirror.pull()
    frame = frame[frame["key"].isin(keys)]
    order = frame["mixture"].map([mixture.name for mixture in study.mixtures].index)
    frame = frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    if frame.empty:
        done = f"has no finished runs{_others(live)}"
        raise StudyError(f"study {study.name!r} {done}: start it with `jetscale run`")
    check_same_controls(frame)
    if len(frame) < len(keys):
        warnings.append(f"{len(keys) - len(frame)} of {len(keys)} runs are not done yet")
    return frame, warnings


def attach(study: Study, home: Path, tracking: str, texts: Mapping[str, str]) -> str:
    """Keep texts, by file name, as artifacts of the study's parent run in MLflow.

    Returns
    -------
    str
        Why MLflow did not take them; empty where it did.
    """
    live = LiveMirror(study, study_folder(study, home), plan_runs(study), tracking)
    try:
        live.attach(texts)
    except SweepError as error:
        return f"{error}; the report is not in MLflow"
    return ""


def _others(live: LiveMirror) -> str:
    """A hint for who edited a sweep file and wonders where the runs went."""
    others = len(live.store.keys() - live.keys)
    return f" ({others} with other settings are kept)" if others else ""
