"""The law that forecasts best is found, offered and taken, and never silently."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.scaling import fit
from jetscale.scaling.candidates import candidates
from jetscale.scaling.engine.forms import LAWS
from jetscale.scaling.heldout import Candidate, Candidates

pytestmark = pytest.mark.slow

PLAIN = [1.8, 480.0, 2100.0, 0.35, 0.37]
TRUTHS = {
    "chinchilla": PLAIN,
    "outer-power": [*PLAIN, 0.5],
    "interaction": [*PLAIN, 3e5, 0.9],
    "overfit": [1.8, 480.0, 300.0, 0.35, 0.37, 0.1],
}


def made(law: str, random: int = 0, noise: float = 0.004, mixture: str = "m") -> pd.DataFrame:
    axes = np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 1e11, 6), [0, 1]
    n, d, seed = (axis.ravel() for axis in np.meshgrid(*axes))
    off = noise * np.random.default_rng(random).normal(size=len(n))
    loss = LAWS[law].loss(np.array(TRUTHS[law]), n, d) * np.exp(off)
    columns = {"params": n, "examples": d, "loss": loss, "seed": seed.astype(int)}
    return pd.DataFrame({"mixture": mixture} | columns)


@pytest.mark.long
@pytest.mark.parametrize("law", TRUTHS)
def test_the_law_the_runs_follow_is_chosen(law):
    for random in range(3):
        fits = fit(made(law, random), law="auto", replicates=50)
        assert fits.options.law == law
        assert fits.warnings[0].startswith("law 'auto': ")
        assert ("no richer law" in fits.warnings[0]) == (law == "chinchilla")


@pytest.mark.long
def test_errors_are_those_of_the_formulas():
    frame = made("outer-power")
    found = candidates(fit(frame, replicates=50))
    top = frame["params"] == frame["params"].max()
    rank = (frame["params"] * frame["examples"]).rank(method="dense")
    dear = rank > rank.max() - 8  # not all of 36 cells differ in compute
    squares = []
    for out in (top, dear):
        law = fit(frame[~out], law="outer-power", replicates=50)["m"]
        held = frame[out].groupby(["params", "examples"], as_index=False)["loss"].mean()
        squares.append(np.log(held["loss"] / law.curve(held["params"], held["examples"])) ** 2)
    assert [one.law for one in found.tried] == [*TRUTHS]
    assert found.cells == sum(map(len, squares)) == 6 + 8
    error = np.sqrt(np.concatenate(squares).mean())
    assert found.tried[1].error == pytest.approx(error, rel=0.02)
    assert found.best == "outer-power"
    assert "the law 'outer-power' forecasts clearly better" in found.text
    assert f"outer-power {found.tried[1].error:.2%}" in found.text


@pytest.mark.long
def test_a_doubtful_default_law_comes_with_the_better_one():
    fits = fit(made("outer-power"), replicates=50)
    assert fits.options.law == "chinchilla"  # what was asked for is what is fitted
    assert fits.warnings[-1].endswith(": --law outer-power")
    assert not any("law" in line for line in fit(made("chinchilla"), replicates=50).warnings)
    kept = fit(made("outer-power"), law="no-floor", replicates=50)
    assert not any("--law" in line for line in kept.warnings)


@pytest.mark.long
def test_rivals_are_what_the_best_law_does_not_beat_clearly():
    def of(*errors):
        tried = (Candidate(law=n, error=e) for n, e in zip(TRUTHS, errors, strict=True))
        return Candidates(tried=tuple(tried), cells=9)

    assert of(0.042, 0.040, 0.042, 0.04).rivals == ("outer-power", "interaction", "overfit")
    assert of(0.055, 0.028, 0.055, 0.055).rivals == ()
    assert of(0.055, 0.028, 0.030, 0.055).rivals == ("interaction",)
    assert fit(made("outer-power"), law="auto", replicates=50).tried.rivals == ()
    assert "outer-power" in fit(made("chinchilla"), law="auto", replicates=50).tried.rivals
    assert fit(made("chinchilla"), replicates=50).tried is None, "nothing doubts it"
    assert fit(made("outer-power"), replicates=50).tried.best == "outer-power"


@pytest.mark.long
def test_one_law_for_all_mixtures():
    both = pd.concat([made("outer-power", 1, mixture="x"), made("outer-power", 2, mixture="y")])
    fits = fit(both, law="auto", replicates=50)
    assert fits.options.law == "outer-power"
    assert fits["x"].law is fits["y"].law is LAWS["outer-power"]


def test_too_few_runs_keep_the_default():
    frame = made("outer-power")
    few = frame[frame["params"] < 1e8]
    few = few[few["examples"] < 3e9]
    fits = fit(few, law="auto", replicates=50)
    assert fits.options.law == "chinchilla"
    assert any("too few runs to leave some out" in line for line in fits.warnings)


@pytest.mark.long
def test_a_richer_law_narrows_what_it_explains():
    frame = made("outer-power")
    plain, richer = (fit(frame, law=law, replicates=200)["m"] for law in ("chinchilla", "auto"))
    truth = float(LAWS["outer-power"].loss(np.array(TRUTHS["outer-power"]), 3e9, 3e11))
    wide, narrow = (one.expected(3e9, 3e11) for one in (plain, richer))
    assert narrow.low < truth < narrow.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_an_unknown_law_names_the_known_ones():
    with pytest.raises(FitError, match=r"unknown law 'outer-powr'.*outer-power"):
        fit(made("chinchilla"), law="outer-powr")
