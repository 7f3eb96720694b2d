"""How well a pretrained trunk transfers before it is fine-tuned: a linear probe and LogME.

Both look at frozen pooled vectors of downstream validation jets. LogME (arXiv 2102.11005) is the
log evidence, per jet, of a Bayesian linear model from vectors to classes: higher means the vectors
explain the classes with a simpler model. The smallest and the largest model size are looked at, all
training seeds of each. Trunks with their first random weights give the row to compare with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jetscale.errors import MissingExtra
from jetscale.jets.arrays import Floats, Ints
from jetscale.jets.schema import FEATURE_SETS
from jetscale.measures.alignment import FOLDS, cross_fit_auc, fold_of, value_of
from jetscale.measures.diversity import half_sample_error
from jetscale.measures.result import DOWNSTREAM, Value
from jetscale.measures.sample import model_inputs, read_stream
from jetscale.mixtures.declared import Progress
from jetscale.models.inputs import feature_inputs
from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study import ModelSize, Study

_ROUNDS = 100
_TOLERANCE = 1e-4
# Row of the table and model size to the weights of every training seed; None is untrained.
Trunks = dict[tuple[str, ModelSize], dict[int, Path | None]]
MOST_JETS = 2000
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a linear probe got right, jet by jet."""

    correct: Floats  # (n,) 1 where the most likely class is the true one, else 0
    auc: float  # macro average over classes of one-versus-rest AUCs
    influence: Floats  # (n,) influence of each jet on ``auc``


def probe(vectors: Floats, labels: Ints, seed: int) -> Probe:
    """Cross-fitted logistic regression on (n, d) frozen vectors; MissingExtra without scikit-learn.

    Every class has at least as many jets as there are folds.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtra("scikit-learn", "measure") from error
    classes, index = np.unique(labels, return_inverse=True)
    fold = stratified(index, seed)
    scores = np.empty((len(labels), len(classes)))
    for number in range(FOLDS):
        seen = fold != number
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        model.fit(vectors[seen], index[seen])
        scores[~seen] = model.predict_proba(vectors[~seen])
    each = [cross_fit_auc(scores[:, c], index == c, fold) for c in range(len(classes))]
    return Probe(
        correct=(scores.argmax(axis=1) == index).astype(np.float64),
        auc=float(np.mean([auc for auc, _ in each])),
        influence=np.mean([influence for _, influence in each], axis=0),
    )


def stratified(labels: Ints, seed: int) -> Ints:
    """(n,) folds with as equal a share of every class as can be."""
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        fold[rows] = fold_of(len(rows), seed + int(label))
    return fold


def log_evidence(vectors: Floats, labels: Ints) -> float:
    """LogME: largest log evidence per jet, averaged over classes.

    A class indicator y is modelled as vectors @ w with w normal of precision alpha and noise of
    precision beta, both found by the paper's fixed-point iteration on the singular values. A
    constant column makes a shift of the vectors change nothing.
    """
    n = len(vectors)
    centred = vectors - vectors.mean(axis=0)
    design = np.column_stack([centred / max(float(centred.std()), 1e-12), np.ones(n)])
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    found = []
    for label in np.unique(labels):
        target = (labels == label).astype(np.float64)
        projected = (left.T @ target) ** 2
        rest = max(float(target @ target - projected.sum()), 0.0)  # what no weights explain
        found.append(_evidence(singular**2, projected, rest, n) / n)
    return float(np.mean(found))


def _evidence(square: Floats, projected: Floats, rest: float, n: int) -> float:
    """Largest log evidence given squared singular values and the target's squared projections."""

    def moments(alpha: float, beta: float) -> tuple[Floats, float, float]:
        """Share by which each weight is shrunk, |w|^2 and |y - vectors w|^2 of the best weights."""
        precision = alpha + beta * square
        weight = float(np.sum(projected * square * (beta / precision) ** 2))
        shrink = alpha / precision
        return shrink, weight, float(np.sum(projected * shrink**2)) + rest

    alpha, beta, ratio = 1.0, 1.0, np.inf
    for _ in range(_ROUNDS):
        shrink, weight, residual = moments(alpha, beta)
        gamma = float(np.sum(1 - shrink))  # weights that the data determine
        alpha, beta = gamma / max(weight, 1e-12), (n - gamma) / max(residual, 1e-12)
        if abs(alpha / beta - ratio) <= _TOLERANCE * ratio:
            break
        ratio = alpha / beta
    shrink, weight, residual = moments(alpha, beta)
    fit = n * np.log(beta / (2 * np.pi)) - beta * residual - alpha * weight
    return float(0.5 * (fit + np.sum(np.log(shrink))))


