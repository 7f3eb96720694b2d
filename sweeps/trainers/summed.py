"""A trainer that knows nothing of jetscale: a small network on summed features, numpy alone.

It is started by `sweeps/command.py`, and shows all that a command is asked for: it reads Parquet
files, goes on from its checkpoint, leaves a trunk or starts from one, and writes its result.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Array = NDArray[np.float64]
EVERY = 200  # steps between checkpoints and points of the curve


def read(file: str) -> tuple[Array, NDArray[np.int64], int]:
    """(n, 2 F) sums and means of the features of each jet, its label, and how many classes."""
    table = pq.read_table(file)
    columns = []
    for name in table.column_names[:-1]:
        lists = table[name].combine_chunks()
        starts, values = lists.offsets.to_numpy(), lists.values.to_numpy().astype(float)
        sums = np.add.reduceat(values, starts[:-1])
        columns += [sums / 50, sums / np.diff(starts)]
    classes = len(json.loads(table.schema.metadata[b"classes"]))
    return np.stack(columns, axis=1), table["label"].to_numpy(), classes


def forward(net: dict[str, Array], x: Array) -> tuple[Array, Array]:
    """Hidden units and log-probabilities."""
    hidden = np.tanh(x @ net["w"] + net["b"])
    z = hidden @ net["head"] + net["bias"]
    return hidden, z - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)) - z.max(
        1, keepdims=True
    )


def gradients(net: dict[str, Array], x: Array, y: NDArray[np.int64]) -> tuple[float, Any]:
    """Mean cross-entropy and its gradient by the name of the weight."""
    hidden, logs = forward(net, x)
    rows = np.arange(len(y))
    wrong = np.exp(logs)
    wrong[rows, y] -= 1
    wrong /= len(y)
    back = (wrong @ net["head"].T) * (1 - hidden**2)
    grads = {"w": x.T @ back, "b": back.sum(0), "head": hidden.T @ wrong, "bias": wrong.sum(0)}
    return float(-logs[rows, y].mean()), grads


def loss_of(net: dict[str, Array], file: str) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on a file."""
    x, y, _ = read(file)
    logs = forward(net, x)[1]
    return float(-logs[np.arange(len(y)), y].mean()), float((logs.argmax(1) == y).mean())


def start(options: argparse.Namespace, inputs: int, classes: int) -> dict[str, Array]:
    """First weights: random ones, those of the trunk where there is one."""
    rng = np.random.default_rng(options.seed)
    net = {
        "w": rng.normal(size=(inputs, options.width)) / inputs**0.5,
        "b": np.zeros(options.width),
        "head": rng.normal(size=(options.width, classes)) / options.width**0.5,
        "bias": np.zeros(classes),
    }
    if options.trunk:
        with np.load(options.trunk) as trunk:
            net |= {name: trunk[name] for name in ("w", "b")}
    return net


def train(options: argparse.Namespace) -> dict[str, Any]:
    """The result of a training: Adam with a rate that falls as a cosine."""
    x, y, classes = read(options.train)
    net = start(options, x.shape[1], classes)
    m, v = ({k: np.zeros_like(w) for k, w in net.items()} for _ in range(2))
    state = Path(options.checkpoint) / "state.npz"
    curve: list[list[float]] = []
    done, batches = 0, -(-len(y) // options.batch)
    if state.is_file():
        with np.load(state) as kept:
            done, curve = int(kept["done"]), kept["curve"].tolist()
            for name, group in (("net", net), ("m", m), ("v", v)):
                group |= {k: kept[f"{name}.{k}"] for k in group}
    steps = options.epochs * batches
    while done < steps:
        epoch, at = divmod(done, batches)
        order = np.random.default_rng([options.seed, epoch]).permutation(len(y))
        rows = order[at * options.batch :][: options.batch]
        loss, grads = gradients(net, x[rows], y[rows])
        rate = options.rate * (1 + np.cos(np.pi * done / steps)) / 2
        done += 1
        for k, g in grads.items():
            m[k] = 0.9 * m[k] + 0.1 * g
            v[k] = 0.98 * v[k] + 0.02 * g**2
            corrected = (v[k] / (1 - 0.98**done)) ** 0.5 + 1e-8
            net[k] = net[k] - rate * m[k] / (1 - 0.9**done) / corrected
        if done % EVERY == 0 or done == steps:
            curve.append([done, loss])
            groups = (("net", net), ("m", m), ("v", v))
            weights = {f"{name}.{k}": w for name, group in groups for k, w in group.items()}
            np.savez(state.with_suffix(".new.npz"), done=done, curve=curve, **weights)  # type: ignore[arg-type]
            state.with_suffix(".new.npz").replace(state)
    result: dict[str, Any] = {
        "params": sum(w.size for w in net.values()),
        "curve": {"training_loss": curve},
        "versions": {"numpy": np.__version__},
    }
    result["flops"] = 6.0 * result["params"] * len(y) * options.epochs
    if options.save_trunk:
        with Path(options.save_trunk).open("wb") as file:
            np.savez(file, w=net["w"], b=net["b"])
    if options.test:
        result["validation_loss"], _ = loss_of(net, options.validation)
        result["loss"], accuracy = loss_of(net, options.test)
        result["scores"] = {"accuracy": accuracy}
    return result


def main() -> None:
    """Train one run."""
    parser = argparse.ArgumentParser()
    for name in ("width", "epochs", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    for name in ("train", "validation", "test", "trunk", "save-trunk", "checkpoint", "out"):
        parser.add_argument(f"--{name}", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    Path(options.out).write_text(json.dumps(train(options)))


if __name__ == "__main__":
    main()
