import pickle
from dataclasses import replace

import pyarrow as pa
import pytest
from fixtures import stars

from jetscale.errors import DataError, StudyError
from jetscale.study import Corpus, Feature


def test_a_corpus_travels_and_keeps_its_identity():
    corpus = stars.corpus()
    again = pickle.loads(pickle.dumps(corpus))
    assert again == corpus
    assert again.identity == corpus.identity
    assert again.schema.noun == "star"
    assert pa.concat_tables(again.make(stars.KINDS, 20, 3)).equals(
        pa.concat_tables(corpus.make(stars.KINDS, 20, 3))
    )


@pytest.mark.parametrize(
    "change",
    [
        {"name": "others"},
        {"classes": ("a", "b", "c")},
        {"features": (Feature(name="time"), Feature(name="flux"))},
        {"version": 2},
        {"simulate": stars.two_numbers},
        {"feature_sets": {"flux": ("flux",)}},
    ],
)
def test_what_makes_other_examples_has_another_identity(change):
    assert stars.corpus(**change).identity != stars.corpus().identity


def test_estimates_of_cost_do_not_make_other_examples():
    assert stars.corpus(typical_length=6.0).identity == stars.corpus().identity


@pytest.mark.parametrize("rows", [1, 7, 20])
def test_exactly_as_many_examples_as_asked_for(rows):
    corpus = stars.corpus()
    tables = list(corpus.make(("flare", "cepheid"), rows, 5))
    assert sum(table.num_rows for table in tables) == rows
    labels = {label for table in tables for label in table["label"].to_pylist()}
    assert labels <= {0, 2}
    assert {str(t.schema.field("flux").type) for t in tables} == {"list<element: float not null>"}


@pytest.mark.parametrize(
    ("simulate", "message"),
    [
        (stars.too_few, r"simulate\(\['flare'\], 9, 1\) yields 8 of 9 examples"),
        (stars.wrong_class, r"yields labels \[0.*\], not asked for"),
        (stars.broken, r"ZeroDivisionError: no such star"),
        (stars.no_table, r"yields dict, not a table"),
    ],
)
def test_a_simulator_that_does_not_do_what_it_should(simulate, message):
    corpus = stars.corpus(simulate=simulate)
    with pytest.raises(DataError, match=rf"corpus 'stars': simulate.*{message}|{message}"):
        list(corpus.make(("flare",), 9, 1))


def test_a_part_is_the_corpus_or_some_of_its_classes():
    corpus = stars.corpus()
    assert corpus.part("stars", ("*",)).labels == stars.KINDS
    assert corpus.part("stars:[cf]*", ("[cf]*",)).labels == ("cepheid", "flare")
    with pytest.raises(StudyError, match="unknown part or label 'nova'"):
        corpus.part("stars:nova", ("nova",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "qcd"}, "corpus 'qcd': jets have that name"),
        ({"name": "jetclass"}, "jets have that name"),
        ({"name": "my stars"}, "corpus 'my stars': use letters"),
        ({"classes": "ab"}, "corpus 'stars': class"),
        ({"classes": ()}, "class names are"),
        ({"classes": ("a,b",)}, "class 'a,b': use letters"),
        ({"version": 0}, "version is 0"),
        ({"simulate": 3}, "simulate is 3, needs a function at the top level"),
        ({"features": ()}, "feature names are"),
    ],
)
def test_a_corpus_that_cannot_be(change, message):
    with pytest.raises(StudyError, match=message):
        stars.corpus(**change)


def test_a_changed_corpus_is_checked_again():
    assert replace(stars.corpus(), version=3).identity["version"] == 3
    with pytest.raises(StudyError, match="version is 0"):
        replace(stars.corpus(), version=0)
    assert isinstance(stars.corpus(), Corpus)
