import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import DataError, StudyError
from jetscale.jets import schema
from jetscale.mixtures.standardise import columns_for


def test_the_188_labels_are_those_published(real_data):
    notes = real_data.parent / "notes" / "jetclass2_labels.json"
    if not notes.is_file():
        pytest.skip("no list of labels beside the sample data")
    names = [name.removeprefix("label_") for name in json.loads(notes.read_text())]
    assert list(schema.JETCLASS2) == names
    assert len(set(names)) == 188


def test_parts_cover_jetclass2_once():
    assert [len(part.labels) for part in schema.PARTS.values()] == [15, 146, 27]
    joined = [label for part in schema.PARTS.values() for label in part.labels]
    assert tuple(joined) == schema.JETCLASS2


def test_every_corpus_names_each_class_once():
    for corpus, classes in schema.CORPORA.items():
        assert len(set(classes)) == len(classes)
        assert schema.classes_of(corpus) == classes
    assert [len(c) for c in schema.CORPORA.values()] == [10, 188, 2, 2, 5, 1]
    assert schema.TOP.index("top") == schema.QUARKGLUON.index("quark") == 1
    with pytest.raises(DataError, match="unknown corpus 'tops'; did you mean 'top'"):
        schema.classes_of("tops")


@pytest.mark.slow
@given(st.lists(st.sampled_from(schema.JETCLASS2), min_size=1, max_size=6, unique=True))
def test_a_selection_of_labels_in_any_order(labels):
    part = schema.part_named(", ".join(labels))
    assert set(part.labels) == set(labels)
    assert list(part.labels) == sorted(labels, key=schema.JETCLASS2.index)
    assert part.slug == schema.part_named(",".join(reversed(labels))).slug or part.name.isalnum()


def test_patterns_and_unknown_labels():
    assert schema.part_named("X_??").labels == schema.JETCLASS2[:12]
    with pytest.raises(StudyError, match="unknown part or label 'X_bbb'"):
        schema.part_named("X_cc,X_bbb")


@pytest.mark.parametrize("feature_set", schema.FEATURE_SETS)
def test_inputs_are_the_columns_that_standardisation_reads(feature_set):
    inputs = schema.JETS.inputs_of(feature_set)
    assert {*inputs, "jet_label"} == set(columns_for(feature_set))
    assert set(inputs) <= {*schema.PART_COLUMNS, *schema.JET_COLUMNS}


def test_feature_sets_have_the_published_sizes():
    assert {name: len(f) for name, f in schema.FEATURE_SETS.items()} == {
        "kin": 7,
        "kinpid": 13,
        "full": 17,
    }
    with pytest.raises(StudyError, match="did you mean 'kinpid'"):
        schema.JETS.inputs_of("kin_pid")


def test_classes_of_a_corpus_of_your_own():
    assert schema.classes_of("mysim", ["b", "a"]) == ("b", "a")
    assert schema.classes_of("top", ("QCD", "top")) == schema.TOP
    with pytest.raises(DataError, match=r"corpus 'top' has classes of its own, QCD, top"):
        schema.classes_of("top", ("top", "QCD"))
    with pytest.raises(DataError, match=r"a corpus of your own needs classes=\(\.\.\.\)"):
        schema.classes_of("mysim")
    with pytest.raises(DataError, match="corpus 'my sim': use letters"):
        schema.classes_of("my sim", ("a",))


@pytest.mark.parametrize(
    ("part", "own"),
    [("qcd", False), (" qcd ", False), ("X_bb, X_c?", False), ("mysim", True), ("mysim:a*", True),
     ("mysim:X_bb", True), ("X_bb,mysim", True), ("", True)],
)  # fmt: skip
def test_what_is_a_part_of_jetclass2(part, own):
    assert schema.is_jetclass2(part) is not own
    if own:
        with pytest.raises(StudyError, match="unknown part or label"):
            schema.part_named(part)
    else:
        assert schema.part_named(part).origin == "jetclass2"


def test_patterns_choose_among_given_classes():
    classes = ("tau-e", "tau-mu", "b")
    assert schema.match("m:b,tau*", ("b", "tau*"), classes) == classes
    assert schema.match("m", ("*",), classes) == classes
    with pytest.raises(StudyError, match="part 'm:c': unknown part or label 'c'; known: tau-e"):
        schema.match("m:c", ("c",), classes)
