"""The run table on a terminal."""

import pandas as pd

from jetscale.display.console import note, show_table
from jetscale.words import loss, short

_COLUMNS = ("mixture", "params", "examples", "seed", "flops", "loss")
_SHOWN = 40  # runs that are still read


def show_runs(frame: pd.DataFrame) -> None:
    """Show who, how large, and how well of each run; of very many the first."""
    rows = (
        (mixture, short(n), short(d), seed, f"{flops:.2g}", loss(reached))
        for mixture, n, d, seed, flops, reached in frame[list(_COLUMNS)].head(_SHOWN).to_numpy()
    )
    show_table("Finished runs", ("mixture", "N", "D", "seed", "FLOPs", "loss"), rows)
    if len(frame) > _SHOWN:
        note(f"{len(frame) - _SHOWN} more are not listed; all with --csv FILE or --json.")
