from jetscale.measures.sentences import SENTENCES, notes


def test_every_sentence_is_one():
    for text in SENTENCES.values():
        assert text[0].isupper()
        assert text.endswith(".")
        assert "{" not in text


def test_notes_give_the_size_of_the_samples():
    assert notes(321)[0].startswith("321 jets of every mixture")
    assert any("without replacement" in line for line in notes(321))
