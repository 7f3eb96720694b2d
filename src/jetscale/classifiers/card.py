"""The card of a model: a page of Markdown that says what it is and what it is not for."""

from collections.abc import Iterator, Mapping
from typing import Any

from jetscale.classifiers.inputs import Inputs
from jetscale.planning.identity import flatten
from jetscale.store.record import Record
from jetscale.words import counted, number, short

_LIMITS = (
    "It knows the {n} classes above and gives each {noun} to one of them, whatever the {noun} is.",
    "It saw at most {limit} constituents of a {noun}, the leading ones; others are left out.",
    "Probabilities are not calibrated, and hold for classes as frequent as in training.",
    "The scores are those of the test set of its study: other simulations, detectors and momenta "
    "give others.",
    "It was trained for a scaling study, to a budget, not to be the best there is.",
)


def card(record: Record, classes: tuple[str, ...], noun: str, inputs: Inputs, uses: str) -> str:
    """The card of the model of a run, which ``uses`` shows in code, as Markdown."""
    parts = [f"{100 * share:.3g}% {part}" for part, share in record.parts.items()]
    network, data = record.recipe["model"]["architecture"], f"D = {record.examples} {noun}s"
    blocks = f"{counted(record.layers, 'layer')}, {counted(record.heads, 'head')}"
    told = {
        "Run": f"{record.key} of study {record.study}",
        "Model": f"{network}, width {record.width}, {blocks}, N = {record.params}",
        "Pretraining": f"{', '.join(parts)}: {record.pretraining_examples} {noun}s"
        if parts
        else "none, from random weights",
        "Training set": f"{data}, {record.epochs} passes, seed {record.seed}",
        "Compute": f"{record.flops:.3g} FLOPs, pretraining {record.pretraining_flops:.3g}",
        "Recipe": f"digest {record.recipe_digest}, below",
        "Weights": _weights(record.recipe),
        "Trained on": f"{record.device}, {_pairs(record.versions)}",
    }
    lines = [f"# {record.mixture}, N = {short(record.params)}, D = {record.examples}", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in told.items())]
    lines += ["", "## Scores", "", *_scores(record)]
    lines += ["", "## Use", "", "```python", uses.rstrip(), "```", ""]
    lines += [f"Classes, in this order: {', '.join(classes)}.", ""]
    of_jet = f"; of the {noun}: {', '.join(inputs.of_jet)}" if inputs.of_jet else ""
    lines += [f"Columns of constituents: {', '.join(inputs.columns)}{of_jet}.", "", "## Limits", ""]
    facts = {"n": len(classes), "noun": noun, "limit": inputs.limit}
    lines += [f"- {line.format(**facts)}" for line in _LIMITS]
    lines += ["", "## Data", "", *_list(record.streams)]
    lines += ["", "## Recipe", "", *_list(flatten(record.recipe))]
    return "\n".join(lines) + "\n"


def _scores(record: Record) -> Iterator[str]:
    jets = record.scores.get("jets")
    yield f"On {jets} test examples:" if jets else "On the test set:"
    yield ""
    yield f"- loss {number(record.loss or 0.0, 5)}"
    for name, value in flatten(record.scores).items():
        if name not in ("loss", "jets"):
            shown = number(float(value), 4) if isinstance(value, int | float) else "not determined"
            yield f"- {name} {shown}"
    yield f"- validation loss {number(record.validation_loss or 0.0, 5)}"


def _weights(recipe: Mapping[str, Any]) -> str:
    average = recipe["optimiser"].get("average", 0.0)
    kept = f"moving average over {average:g} of the steps" if average else "those of the last step"
    return f"{kept}, as they were scored"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _list(values: Mapping[str, Any]) -> list[str]:
    return [f"- {name}: {value}" for name, value in values.items()]
