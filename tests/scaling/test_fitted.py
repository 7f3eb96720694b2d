"""What a fit returns: plain values, options, and the words for its intervals."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.bootstrap import METHODS
from jetscale.scaling.engine.forms import CHINCHILLA, LAWS
from jetscale.scaling.fitted import Options


def test_options_name_the_defaults():
    assert Options() == Options(law="chinchilla", objective="huber", uncertainty=None, shared=())


@pytest.mark.slow
def test_plain_values_say_how_they_came_about(grid, truth):
    result = fit(grid({"m": truth}), replicates=60, seed=3)
    plain = json.loads(json.dumps(as_json(result), allow_nan=False))
    assert plain["law"] == CHINCHILLA.formula
    assert plain["objective"] == "huber"
    assert plain["interval"] == METHODS["components"]
    assert (plain["replicates"], plain["seed"], plain["shared"]) == (60, 3, [])
    assert plain["mixtures"]["m"]["law"] == "chinchilla"
    assert plain["mixtures"]["m"]["uncertainty"] == "components"


@pytest.mark.long
def test_mixtures_of_different_size_share_a_method(grid, truth):
    frame = grid({"many": truth, "few": truth})
    few = (frame["examples"] > 2e9) & (frame["params"] > 1e8)
    result = fit(frame[(frame["mixture"] == "many") | few], replicates=50)
    assert {fitted.uncertainty for fitted in result.mixtures.values()} == {"components"}
    assert result.interval == METHODS["components"]


@pytest.mark.long
@pytest.mark.parametrize("law", ["chinchilla", "no-floor"])
def test_theta_follows_the_parameters_of_the_law(grid, truth, law):
    fitted = fit(grid({"m": truth}), replicates=50, law=law).mixtures["m"]
    assert fitted.law is LAWS[law]
    assert tuple(fitted.parameters) == fitted.law.parameters
    for value, estimate in zip(fitted.theta, fitted.parameters.values(), strict=True):
        assert value == estimate.value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"law": "chinchila"}, "did you mean 'chinchilla'"),
        ({"objective": "hubber"}, "did you mean 'huber'"),
        ({"uncertainty": "cell"}, "did you mean 'cells'"),
        ({"shared": ("A",)}, "shared is A: mixtures can share some of"),
        ({"replicates": 49}, "replicates is 49, needs at least 50"),
        ({"delta": 0.0}, "delta is 0.0, needs a finite number"),
    ],
)
def test_options_that_cannot_be_are_no_options(change, message):
    with pytest.raises(FitError, match=message):
        Options(**change)


@pytest.mark.long
def test_keywords_override_the_options(grid, truth):
    frame = grid({"m": truth})
    asked = Options(law="no-floor", replicates=60, seed=3)
    assert fit(frame, asked).options == asked
    assert fit(frame, asked, law="chinchilla").options == replace(asked, law="chinchilla")


@pytest.mark.parametrize("law", ["repetition", "transfer", "pretraining", "interaction"])
def test_laws_with_further_exponents_are_not_compared(law):
    with pytest.raises(
        FitError, match=f"a comparison needs a law with .* under '{law}'.* or 'overfit'"
    ):
        Options(law=law).check_comparable()
    for name in ("no-floor", "outer-power", "overfit", "auto"):
        Options(law=name).check_comparable()


@pytest.mark.slow
def test_numbers_are_found_by_name(grid, truth):
    frame = grid({"m": truth, "few": truth})
    laws = fit(frame[(frame["mixture"] == "m") | (frame["params"] < 2e7)], replicates=50)
    fitted = laws["m"]
    assert fitted["alpha"] is fitted.parameters["alpha"]
    assert fitted["a"] is fitted.frontier["a"] is fitted.frontier["params_exponent"]
    assert fitted["data_exponent"] is fitted.frontier["b"]
    assert set(as_json(fitted.frontier)) == {"params_exponent", "data_exponent"}
    with pytest.raises(KeyError, match="unknown mixture 'n'; known: m"):
        laws["n"]
    with pytest.raises(KeyError, match="mixture 'few' was not fitted: it has 1 model size"):
        laws["few"]
    with pytest.raises(KeyError, match="unknown parameter 'alpa'; did you mean 'alpha'"):
        fitted["alpa"]
    with pytest.raises(KeyError, match="unknown exponent 'c'"):
        fitted.frontier["c"]


@pytest.mark.slow
def test_laws_are_shown_and_framed(grid, truth):
    laws = fit(grid({"m": truth}), replicates=50)
    frame = laws.to_frame().set_index(["mixture", "number"])
    assert list(frame.columns) == ["value", "low", "high", "identified", "reason"]
    assert frame.loc[("m", "alpha"), "value"] == laws["m"]["alpha"].value
    assert frame.loc[("m", "params_exponent"), "high"] == laws["m"]["a"].high
    assert "Frontier: N* ~ C^a, D* ~ C^b" in str(laws)
    assert "<table" in laws._repr_html_()
    assert "alpha" in laws._repr_html_()
    assert len(repr(laws)) < 10_000


@pytest.mark.slow
def test_a_law_predicts(grid, truth):
    fitted = fit(grid({"m": truth}), replicates=50)["m"]
    found = fitted.curve([1e8, 1e9], 1e9)
    assert found == pytest.approx(fitted.law.loss(fitted.theta, np.array([1e8, 1e9]), 1e9))


@pytest.mark.slow
def test_new_runs_lie_in_the_intervals_predicted_for_them(grid, truth):
    spread, rng = 0.02, np.random.default_rng(3)
    runs = grid({"m": truth}, seeds=4, noise=spread)
    laws = fit(runs, replicates=400)
    params, examples = float(runs["params"].median()), float(runs["examples"].median())
    row = laws.predict(params, examples).iloc[0]
    fresh = CHINCHILLA.loss(truth, params, examples) * np.exp(rng.normal(0, spread, 4000))
    inside = ((row["loss_low"] <= fresh) & (fresh <= row["loss_high"])).mean()
    assert 0.92 < inside < 0.99  # 95% for the true noise; the fit knows it from 4 seeds a cell
    assert row["loss"] == laws["m"].expected(params, examples).value
    assert row["decades_beyond"] == 0


@pytest.mark.long
def test_sizes_broadcast_and_none_hangs_on_another(grid, truth):
    laws = fit(grid({"a": truth, "b": truth}), replicates=50)
    several = laws.predict([[1e8], [3e11]], [1e9, 1e10], "b")
    assert several["mixture"].tolist() == 4 * ["b"]
    assert several[["params", "examples"]].to_numpy().tolist()[1] == [1e8, 1e10]
    alone = laws.predict(3e11, 1e10)
    assert alone["mixture"].tolist() == ["a", "b"]
    assert alone.iloc[1].tolist() == several.iloc[3].tolist()
    beyond = np.log10(laws.cost.flops(3e11, 1e10) / laws.flops[1])
    assert alone["decades_beyond"][0] == pytest.approx(beyond)


@pytest.mark.long
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((-1e8, 1e9), "params is -1e\\+08, needs a number above zero"),
        ((1e8, float("nan")), "examples is nan, needs a number above zero"),
        ((1e8, 1e9, "mm"), "unknown mixture 'mm'; did you mean 'm'"),
        ((1e8, 1e9, "few"), "mixture 'few' was not fitted: it has"),
        ((1e20, 1e20), "decades from the measured compute: no law reaches that far"),
    ],
)
def test_what_cannot_be_predicted_is_said_in_a_line(grid, truth, asked, told):
    few = grid({"few": truth}).head(2)
    laws = fit(pd.concat([grid({"m": truth}), few]), replicates=50)
    with pytest.raises(FitError, match=told) as error:
        laws.predict(*asked)
    assert "\n" not in str(error.value)


@pytest.mark.long
def test_what_predict_does_not_know_is_refused(grid, truth):
    laws = fit(grid({"m": truth}), replicates=50)
    with pytest.raises(FitError, match="predict knows no 'mixtures'"):
        laws.predict(1e8, 1e9, mixtures="m")
    with pytest.raises(FitError, match="2 params and 3 examples; give equally many"):
        laws.predict([1e8, 1e9], [1e9, 1e10, 1e11])
