"""Models that were written and what they say of examples, for a terminal and a notebook."""

from typing import Any

from jetscale.display.console import say, show_table
from jetscale.words import counted, loss, number


def show_export(found: Any) -> None:
    """Where a model went, and how it was checked."""
    say(f"model of {found.name} ({found.key}) written to {found.file}", wrap=False)
    if found.difference is not None:
        what = "largest difference of a probability between the graph and the model"
        say(f"{what}: {found.difference:.1e} on {found.compared_on}")
    say(f"what it is and is not for: {found.card}", wrap=False)
    if found.registered:
        say(f"registered in MLflow as {found.registered}", wrap=False)


def show_predictions(found: Any) -> None:
    """How many examples, where their predictions are, and scores where labels tell."""
    where = f" written to {found.file}" if found.file else ""
    nouns = counted(found.examples, found.noun)
    say(f"{nouns} by {found.model} ({found.key}){where}", wrap=False)
    if found.scores is None:
        say(f"no scores: none of the {found.noun}s has a label that the model knows")
        return
    if found.scored < found.examples:
        say(f"scores are of the {found.scored} {found.noun}s with a label that the model knows")
    plain = {k: v for k, v in found.scores.items() if isinstance(v, float) and k != "loss"}
    told = [f"{name} {number(value, 4)}" for name, value in plain.items()]
    say(", ".join([f"loss {loss(found.scores['loss'])}", *told]))
    rejections = found.scores.get("rejections") or {}
    if rejections:
        rows = [
            (name, number(value, 4) if value else "no background passes")
            for name, value in rejections.items()
        ]
        show_table("Background rejection", ("signal", "1 / false positive rate"), rows, apart=3)
