"""What every measure means, in one sentence each, and the notes that go with all of them."""

from itertools import product

from jetscale.measures import diversity
from jetscale.measures.alignment import DIRECTIONS, FOLDS, PERMUTATIONS, SPLITS
from jetscale.measures.space import SPACES

NAMES = {"observables": "jet observables", "constituents": "constituents as the model sees them"}
_IN_SPACE = {
    "vendi": "Vendi score q=1 in {space}: effective number of different jets among "
    f"at most {diversity.MOST_JETS}, with a Gaussian kernel of one width for all.",
    "dimension": "Two-nearest-neighbour dimension in {space}: directions in which jets vary "
    "locally.",
    "auc": "Domain classifier in {space}: chance that gradient boosting ranks a downstream jet "
    "above one of the mixture; 0.5 is indistinguishable, 1 is never confused.",
    "mmd2": "Unbiased MMD^2 in {space}: 0 for equal laws; p is the share of "
    f"{PERMUTATIONS} shuffles at least as far apart.",
    "sliced_w1": f"Sliced Wasserstein-1 in {{space}}: how far jets must move along {DIRECTIONS} "
    "random directions on average, in downstream standard deviations.",
}
SENTENCES = {
    "labels_q0": "Hill number q=0: labels that occur at all in the jets of the stream.",
    "labels_q1": "Hill number q=1, exp(entropy): equally common labels with the same entropy.",
    "labels_q2": "Hill number q=2: one over the chance that two jets share a label.",
    **{f"{k}_{s}": _IN_SPACE[k].format(space=NAMES[s]) for k, s in product(_IN_SPACE, SPACES)},
    "logme": "LogME: log evidence per jet of a linear model on the frozen trunk; higher predicts "
    "better fine-tuning.",
    "probe_accuracy": "Linear probe: share of downstream validation jets that a logistic "
    "regression on the frozen trunk gets right.",
    "probe_auc": "Linear probe: mean one-versus-rest AUC over the downstream classes.",
}


def notes(jets: int) -> list[str]:
    """How the numbers were made, for a sample of ``jets`` jets."""
    return [
        f"{jets} jets of every mixture and of the downstream task, compared with the same {jets} "
        "other downstream training jets; the downstream row is the noise floor",
        f"95% intervals: labels {diversity.LABEL_DRAWS} multinomial draws; Vendi, dimension, MMD "
        f"and Wasserstein {diversity.HALVES} half samples without replacement; AUCs the influence "
        f"of each jet on the {FOLDS}-fold cross-fitted value, without fitting again, and the "
        f"spread between {SPLITS} splits into folds",
        "the intervals of different mixtures share the downstream reference: differences between "
        "mixtures are known better than the intervals say",
        "features are scaled with the downstream reference, never with the mixture itself; jet pT "
        "and direction are left out",
    ]
