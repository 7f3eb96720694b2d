import numpy as np
import pytest

from jetscale.errors import StudyError
from jetscale.jets.schema import FEATURES
from jetscale.models.inputs import INPUT_SCALE, FeatureInput, feature_inputs


def test_every_feature_of_jets_has_a_scale():
    assert INPUT_SCALE.keys() == FEATURES.keys()


def test_inputs_keep_the_order_and_carry_the_table():
    inputs = feature_inputs(["part_dphi", "part_pt_log"])
    assert [feature.name for feature in inputs] == ["part_dphi", "part_pt_log"]
    assert inputs[1] == FeatureInput(name="part_pt_log", mean=0.14, scale=0.85)


def test_an_unknown_feature_names_the_nearest():
    with pytest.raises(StudyError, match="unknown feature 'part_dph'; did you mean 'part_dphi'"):
        feature_inputs(["part_dph"])


def test_the_scales_suit_real_jets(real_data):
    folder = real_data / "jetclass_top_100"
    mask = np.load(folder / "pf_mask.npy")[:, 0] > 0
    values = np.load(folder / "pf_features.npy").transpose(0, 2, 1)[mask]
    means, scales = np.array([INPUT_SCALE[name] for name in FEATURES]).T
    standard = (values - means) / scales
    assert (np.abs(standard.mean(0)) < 0.5).all()
    assert (standard.std(0) > 0.2).all()
    assert (standard.std(0) < 1.4).all()
