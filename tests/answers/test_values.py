"""The three answers as text and JSON."""

import pytest

from jetscale.answers import Answer, three_answers
from jetscale.jsonable import as_json


@pytest.mark.slow
def test_text_and_json_hold_all_three(found):
    answers = three_answers(found)
    text = answers.text
    for place, one in enumerate(answers.all, 1):
        assert f"{place}. {one.title}" in text
        assert all(f"   {sentence}" in text for sentence in one.sentences)
    plain = as_json(answers)
    assert list(plain) == ["bought", "scaling", "budget", "text"]
    assert plain["text"] == text
    assert plain["bought"]["rows"][0][0] == "D"


def test_a_score_stands_where_a_loss_did():
    sentences = ("The test loss falls.",)
    one = Answer(question="What loss?", answered=True, sentences=sentences).of("1-auc")
    assert (one.question, one.sentences) == ("What 1-auc?", ("The 1-auc falls.",))


def test_rows_are_aligned():
    rows = (("D", "500", "1k"), ("longer", "-0.1 x2", "no difference"))
    answer = Answer(question="?", answered=True, rows=rows, sentences=())
    assert answer.table == ["D           500             1k", "longer  -0.1 x2  no difference"]
    assert Answer(question="?", answered=False, sentences=()).table == []
