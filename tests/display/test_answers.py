"""The screen with the three answers."""

from jetscale.answers import Answer, ThreeAnswers
from jetscale.display.answers import show_answers, show_next


def test_questions_tables_and_sentences_are_indented(capsys):
    rows = (("D", "500"), ("[qcd]", "-0.1 [x2]"))
    one = Answer(question="What?", about="(loss)", answered=True, rows=rows, sentences=("Yes.",))
    no = Answer(question="How?", answered=False, sentences=("The loss is high " * 10,))
    show_answers(ThreeAnswers(bought=one, scaling=no, budget=no))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1. What?   (loss)"
    assert [line.rstrip() for line in lines[1:4]] == [
        "   D            500",
        "   [qcd]  -0.1 [x2]",
        "   Yes.",
    ]
    assert lines[5] == "2. How?   NOT ANSWERED"
    assert all(line.startswith("   ") for line in lines[6:8])
    assert "The loss is high" in lines[6]
    assert max(map(len, lines)) <= 80


def test_the_next_commands_stay_whole(capsys):
    show_next({"all": "jetscale fit " + "x" * 90, "longer": "b"})
    assert capsys.readouterr().out.splitlines() == [
        "Next",
        "   all      jetscale fit " + "x" * 90,
        "   longer   b",
    ]


def test_a_row_stays_whole_however_long_its_name(capsys):
    rows = (("D", "500"), ("a" * 90, "-0.1"))
    one = Answer(question="What?", answered=True, rows=rows, sentences=())
    show_answers(ThreeAnswers(bought=one, scaling=one, budget=one))
    assert f"   {'a' * 90}  -0.1" in capsys.readouterr().out.splitlines()
