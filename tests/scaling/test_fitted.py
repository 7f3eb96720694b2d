"""What a fit returns: plain values, options, and the words for its intervals."""

import json

import pytest

from jetscale.as_json import as_json
from jetscale.scaling import fit
from jetscale.scaling.bootstrap import METHODS
from jetscale.scaling.engine.forms import CHINCHILLA, LAWS
from jetscale.scaling.fitted import Options


def test_options_name_the_defaults():
    assert Options() == Options(law="chinchilla", objective="huber", uncertainty=None, shared=())


def test_plain_values_say_how_they_came_about(grid, truth):
    result = fit(grid({"m": truth}), replicates=60, seed=3)
    plain = json.loads(json.dumps(as_json(result), allow_nan=False))
    assert plain["law"] == CHINCHILLA.formula
    assert plain["objective"] == "huber"
    assert plain["interval"] == METHODS["cells"]
    assert (plain["replicates"], plain["seed"], plain["shared"]) == (60, 3, [])
    assert plain["mixtures"]["m"]["law"] == "chinchilla"
    assert plain["mixtures"]["m"]["uncertainty"] == "cells"


def test_mixtures_of_different_size_name_both_methods(grid, truth):
    frame = grid({"many": truth, "few": truth})
    few = (frame["examples"] > 2e9) & (frame["params"] > 1e8)
    result = fit(frame[(frame["mixture"] == "many") | few], replicates=50)
    kinds = {name: fitted.uncertainty for name, fitted in result.mixtures.items()}
    assert kinds == {"many": "cells", "few": "components"}
    assert result.interval == "; ".join(METHODS[kind] for kind in dict.fromkeys(kinds.values()))


@pytest.mark.parametrize("law", ["chinchilla", "no-floor"])
def test_theta_follows_the_parameters_of_the_law(grid, truth, law):
    fitted = fit(grid({"m": truth}), replicates=50, law=law).mixtures["m"]
    assert fitted.law is LAWS[law]
    assert tuple(fitted.parameters) == fitted.law.parameters
    for value, estimate in zip(fitted.theta, fitted.parameters.values(), strict=True):
        assert value == estimate.value
