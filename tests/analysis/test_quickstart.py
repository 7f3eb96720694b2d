import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling import pair_runs

SCRIPT = Path(__file__).parents[2] / "analysis" / "quickstart.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


@pytest.fixture(scope="module")
def frame():
    """Twice the data is what pretraining is worth at every size."""
    rows = [
        {"mixture": name, "params": n, "examples": d, "seed": s, "loss": 1 + 30 / (f * d) ** 0.5}
        for name, f in (("scratch", 1), ("qcd", 2))
        for n in (900, 20_000)
        for d in (500, 1000, 2000, 4000)
        for s in (1, 2)
    ]
    return pd.DataFrame(rows)


def test_the_figure_is_a_picture(script, frame, tmp_path):
    script["draw"](frame, pair_runs(frame), tmp_path / "q.png")
    content = (tmp_path / "q.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000


def test_the_curves_are_those_of_the_largest_model(script, frame):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    script["draw_losses"](axes, frame)
    means = [line for line in axes.lines if line.get_label() in ("scratch", "qcd")]
    assert [line.get_label() for line in means] == ["scratch", "qcd"]
    np.testing.assert_allclose(means[0].get_ydata(), 1 + 30 / np.sqrt([500, 1000, 2000, 4000]))


def test_the_table_has_a_row_per_size_and_one_for_all(script, frame):
    lines = script["markdown"](pair_runs(frame)).splitlines()
    assert len(lines) == 2 + 4 + 1
    assert lines[2].startswith("| qcd - scratch | 500 | -")
    assert lines[-1].endswith("| 16 of 16 |")


def test_colours_are_fixed_by_the_order_of_the_study(script, frame):
    assert list(script["colours"](frame)) == ["scratch", "qcd"]
