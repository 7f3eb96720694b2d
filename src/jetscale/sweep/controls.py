"""What is held fixed while only the mixture varies, and proof that it was.

Every record carries this table and its digest. Records with different digests must not be compared:
the difference is shown side by side instead.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from jetscale.errors import StudyError
from jetscale.plan import ARCHITECTURE, source_identity
from jetscale.study import Study

COMPUTE = "training FLOPs counted from the architecture, real constituents, MAC = 2 FLOPs"


def held_fixed(study: Study, streams: Mapping[str, str]) -> dict[str, Any]:
    """The held-fixed table: controls, architecture, compute convention, downstream streams.

    Parameters
    ----------
    streams
        Content digest by stream name; pretraining streams are what varies and are left out.
    """
    downstream = {
        f"stream.{name}": value
        for name, value in sorted(streams.items())
        if not name.startswith("pretrain-")
    }
    source = {f"source.{name}": value for name, value in source_identity(study).items()}
    fixed = {"architecture": ARCHITECTURE, "compute": COMPUTE, **study.controls.to_dict()}
    return fixed | source | downstream


def check_same_controls(frame: pd.DataFrame) -> None:
    """Refuse to compare runs whose controls differ.

    Parameters
    ----------
    frame
        Runs with the columns mixture, controls_digest and controls (a mapping).

    Raises
    ------
    StudyError
        With the differing fields side by side.
    """
    arms = frame.drop_duplicates("controls_digest")
    if len(arms) < 2:
        return
    first, other = arms.iloc[0], arms.iloc[1]
    names = sorted(first["controls"].keys() | other["controls"].keys())
    pairs = [(name, first["controls"].get(name), other["controls"].get(name)) for name in names]
    text = "; ".join(f"{name}: {a!r} against {b!r}" for name, a, b in pairs if a != b)
    raise StudyError(
        f"runs of {first['mixture']!r} and {other['mixture']!r} were made with different controls "
        f"and cannot be compared ({text}); rerun one of them"
    )
