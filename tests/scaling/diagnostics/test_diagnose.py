"""All checks at once: every law and objective, and plain values out."""

import json
from functools import partial

import numpy as np
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling import diagnose, fit
from jetscale.scaling.diagnostics.windows import windows

pytestmark = pytest.mark.slow

OTHER = np.array([1.7, 350.0, 2500.0, 0.33, 0.37])
SIZES = {"params": np.geomspace(1e7, 3e9, 4), "examples": np.geomspace(1e8, 1e11, 5)}
SLOW = partial(pytest.param, marks=pytest.mark.integration)


@pytest.fixture(scope="module")
def frame(grid, truth):
    runs = grid({"scratch": truth, "qcd": OTHER}, **SIZES)
    scratch = runs["mixture"] == "scratch"
    return runs.assign(
        pretraining_examples=np.where(scratch, 0.0, 1e9),
        unique_examples=np.minimum(runs["examples"], 1e10),
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {},
        SLOW({"law": "no-floor"}),
        SLOW({"law": "repetition"}),
        SLOW({"law": "transfer"}),
        SLOW({"objective": "squares"}),
        SLOW({"objective": "absolute"}),
        {"shared": ("alpha", "beta")},
        SLOW({"uncertainty": "wild"}),
    ],
    ids=str,
)
def test_every_law_and_objective(frame, options):
    fits = fit(frame, replicates=50, **options)
    found = diagnose(fits)
    assert list(found.mixtures) == ["scratch", "qcd"]
    for name, checks in found.mixtures.items():
        fitted = fits.mixtures[name]
        assert checks.mixture == name
        assert len(checks.influence.cells) == 20
        assert [f.left_out for f in checks.forecasts] == [
            "the largest model",
            "the cells of largest compute",
        ]
        assert [len(f.cells) for f in checks.forecasts] == [5, 4]
        for key, profile in checks.profiles.items():
            assert profile.value == pytest.approx(fitted.parameters[key].value)
            assert profile.low <= profile.value <= profile.high
        assert checks.windows == windows(fits, name, found.window_fits)
    json.dumps(as_json(found), allow_nan=False)


@pytest.mark.long
def test_the_forecast_shares_the_refit_of_the_window_scan(frame):
    found = diagnose(fit(frame, replicates=50, objective="squares"))
    part = found.window_fits["the largest model"]
    cell = found.mixtures["qcd"].forecasts[0].cells[0]
    expected = part.mixtures["qcd"].expected(cell.params, cell.examples)
    assert cell.predicted == pytest.approx(expected.value)


def test_a_mixture_too_small_for_a_law_is_left_out(frame):
    few = frame[(frame["mixture"] == "scratch") | (frame["params"] < 1e8)]
    fits = fit(few, replicates=50, objective="squares")
    assert set(fits.not_fitted) == {"qcd"}
    assert set(as_json(diagnose(fits).mixtures)) == {"scratch"}