def transfer(vectors: list[Floats], labels: Ints, seed: int) -> dict[str, Value]:
    """LogME, probe accuracy and AUC, averaged over training seeds; intervals are over jets."""
    probes = [probe(one, labels, seed) for one in vectors]

    def evidence(rows: Ints) -> float:
        return float(np.mean([log_evidence(one[rows], labels[rows]) for one in vectors]))

    n, auc = len(labels), float(np.mean([found.auc for found in probes]))
    correct = np.mean([found.correct for found in probes], axis=0)
    influence = np.mean([found.influence for found in probes], axis=0)
    return {
        "logme": Value.around(evidence(np.arange(n)), half_sample_error(evidence, n, seed)),
        "probe_accuracy": value_of(float(correct.mean()), correct - correct.mean()),
        "probe_auc": value_of(auc, influence),
    }


def measure_trunks(
    study: Study, home: Home, shards: Mapping[str, Path], progress: Progress
) -> tuple[dict[str, dict[str, dict[str, Value]]], list[str]]:
    """Row to model size to measures (downstream: untrained), and remarks on what is missing."""
    trunks = find_trunks(study, home)
    without = [m.name for m in study.pretrained if not any(m.name == name for name, _ in trunks)]
    absent = f"no pretrained trunk of {', '.join(without)} yet: "
    absent += "LogME and the linear probe come after `jetscale run`"
    remarks = [absent] if without else []
    if not trunks:
        return {}, remarks
    wanted = min(MOST_JETS, study.recipe.evaluation.validation_jets)
    jets = model_inputs(read_stream(study, shards, "validation", wanted), study.recipe)
    fewest = int(np.unique(jets.labels, return_counts=True)[1].min())
    if fewest < FOLDS:
        few = f"a class has {fewest} validation jets, a linear probe takes {FOLDS}: not measured"
        return {}, [*remarks, few]
    for (_, size), weights in list(trunks.items()):  # as many untrained trunks of each size
        trunks.setdefault((DOWNSTREAM, size), {}).update(dict.fromkeys(weights))
    remarks.append(
        "transfer: mean over training seeds; intervals are over validation jets, not over training "
        "seeds; the downstream row is the untrained trunk"
    )
    from jetscale.training.embed import pooled_vectors  # torch, only where there are trunks

    features = feature_inputs(FEATURE_SETS[study.recipe.data.features])
    out: dict[str, dict[str, dict[str, Value]]] = {}
    for done, ((name, size), weights) in enumerate(trunks.items()):
        progress("measuring trunks", done, len(trunks))
        vectors = [
            pooled_vectors(jets, size, study.recipe, features, seed=seed, trunk=trunk)
            for seed, trunk in sorted(weights.items())
        ]
        out.setdefault(name, {})[size.name] = transfer(vectors, jets.labels, _SEED)
    progress("measuring trunks", len(trunks), len(trunks))
    return out, remarks


def find_trunks(study: Study, home: Home) -> Trunks:
    """Trunks that are there, and whole, of the smallest and the largest model size."""
    runs = plan_runs(study)
    store = RecordStore.open(study, home, runs)
    pretraining = [run for run in runs if run.kind == "pretrain"]
    by_params = sorted({(run.params_non_embedding, run.size.name) for run in pretraining})
    ends = {name for _, name in (by_params[0], by_params[-1])} if by_params else set()
    found: Trunks = {}
    for run in pretraining:
        if run.size.name in ends and store.has_trunk(run.key):
            found.setdefault((run.mixture.name, run.size), {})[run.seed] = store.trunk(run.key)
    return found
