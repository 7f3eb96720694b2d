"""What a model is told about each of its input columns, and its size in numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jetscale.errors import StudyError, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureInput:
    """One input column: a model sees (value - mean) / scale, about 0 with a spread of about 1."""

    name: str  # name of the feature
    mean: float = 0.0  # typical mean of the standardised feature
    scale: float = 1.0  # typical spread around it, above 0


Features = Sequence[FeatureInput]  # the input columns, in their order

INPUT_SCALE = {
    "part_pt_log": (0.14, 0.85),
    "part_e_log": (0.19, 0.85),
    "part_logptrel": (0.13, 0.85),
    "part_logerel": (0.13, 0.85),
    "part_deltaR": (0.13, 0.72),
    "part_charge": (0.0, 0.7),
    "part_isChargedHadron": (0.46, 0.5),
    "part_isNeutralHadron": (0.11, 0.32),
    "part_isPhoton": (0.41, 0.5),
    "part_isElectron": (0.01, 0.3),
    "part_isMuon": (0.01, 0.3),
    "part_d0": (0.0, 0.2),
    "part_d0err": (0.02, 0.1),
    "part_dz": (0.0, 0.2),
    "part_dzerr": (0.04, 0.1),
    "part_deta": (0.0, 0.21),
    "part_dphi": (0.0, 0.21),
}
"""Feature of jets to its mean and scale, a part of the recipe and not learned from the mixture.

Measured on real JetClass jets: kinematics on 500 jets of all ten classes, the others on 100 top
jets; rounded. A scale is at least 0.1, and 0.3 for the two flags that are rare: a lone muon must
not be 12 sigma."""


def feature_inputs(names: Iterable[str]) -> tuple[FeatureInput, ...]:
    """The input columns of features, in the order given.

    Inputs of other fields than jets are standardised when streams are made, so they have mean 0 and
    scale 1 (see `jetscale.jets.example.make_schema`). Raises StudyError for a feature of jets that
    has no entry in `INPUT_SCALE`.

    >>> feature_inputs(["part_charge"])
    (FeatureInput(name='part_charge', mean=0.0, scale=0.7),)
    """
    inputs = []
    for name in names:
        if name not in INPUT_SCALE and name.startswith("part_"):
            raise StudyError(unknown("feature", name, INPUT_SCALE))
        mean, scale = INPUT_SCALE.get(name, (0.0, 1.0))
        inputs.append(FeatureInput(name=name, mean=mean, scale=scale))
    return tuple(inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Numbers of trainable parameters."""

    total: int  # all of them; the laws are fitted to this N
    non_embedding: int  # those between the embedding of the inputs and the head
    head: int  # those of the head
