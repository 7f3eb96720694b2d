"""What a graph makes of raw columns is what the streams were made of."""

import numpy as np
import pytest
import torch
from fixtures import stars
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.classifiers.inputs import Inputs
from jetscale.classifiers.sample import made_up_jets
from jetscale.jets.schema import JETS
from jetscale.mixtures.standardise import standardise


def both(table, schema, features, limit, scale_pt):
    """(T, F) inputs as the streams have them, and as torch makes them of padded columns."""
    wanted = standardise(table, features, limit, scale_pt=scale_pt, schema=schema)
    inputs = Inputs(schema, features, limit, scale_pt)
    x, jets, mask = map(torch.from_numpy, inputs.arrays(table))
    found = inputs.values(x, jets if inputs.of_jet else None, mask)
    assert not found[~mask].any()
    assert mask.sum(1).tolist() == wanted.lengths.tolist()
    return wanted.values, found[mask].numpy()


@pytest.mark.parametrize("scale_pt", [None, 500.0])
@pytest.mark.parametrize("features", JETS.feature_sets)
def test_columns_of_jets_become_the_published_inputs(make_jets, features, scale_pt):
    for table in (make_jets(50, range(10)), made_up_jets(JETS, features, 40)):
        extra = {} if "jet_label" in table.column_names else {"jet_label": [0] * len(table)}
        for name, values in extra.items():
            table = table.append_column(name, [values])
        wanted, found = both(table, JETS, features, 30, scale_pt)
        assert np.abs(wanted - found).max() < 2e-6


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(0, 100))
def test_jets_may_be_cut_and_sliced_anywhere(limit, seed):
    from conftest import jets

    table = jets(9, [0, 1], seed).slice(seed % 5, 3)
    wanted, found = both(table, JETS, "kinpid", limit, None)
    assert np.abs(wanted - found).max() < 2e-6


def test_columns_of_another_field_are_scaled_and_clipped():
    corpus = stars.corpus()
    table = next(stars.light_curves(stars.KINDS, 40, 1))
    wanted, found = both(table, corpus.schema, "all", 6, None)
    assert np.abs(wanted - found).max() < 1e-6


def test_a_jet_of_zeros_and_constituents_beyond_the_limit_change_nothing_else(make_jets):
    table = make_jets(6, range(10))
    inputs = Inputs(JETS, "kin", 128, None)
    x, jets, mask = map(torch.from_numpy, inputs.arrays(table))
    mask[0, 0] = True
    x[0, 0] = 0.0  # no momentum: its logarithm is clipped, not infinite
    assert inputs.values(x, jets, mask).isfinite().all()
    short = Inputs(JETS, "kin", 3, None).batch(x, jets, mask)
    (view,) = short.views
    assert ((view.mean > 0).sum(1) <= 3).all()
    assert torch.allclose(view.mean.sum(1), torch.ones(6))
