"""Settings that a search tries beside the rates, against those of the study in the same cells."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

_CELL = ["start", "mixture", "width", "examples", "seed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingEffect:
    """What a choice of settings does to the loss, over all mixtures, cells and seeds."""

    setting: str  # as the table calls it: ``weight_decay=0.1``
    effect: float  # mean change of log validation loss; infinite where a run diverged
    error: float  # its standard error over cells
    pairs: int


def setting_effects(table: pd.DataFrame) -> tuple[SettingEffect, ...]:
    """Return the effect of every ``setting`` of a search table, in its order.

    Where the study's own run diverged there is nothing to compare with, and the pair is left out.
    The table has columns ``setting``, empty for the study's own, and ``factor``, 1 for its own
    rate, beside those of `check_search`.
    """
    table = table[table["start"] != "pretraining"].fillna({"loss": math.inf})
    base = table[(table["setting"] == "") & (table["factor"] == 1) & np.isfinite(table["loss"])]
    logs = np.log(base.set_index(_CELL)["loss"])
    effects = []
    for setting, part in table[table["setting"] != ""].groupby("setting", sort=False):
        change = (np.log(part.set_index(_CELL)["loss"]) - logs).dropna()
        # the runs of a cell share its jets: cells are what varies
        cells = change.groupby(_CELL[:-1]).mean().to_numpy()
        known = len(cells) > 1 and bool(np.isfinite(cells).all())
        effects.append(
            SettingEffect(
                setting=str(setting),
                effect=float(cells.mean()) if len(cells) else math.nan,
                error=float(cells.std(ddof=1) / math.sqrt(len(cells))) if known else math.inf,
                pairs=len(change),
            )
        )
    return tuple(effects)
