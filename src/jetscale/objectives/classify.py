"""Classification: cross-entropy, accuracy, AUC and background rejection.

Scores are computed from the logits of all jets in double precision, so batch size and order do not
matter beyond the rounding of the logits. Background rejection follows the working points of the
JetClass paper (arXiv 2202.03772, table 1): for a signal class s, jets of s and of QCD are ranked by
p_s / (p_s + p_QCD), and the rejection is one over the share of QCD jets that pass the cut keeping
50 % of the signal (99 % for Hqql, 99.5 % for Tbl).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from jetscale.models.batch import Batch

VERSION = 1  # raised when the loss or a score is another number for the same outputs

BACKGROUND = "QCD"
EFFICIENCIES = {"Hqql": 0.99, "Tbl": 0.995}
DEFAULT_EFFICIENCY = 0.5


class ClassifierScores(TypedDict):
    """Scores of one model on one set of jets."""

    jets: int  # jets scored
    loss: float  # mean cross-entropy in nats
    accuracy: float  # share of jets whose largest output is that of their class
    auc: float | None
    """One-versus-one, macro average over pairs of classes; None with fewer than two classes."""
    rejections: dict[str, float | None]
    """Signal class to 1 / false positive rate; None when no background jet passes or none of the
    two classes is there. Empty where the classes have no class QCD."""


class Classify:
    """`jetscale.objectives.protocol.Objective`: the class of a jet from one logit per class."""

    name = "classify"
    version = VERSION

    def outputs(self, classes: int) -> int:
        """One logit per class."""
        return classes

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy in nats, summed over jets."""
        from torch.nn import functional  # here, so that planning needs no torch

        return functional.cross_entropy(outputs, batch.labels, reduction="sum")

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(J,) cross-entropies in nats."""
        from torch.nn import functional

        return functional.cross_entropy(outputs, batch.labels, reduction="none")

    def scores(
        self, outputs: NDArray[np.float64], labels: NDArray[np.int64], classes: Sequence[str]
    ) -> ClassifierScores:
        """Scores from (n, C) logits and (n,) class indices."""
        # log p = logit - log sum exp(logits), shifted by the largest so that exp cannot overflow
        top = outputs.max(axis=1, keepdims=True)
        log_p = outputs - (top + np.log(np.exp(outputs - top).sum(axis=1, keepdims=True)))
        return ClassifierScores(
            jets=len(labels),
            loss=float(-log_p[np.arange(len(labels)), labels].mean()),
            accuracy=float((outputs.argmax(axis=1) == labels).mean()),
            auc=auc(np.exp(log_p), labels),
            rejections=rejections(outputs, labels, classes),
        )


CLASSIFY = Classify()  # what the recipe name ``classify`` stands for


def auc(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Macro one-versus-one area under the ROC curve (Hand and Till 2001) of (n, C) probabilities.

    The area of a against b, by the score of a, is the chance that a jet of class a scores above one
    of class b, ties counting half. The mean runs over ordered pairs of the classes present.
    """
    present, codes = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return None
    counts = np.bincount(codes)
    total = 0.0
    for code, label in enumerate(present):
        mine = np.sort(p[codes == code, label])
        below = np.searchsorted(mine, p[:, label], "left")
        through = np.searchsorted(mine, p[:, label], "right")
        share = np.bincount(codes, weights=below + through) / (2 * len(mine) * counts)
        total += len(present) - 1 - (share.sum() - share[code])
    return float(total / (len(present) * (len(present) - 1)))


def rejections(
    logits: NDArray[np.float64], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, float | None]:
    """Background rejection of every class against QCD."""
    if BACKGROUND not in classes:
        return {}
    background = classes.index(BACKGROUND)
    found: dict[str, float | None] = {}
    for index, name in enumerate(classes):
        if index == background:
            continue
        # Ranking by p_s / (p_s + p_QCD) is ranking by the difference of the logits.
        ratio = logits[:, index] - logits[:, background]
        signal, others = ratio[labels == index], ratio[labels == background]
        if not len(signal):
            found[name] = None
            continue
        # The loosest cut that keeps at least this share of the signal; 1e-9 forgives rounding.
        kept = math.ceil(EFFICIENCIES.get(name, DEFAULT_EFFICIENCY) * len(signal) - 1e-9)
        cut = np.partition(signal, len(signal) - kept)[len(signal) - kept]
        passing = int((others >= cut).sum())
        found[name] = len(others) / passing if passing else None
    return found
