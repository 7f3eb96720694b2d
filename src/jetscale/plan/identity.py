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
OPTIMISER = "AdamW, decoupled weight decay on matrices, one gradient norm over all parameters"
SCHEDULE = "linear warm-up of at least 2 steps, cosine to zero at the run's own end"
EVALUATION = "last step, every validation and test jet"


def held_fixed(study: Study, streams: Mapping[str, str]) -> dict[str, Any]:
    """The held-fixed table: controls, architecture, conventions, downstream jets.

    Parameters
    ----------
    streams
        Content digest by stream name; may be empty before the streams exist. Evaluation streams
        enter. Training streams do not, their source and order do: the first D jets of a stream are
        the same however long it is. Pretraining streams are what varies.
    """
    evaluation = {
        f"stream.{name}": streams[name] for name in ("validation", "test") & streams.keys()
    }
    source = {f"source.{name}": value for name, value in source_identity(study).items()}
    fixed = {
        "architecture": ARCHITECTURE,
        "optimiser": OPTIMISER,
        "schedule": SCHEDULE,
        "evaluation": EVALUATION,
        "compute": COMPUTE,
    }
    return fixed | study.recipe.to_dict() | source | evaluation


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
