"""How good a classifier is: loss, accuracy, AUC and background rejection.

Everything is computed from the logits of all jets in double precision, so batch size and order do
not matter beyond the rounding of the logits. Background rejection follows the working points of the
JetClass paper (arXiv 2202.03772, table 1): for a signal class s, jets of s and of QCD are ranked by
p_s / (p_s + p_QCD), and the rejection is one over the share of QCD jets that pass the cut keeping
50 % of the signal (99 % for Hqql, 99.5 % for Tbl).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jetscale.mixtures.ragged import Ragged
from jetscale.models.transformer.layout import arrange
from jetscale.models.transformer.model import JetTransformer, make_batch

BACKGROUND = "QCD"
EFFICIENCIES = {"Hqql": 0.99, "Tbl": 0.995}
DEFAULT_EFFICIENCY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of one model on one set of jets."""

    jets: int
    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    auc: float | None
    """One-versus-one, macro average over pairs of classes; None with fewer than two classes."""
    rejections: dict[str, float | None]
    """Signal class to 1 / false positive rate; None when no background jet passes or none of the
    two classes is there. Empty where the classes have no class QCD."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def evaluate(
    model: JetTransformer, data: Ragged, classes: Sequence[str], *, batch: int = 256
) -> Scores:
    """Scores of a model; jets are batched by length, which pads almost nothing.

    Parameters
    ----------
    classes
        Class names in label order.
    batch
        Jets per forward pass.
    """
    return scores(predict(model, data, batch=batch), data.labels, classes)


@torch.inference_mode()
def predict(model: JetTransformer, data: Ragged, *, batch: int = 256) -> NDArray[np.float64]:
    """(n, C) logits of all jets, in the order of the data."""
    like = next(model.parameters())
    by_length = np.argsort(data.lengths, kind="stable")
    starts, lengths = data.offsets[:-1], data.lengths
    logits = np.empty((len(data), len(model.head.bias)))
    for first in range(0, len(data), batch):
        rows = by_length[first : first + batch]
        layout = arrange(starts[rows], lengths[rows])
        part = model(make_batch(data, layout, data.labels[rows], like))
        logits[rows[layout.order]] = part.double().cpu().numpy()
    return logits


def scores(
    logits: NDArray[np.float64], labels: NDArray[np.int64], classes: Sequence[str]
) -> Scores:
    """Scores from (n, C) logits and (n,) labels."""
    log_p = logits - _log_sum_exp(logits)
    return Scores(
        jets=len(labels),
        loss=float(-log_p[np.arange(len(labels)), labels].mean()),
        accuracy=float((logits.argmax(axis=1) == labels).mean()),
        auc=auc(np.exp(log_p), labels),
        rejections=rejections(logits, labels, classes),
    )


def _log_sum_exp(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    top = logits.max(axis=1, keepdims=True)
    total: NDArray[np.float64] = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return total


def auc(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Macro one-versus-one area under the ROC curve (Hand and Till 2001).

    The area of a against b, by the score of a, is the chance that a jet of class a scores above one
    of class b, ties counting half. The mean runs over ordered pairs of the classes present.

    Parameters
    ----------
    p
        (n, C) probabilities.
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
    found = {}
    for index, name in enumerate(classes):
        if index != background:
            # Ranking by p_s / (p_s + p_QCD) is ranking by the difference of the logits.
            ratio = logits[:, index] - logits[:, background]
            efficiency = EFFICIENCIES.get(name, DEFAULT_EFFICIENCY)
            found[name] = _rejection(
                ratio[labels == index], ratio[labels == background], efficiency
            )
    return found


def _rejection(
    signal: NDArray[np.float64], background: NDArray[np.float64], efficiency: float
) -> float | None:
    """1 / FPR at the loosest cut that keeps at least ``efficiency`` of the signal."""
    if not len(signal):
        return None
    kept = math.ceil(efficiency * len(signal) - 1e-9)
    cut = np.partition(signal, len(signal) - kept)[len(signal) - kept]
    passing = int((background >= cut).sum())
    return len(background) / passing if passing else None
