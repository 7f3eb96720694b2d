"""Expected losses with what the law misses: truth held, and wider only as far as needed."""

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling import fit as checked_fit
from jetscale.scaling.engine import laws
from jetscale.scaling.fit import fit

pytestmark = pytest.mark.slow

SIZES = np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 1e11, 6)


def outer(n, d):
    return 1.7 + (480**1.4 * n**-0.5 + 2100**1.4 * d**-0.52) ** 0.7


def table(surface, seed, noise=0.005, seeds=1):
    n, d, s = (a.ravel() for a in np.meshgrid(*SIZES, np.arange(seeds), indexing="ij"))
    loss = surface(n, d) * np.exp(noise * np.random.default_rng(seed).normal(size=len(n)))
    return pd.DataFrame({"mixture": "m", "params": n, "examples": d, "seed": s, "loss": loss})


@pytest.mark.long
def test_a_law_of_another_form_is_held_beyond_the_runs():
    held, errors, alone = 0, [], []
    for seed in range(15):
        fitted = fit(table(outer, seed), replicates=100)["m"]
        truth, expected = outer(3e9, 3e11), fitted.expected(3e9, 3e11)
        held += expected.low <= truth <= expected.high
        errors.append(abs(np.log(expected.value / truth)))
        alone.append(abs(np.log(fitted.curve(3e9, 3e11) / truth)))
    assert held >= 12
    assert np.median(errors) < 0.6 * np.median(alone), "the misfit found is put to use"


@pytest.mark.long
def test_runs_of_little_noise_are_followed_where_others_scatter():
    """Misfit and law are told apart by the same weights: else the expected losses miss all runs."""
    off = []
    for seed in range(6):
        frame = table(outer, seed, noise=0.0)
        place = np.log(frame["examples"] / SIZES[1].min()) / np.log(SIZES[1].max() / SIZES[1].min())
        noise = 0.03 * np.exp(-3.5 * place)  # a tenth of a percent at the largest D
        frame["loss"] *= np.exp(noise * np.random.default_rng(seed).normal(size=len(frame)))
        fitted = fit(frame, replicates=50)["m"]
        large = frame[frame["examples"] == SIZES[1].max()]
        n, d = large["params"].to_numpy(), large["examples"].to_numpy()
        expected = fitted.losses(n[:, None], d[:, None])[:, 0]
        off.append(np.abs(np.log(expected / outer(n, d))).max())
    assert np.median(off) < 0.003


@pytest.mark.long
def test_where_the_law_holds_intervals_are_hardly_wider(truth):
    ratios = []
    for seed in range(15):
        fitted = fit(table(lambda n, d: laws.loss(truth, n, d), seed), replicates=100)["m"]
        expected = fitted.expected(3e9, 3e11)
        draws = fitted.law.loss(fitted.replicates.theta, 3e9, 3e11)
        ratios.append((expected.high - expected.low) / np.ptp(np.quantile(draws, [0.025, 0.975])))
    assert 0.9 < np.median(ratios) < 2.0


def test_losses_are_those_of_the_law_and_the_misfit(truth):
    fitted = fit(table(outer, 0), replicates=50)["m"]
    one, many = fitted.losses(1e9, 1e11), fitted.losses([[1e9], [2e9]], [[1e11], [1e11]])
    assert one.shape == (51,)
    assert many.shape == (2, 51)
    assert many[0] == pytest.approx(one)
    sizes = np.linspace(1e8, 1e9, 51)
    own = fitted.losses(sizes, 1e11)
    assert own[3] == pytest.approx(fitted.losses(sizes[3], 1e11)[3]), "each replicate at its size"
    inside = fitted.expected(1e8, 1e10)
    assert inside.value == pytest.approx(outer(1e8, 1e10), rel=0.01)


def test_mixtures_on_the_same_cells_are_paired(truth):
    frame = table(outer, 0, seeds=2)
    both = pd.concat([frame, frame.assign(mixture="b", loss=2 * frame["loss"])], ignore_index=True)
    fits = fit(both, replicates=50)
    ratio = fits["b"].losses(3e9, 3e11) / fits["m"].losses(3e9, 3e11)
    assert ratio == pytest.approx(np.full(51, 2.0), rel=1e-3)
    shuffled = fit(both.sample(frac=1, random_state=2), replicates=50)
    assert shuffled["m"].losses(3e9, 3e11) == pytest.approx(fits["m"].losses(3e9, 3e11), rel=1e-4)


def test_very_many_runs_take_one_linear_step(truth, monkeypatch):
    frame = table(lambda n, d: laws.loss(truth, n, d), 0, seeds=3)
    refitted = fit(frame, replicates=100)["m"]
    monkeypatch.setattr("jetscale.scaling.outlook._MANY", 0)
    stepped = fit(frame, replicates=100)["m"]
    for name in ("alpha", "beta"):
        first, second = refitted[name], stepped[name]
        assert second.high - second.low == pytest.approx(first.high - first.low, rel=0.15)
    assert stepped.expected(1e9, 1e11).value == pytest.approx(
        refitted.expected(1e9, 1e11).value, rel=1e-3
    )


def test_a_smooth_misfit_is_told_and_leaves_parameters_undetermined():
    fitted = fit(table(outer, 0, noise=0.002), replicates=50)["m"]
    assert fitted.misfit.clear
    assert not fitted["a"].identified
    assert "deviate smoothly from the law" in fitted["alpha"].reason
    assert sum("deviate smoothly" in line for line in fitted.warnings) == 1


def test_a_floor_is_no_higher_than_what_was_measured(truth):
    frame = table(lambda n, d: laws.loss(truth, n, d) - 0.6 * (n > 9e8), 0)
    fitted = fit(frame, replicates=50)["m"]
    assert fitted["E"].value <= frame["loss"].min() * np.exp(fitted.delta) * (1 + 1e-9)


@pytest.mark.long
def test_forecasts_that_fail_widen_what_is_expected(truth):
    def steep(n, d):
        return laws.loss(truth, n, d) + 0.2 * (n / 1e9) ** 2

    frame = table(steep, 0, noise=0.003, seeds=2)
    plain, checked = fit(frame, replicates=60)["m"], checked_fit(frame, replicates=60)["m"]
    assert checked.forecasts[0].suspicious
    assert not checked["a"].identified
    assert any("forecasts without the largest model hold" in line for line in checked.warnings)
    first, second = (f.expected(4e9, 3e11) for f in (plain, checked))
    assert second.high - second.low > 1.5 * (first.high - first.low)
    assert second.value == pytest.approx(first.value)


@pytest.mark.long
def test_runs_of_new_trunks_differ_as_trunks_do(truth):
    """Runs of a trunk have in common how it differs; a run of a new trunk differs as much."""
    found = []
    for seed in range(8):
        frame = table(lambda n, d: laws.loss(truth, n, d), seed, noise=0.01, seeds=3)
        labels, number = np.unique(frame[["params", "seed"]], axis=0, return_inverse=True)
        frame["trunk"] = number.ravel().astype(str)
        effects = 0.02 * np.random.default_rng(seed).normal(size=len(labels))
        frame["loss"] *= np.exp(effects[number.ravel()])
        outlook = fit(frame, replicates=100)["m"].replicates.outlook
        noise = outlook.noise(np.full(2, 3e9), np.full(2, 1e10), np.array([1, 3]))
        found.append(np.median(noise, axis=1))
    typical = np.mean(found, axis=0)
    assert typical == pytest.approx([0.0005**0.5, (0.0005 / 3) ** 0.5], rel=0.25)
