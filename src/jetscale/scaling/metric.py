"""A score in place of the loss: rejection, AUC or accuracy, as what falls when models get better.

A law falls to a floor, so a score that rises is analysed as 1 / score (a rejection: what is left is
the share of background that passes) or 1 - score (accuracy, AUC), which column ``quantity`` names.
Its column ``error`` is the error of log quantity that the test set alone makes: k of n background
examples pass, k + 1/2 of n + 1/2 stand for them, and log of that has the variance 1 / (k + 1/2) -
1 / (n + 1/2) (Pettigrew, Gart and Thomas, Biometrika 73, 1986, 425). So a run that lets nothing
through has a floor. All runs share the test set: what it does to all of them no interval covers.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.errors import TableError, unknown
from jetscale.scaling.cost import Array
from jetscale.words import counted, number

_UP = ("rejection", "accuracy", "acc", "auc", "efficiency", "precision", "recall", "f1", "score")
_DOWN = ("loss", "error", "err", "fpr", "mistag", "perplexity", "ppl", "mse", "mae")
_OF_RUNS = ("params", "examples", "seed", "flops", "seconds")  # columns that are no scores
_RATE = 1.0  # scores up to this are shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What stands in the place of the loss, and how to turn it back."""

    name: str
    kind: str  # ``inverse``: 1 / score, ``missing``: 1 - score, ``itself``: a score that falls

    @property
    def quantity(self) -> str:
        """What is analysed: ``1/rejection_Hbb``."""
        return {"inverse": f"1/{self.name}", "missing": f"1-{self.name}"}.get(self.kind, self.name)

    def score(self, quantity: float | Array) -> Array:
        """Return the score of a value of the quantity."""
        value = np.asarray(quantity, dtype=float)
        with np.errstate(divide="ignore"):
            return {"inverse": 1 / value, "missing": 1 - value}.get(self.kind, value)


def metric_of(quantity: str) -> Metric | None:
    """Return the metric behind a column ``quantity``; None where it is the loss.

    >>> metric_of("1/rejection_Hbb").score(0.01).item()
    100.0
    """
    if quantity in ("", "loss"):
        return None
    kinds = {"1/": "inverse", "1-": "missing"}
    kind = kinds.get(quantity[:2], "itself")
    return Metric(name=quantity[2:] if kind != "itself" else quantity, kind=kind)


def put_in_place(frame: pd.DataFrame, asked: str) -> tuple[pd.DataFrame, list[str]]:
    """Return a raw table with the metric in place of the loss, and notes of what was done.

    ``asked`` is a column, with ``:up`` or ``:down`` where its name does not say which is better.
    The loss stays as ``measured_loss``. Raises TableError for what cannot be used.
    """
    name, _, side = asked.partition(":")
    if name not in frame:
        scores = [c for c in frame.columns if c not in _OF_RUNS and _numeric(frame[c])]
        raise TableError(unknown("metric", name, scores))
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    notes, metric = [], Metric(name=name, kind=_kind(name, side, values))
    if metric.kind == "missing" and _largest(values) > _RATE:
        values = values / 100
        notes.append(f"{name} is in percent: taken as shares")
    trials = _trials(frame, metric)
    value, error = _falling(metric, values, trials, notes)
    out = frame.assign(loss=value, quantity=metric.quantity)
    if "loss" in frame and name != "loss":
        out["measured_loss"] = frame["loss"]
    notes.insert(0, f"{metric.quantity} stands in the place of the loss")
    if error is not None:
        out["error"] = error
        typical = f"{np.median(error):.1%} of it, at most {np.max(error):.1%}"
        notes.append(f"the test set alone makes an error of {metric.quantity} of {typical}")
    return out, notes


def _numeric(column: pd.Series) -> bool:
    return bool(pd.to_numeric(column, errors="coerce").notna().any())


def _kind(name: str, side: str, values: Array) -> str:
    words = re.split(r"[^a-z0-9]+", name.lower())
    rises = side == "up" or (not side and any(word in _UP for word in words))
    falls = side == "down" or (not side and any(word in _DOWN for word in words))
    if rises == falls:
        raise TableError(
            f"metric {name!r}: does it rise as models get better? say {name}:up or {name}:down"
        )
    if falls:
        return "itself"
    # a rejection is one over a share; shares and percents fall short of one
    largest = _largest(values)
    shares = largest <= _RATE or (largest <= 100 * _RATE and not side)
    return "missing" if shares and "rejection" not in words else "inverse"


def _largest(values: Array) -> float:
    return float(np.max(values[np.isfinite(values)], initial=0))


def _trials(frame: pd.DataFrame, metric: Metric) -> Array | None:
    """Examples (n,) of the test set that the score counts among: background, or all."""
    column = "test_background" if metric.kind == "inverse" else "test_examples"
    if column not in frame:
        return None
    found = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return found if (found > 0).all() else None


def _falling(
    metric: Metric, values: Array, trials: Array | None, notes: list[str]
) -> tuple[Array, Array | None]:
    """The quantity (n,), and the error of its log; blank or infinite rejections let none pass."""
    with np.errstate(divide="ignore"):
        share = {"inverse": 1 / values, "missing": 1 - values}.get(metric.kind, values)
    none = (~np.isfinite(values)) if metric.kind == "inverse" else share == 0
    share = np.where(none, 0.0, share)
    for row in np.flatnonzero(~np.isfinite(share) | (share < 0) | (none & (trials is None))):
        cure = "leave the run out"
        if metric.kind == "inverse":
            cure = f"with a column test_background it gets a floor; else {cure}"
        raise TableError(f"row {row + 1}: {metric.name} is {values[row]:g}, needs a score; {cure}")
    if trials is None or metric.kind == "itself":
        return share, None
    passing = share * trials
    if none.any():
        notes.append(
            f"in {counted(int(none.sum()), 'run')} no background passes: half an example of "
            f"{number(float(trials[none][0]))} stands for none, a floor"
        )
    if "auc" in metric.name.lower():  # Birnbaum and Klose's bound, classes of equal size
        share = np.where(none, 0.5 / trials, share)
        return share, np.sqrt((1 - share) / np.maximum(share * trials / 2, 0.5))
    error = np.sqrt(1 / (passing + 0.5) - 1 / (trials + 0.5))
    return (passing + 0.5) / (trials + 0.5), error
