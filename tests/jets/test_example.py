import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import DataError, StudyError
from jetscale.jets.example import Feature, check_names, make_schema, schema_from
from jetscale.jets.schema import FEATURES, JETS

FINITE = st.floats(-1e6, 1e6, width=32)


@pytest.mark.slow
@given(st.lists(FINITE, min_size=1, max_size=20), FINITE, st.floats(0.01, 100))
def test_a_feature_is_shifted_scaled_and_cut(values, mean, scale):
    feature = Feature(name="f", mean=mean, scale=scale, low=-2.0, high=3.0)
    found = feature.transform(np.float32(values))
    expected = np.clip((np.array(values) - mean) / scale, -2, 3)
    assert found.dtype == np.float32
    # single precision loses digits of x - mean where the two are close
    error = 1e-6 * (np.abs(values) + abs(mean)) / scale + 1e-5
    assert (np.abs(found - expected) <= error).all()


def test_without_a_mean_values_stay_as_they_are():
    values = np.float32([-1e9, 0.1, 1e9])
    assert Feature(name="f", mean=None).transform(values) is values


def test_factors_of_jets_are_the_published_ones():
    for name, factor in (("part_pt_log", 0.7), ("part_deltaR", 4.0), ("part_d0err", 1.0)):
        assert np.float32(FEATURES[name].factor) == np.float32(factor)


@pytest.mark.parametrize(
    "change", [{"scale": 0.0}, {"scale": -1.0}, {"mean": np.nan}, {"low": 5.0}, {"high": np.inf}]
)
def test_a_feature_that_cannot_be_scaled(change):
    with pytest.raises(StudyError, match=r"feature 'f': mean .* needs finite numbers, scale > 0"):
        Feature(name="f", **change)


def test_a_schema_of_another_field_goes_to_a_manifest_and_back():
    schema = make_schema(
        noun="shower",
        features=(Feature(name="depth", mean=8.0, scale=6.0, low=-3.0), Feature(name="energy")),
        feature_sets={"all": ("depth", "energy"), "where": ("depth",)},
        typical_length=20.0,
    )
    back = schema_from(json.loads(json.dumps(schema.to_dict(), allow_nan=False)))
    assert back == schema != JETS
    assert back.features == schema.features
    assert [f.name for f in back.features_of("where")] == ["depth"]
    assert (back.columns, back.label, back.count) == (("depth", "energy", "label"), "label", None)


def test_an_unknown_feature_set_or_an_absent_column_is_named():
    schema = make_schema(noun="star", features=(Feature(name="time"), Feature(name="flux")))
    with pytest.raises(StudyError, match="unknown feature set 'kinpid'; known: all"):
        schema.features_of("kinpid")
    with pytest.raises(DataError, match=r"x lacks columns flux, .* works with these stars"):
        schema.check_columns(("time", "label"), "all", "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": ()}, "feature names are"),
        ({"features": (Feature(name="a"), Feature(name="a"))}, "feature 'a' is listed twice"),
        ({"features": (Feature(name="label"),)}, "feature 'label': .* a column of its own"),
        ({"features": (Feature(name="part_px"),)}, "begin with part_"),
        ({"features": (Feature(name="a", inputs=("b",)),)}, "feature 'a'"),
        ({"features": (Feature(name="a b"),)}, "use letters, digits"),
        ({"noun": ""}, "noun ''"),
        ({"feature_sets": {"s": ()}}, "feature set 's': feature names are"),
    ],
)
def test_a_schema_that_cannot_be(change, message):
    good = {"noun": "star", "features": (Feature(name="a"),)}
    with pytest.raises(DataError, match=message):
        make_schema(**(good | change))


def test_a_feature_set_with_an_unknown_feature():
    with pytest.raises(StudyError, match="feature set 's': unknown feature 'tme'; did you mean"):
        make_schema(
            noun="star", features=(Feature(name="time"),), feature_sets={"s": ("time", "tme")}
        )


@pytest.mark.parametrize("names", ["abc", (), ("a", "a"), ("a,b",), ("a*",), ("",), (3,)])
def test_names_that_a_part_could_not_spell(names):
    with pytest.raises(DataError, match="class"):
        check_names("class", names)


def test_equal_numbers_of_a_feature_are_equal_in_its_digest():
    written = Feature(name="f", mean=0, scale=np.float32(1), low=-5, high=np.int64(5))
    assert repr(written) == repr(Feature(name="f")) == repr(Feature(name="f", mean=-0.0))


@pytest.mark.parametrize(
    "change",
    [{"mean": "0"}, {"scale": None}, {"low": True}, {"scale": 10**400}, {"high": np.ones(2)}],
)
def test_what_is_no_number_is_refused(change):
    with pytest.raises(StudyError, match=r"feature 'f': .*needs finite numbers"):
        Feature(name="f", **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({"features": bad}, "features are .*needs several of type Feature")
            for bad in ("e", ("e",), None, Feature(name="e"))
        ),
        *(
            ({"typical_length": bad}, "typical_length is .*needs a number above zero")
            for bad in (float("nan"), 0, -1.0, "3", None)
        ),
        ({"feature_sets": 3}, "feature_sets is 3, needs names"),
        ({"feature_sets": {3: ("a",)}}, "feature_sets is {3: .*needs names"),
        ({"feature_sets": {"s": 3}}, "feature set 's': feature names are 3"),
    ],
)
def test_values_of_another_type_are_one_line(change, message):
    with pytest.raises(DataError, match=message):
        make_schema(**({"noun": "star", "features": (Feature(name="a"),)} | change))
