"""The three answers of a study in plain words: what is bought, how it scales, where to spend.

They are made once, from an `Analysis`; terminal, report, MLflow and JSON show the same words. A
difference whose interval contains zero is called no difference.

    print(three_answers(analyse(runs, parts=PARTS)))
"""

from jetscale.analysis import Analysis
from jetscale.answers.bought import bought
from jetscale.answers.budget import budget
from jetscale.answers.scaling import scaling
from jetscale.answers.values import Answer, ThreeAnswers

__all__ = ["PARTS", "Answer", "ThreeAnswers", "three_answers"]

PARTS = ("paired", "fits", "allocations")  # of an analysis, that the answers need


def three_answers(found: Analysis) -> ThreeAnswers:
    """Return the three answers of an analysis that has the parts `PARTS`."""
    parts = {"bought": bought(found), "scaling": scaling(found), "budget": budget(found)}
    return ThreeAnswers(**{name: answer.of(found.quantity) for name, answer in parts.items()})
