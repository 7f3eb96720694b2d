"""Columns of the run table that only some laws and some intervals need.

``unique_examples``: distinct examples a run drew its ``examples`` from. ``pretraining_examples``:
examples the model was pretrained on, 0 from scratch. ``trunk``: name of the run whose checkpoints
or data several rows share; blank where a row shares them with none.
"""

import numpy as np
import pandas as pd

from jetscale.errors import FitError, TableError
from jetscale.scaling.engine.forms import Law
from jetscale.scaling.engine.laws import Array

_NUMBERS = ("unique_examples", "pretraining_examples")


def with_covariates(runs: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The clean ``runs`` with the covariates that ``frame``, the table they came from, has.

    Raises
    ------
    TableError
        A value is not a number, or not one that makes sense.
    """
    extended = runs.copy()
    for name in _NUMBERS:
        if name in frame:
            extended[name] = _checked(frame, name)
    if "trunk" in frame:
        extended["trunk"] = _trunks(frame["trunk"])
    return extended


def _trunks(names: pd.Series) -> list[str]:
    """Names of the trunks; a run without one has its own."""
    blank = names.isna() | (names.astype(str).str.strip() == "")
    return [
        f"(row {row + 1})" if own else str(name)
        for row, (name, own) in enumerate(zip(names, blank, strict=True))
    ]


def _checked(frame: pd.DataFrame, name: str) -> Array:
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    least = "zero or more" if name == "pretraining_examples" else "a number above zero"
    good = np.isfinite(values) & (values >= 0)
    if name != "pretraining_examples":
        good &= values > 0
    for row in np.flatnonzero(~good):
        raise TableError(f"row {row + 1}: {name} is {str(frame[name].iloc[row])!r}, needs {least}")
    return np.asarray(values)


def lacking(runs: pd.DataFrame, law: Law) -> str:
    """What the runs of a mixture lack for a law beside sizes, or an empty string."""
    for name in law.columns:
        if name not in runs:
            return f"has no column {name}, which the law {law.name!r} needs"
    if law.name == "repetition" and not (runs["unique_examples"] < runs["examples"]).any():
        return "has no run with examples above unique_examples: nothing is repeated"
    if law.name == "pretraining" and not (runs["pretraining_examples"] > 0).all():
        return "has runs from scratch: the law 'pretraining' needs pretraining_examples above zero"
    if law.name == "pretraining" and runs["pretraining_examples"].nunique() < 2:
        return "has one value of pretraining_examples, needs at least 2"
    return ""


def check_scratch(runs: pd.DataFrame, law: Law) -> None:
    """Refuse effective data transferred without runs that say what an example is worth.

    Raises
    ------
    FitError
        No run is from scratch.
    """
    if law.name == "transfer" and not (runs["pretraining_examples"] == 0).any():
        raise FitError(
            "the law 'transfer' needs a mixture from scratch (pretraining_examples 0): it says "
            "what an example is worth"
        )
