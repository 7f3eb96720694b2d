"""The runs of a study as the table the analysis works on, pulled from MLflow.

Only cells of the study as it is now are returned: runs of an earlier version of the sweep file stay
in MLflow and in the record store, but are not mixed in.
"""

from pathlib import Path

import pandas as pd

from jetscale.errors import StudyError, SweepError
from jetscale.plan import cells, study_identity, study_summary
from jetscale.study import Study
from jetscale.sweep.controls import check_same_controls
from jetscale.sweep.records import RecordStore, run_table, study_folder
from jetscale.sweep.tracking import Mirror


def results(study: Study, home: Path, tracking: str) -> tuple[pd.DataFrame, list[str]]:
    """Run table of a study and warnings about it.

    Records not yet mirrored are mirrored first. If MLflow does not answer, the table comes from the
    record files and a warning says so.

    Raises
    ------
    StudyError
        No run of this study has finished, or the runs were made with different controls.
    """
    planned = [cell for cell in cells(study) if cell.kind == "finetune"]
    keys = {cell.key for cell in planned}
    store = RecordStore(study_folder(study, home))
    warnings = []
    try:
        mirror = Mirror(tracking, study.name, study_folder(study, home) / "artifacts")
        records = store.all()
        if records:
            mirror.sync(records, mirror.parent(study_identity(study), study_summary(study)))
        frame = mirror.pull()
    except SweepError as error:
        warnings.append(f"{error}; using the record files instead")
        frame = run_table(store.all())
    frame = frame[frame["key"].isin(keys)]
    order = frame["mixture"].map([mixture.name for mixture in study.mixtures].index)
    frame = frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    if frame.empty:
        raise StudyError(f"study {study.name!r} has no finished runs: start it with `jetscale run`")
    check_same_controls(frame)
    if len(frame) < len(planned):
        warnings.append(f"{len(planned) - len(frame)} of {len(planned)} cells are not done yet")
    return frame, warnings
