"""A model as an ONNX graph that begins with the columns of a jet and ends with probabilities.

Inputs are ``constituents`` (jets, constituents, columns), ``jets`` (jets, columns) where the
feature set needs columns of the jet, and ``mask`` (jets, constituents), True where there is one.
The numbers of jets and constituents are free. Metadata name the columns, classes and run.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from jetscale.classifiers.inputs import Inputs
from jetscale.classifiers.model import Classifier
from jetscale.errors import MissingExtra, TrainingError
from jetscale.objectives.classify import CLASSIFY
from jetscale.store.local import atomic_path

OPSET = 20
LARGEST = 1e-4
"""Difference of two probabilities above which a graph is not the model: rounding makes 1e-6."""


class Served(nn.Module):
    """A model from raw columns to logits and probabilities, or to the outputs of an own task."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.inputs, self.model = inputs_of(model), model.module
        self.classifies = model.objective is CLASSIFY

    def forward(self, constituents: Tensor, jets: Tensor | None, mask: Tensor) -> Any:
        """(J, K) logits and probabilities from (J, L, C), (J, S) and (J, L)."""
        outputs = self.model(self.inputs.batch(constituents, jets, mask))
        return (outputs, outputs.softmax(1)) if self.classifies else (outputs,)


def inputs_of(model: Classifier) -> Inputs:
    """How the columns of examples become the inputs of a model."""
    data = model.data
    return Inputs(model.schema, data["features"], data["constituents"], data.get("scale_pt"))


def write_graph(model: Classifier, path: Path, sample: pa.Table) -> float:
    """Write a model as ONNX; the largest difference to torch on ``sample``, in a probability.

    Raises MissingExtra without the packages, TrainingError where the model cannot be a graph or
    its graph gives other numbers: then nothing is written.
    """
    _require()
    try:
        content = _traced(model, sample.slice(0, 4))
        difference = _compare(model, inputs_of(model), content, sample)
    except Exception as error:  # an architecture may do what no graph can
        line = " ".join(str(error).split())[:200]
        name = model.description["recipe"]["model"]["architecture"]
        raise TrainingError(
            f"architecture {name!r} cannot be an ONNX graph: {type(error).__name__}: {line}; use "
            "--to torch"
        ) from error
    if not difference <= LARGEST:
        raise TrainingError(
            f"the ONNX graph of {model.description['name']} differs from the model by "
            f"{difference:.2g}, more than {LARGEST:g}; use --to torch"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return difference


def _traced(model: Classifier, sample: pa.Table) -> bytes:
    """The graph of a model with its metadata; a few examples tell the exporter what to follow."""
    served, names = Served(model).eval(), ["constituents", "jets", "mask"]
    arrays: list[Any] = [torch.from_numpy(array) for array in served.inputs.arrays(sample)]
    free = {0: torch.export.Dim("n_jets"), 1: torch.export.Dim("n_constituents")}
    shapes: list[Any] = [free, {0: free[0]}, free]
    if not served.inputs.of_jet:
        arrays[1], shapes[1] = None, None
    with _quiet():
        program: Any = torch.onnx.export(
            served,
            tuple(arrays),
            input_names=[n for n, a in zip(names, arrays, strict=True) if a is not None],
            output_names=["logits", "probabilities"] if served.classifies else ["outputs"],
            dynamic_shapes=tuple(shapes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    proto = program.model_proto
    for key, value in metadata_of(model).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = proto.SerializeToString()
    return content


def metadata_of(model: Classifier) -> dict[str, str]:
    """What a graph says of itself: all values are texts, lists are JSON."""
    inputs, told = inputs_of(model), model.description
    lists = {"columns": inputs.columns, "jet_columns": inputs.of_jet, "classes": model.classes}
    texts = {name: told[name] for name in ("key", "name", "study", "mixture")}
    return {f"jetscale.{name}": json.dumps(list(values)) for name, values in lists.items()} | {
        **{f"jetscale.{name}": str(text) for name, text in texts.items()},
        "jetscale.constituents": str(inputs.limit),
    }


def _require() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(package)
        except ImportError as error:
            raise MissingExtra(package, "export") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress, and warns of its own use of torch."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _compare(model: Classifier, inputs: Inputs, content: bytes, sample: pa.Table) -> float:
    """Largest difference between the graph and the model, which standardises in its own way."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    arrays = dict(zip(("constituents", "jets", "mask"), inputs.arrays(sample), strict=True))
    given = {each.name: arrays[each.name] for each in session.get_inputs()}
    found = session.run(None, given)[-1]
    return float(np.abs(found - model.probabilities(sample)).max())
