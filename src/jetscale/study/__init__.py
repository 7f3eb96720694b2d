"""What is asked: a study, its mixtures, ladder, source and recipe."""

from jetscale.study.ladder import ModelSize
from jetscale.study.mixture import Mixture
from jetscale.study.recipe import (
    Controls,
    Data,
    Evaluation,
    Model,
    Optimiser,
    Recipe,
    Schedule,
)
from jetscale.study.source import Folders, Simulated
from jetscale.study.study import Study

__all__ = [
    "Controls",
    "Data",
    "Evaluation",
    "Folders",
    "Mixture",
    "Model",
    "ModelSize",
    "Optimiser",
    "Recipe",
    "Schedule",
    "Simulated",
    "Study",
]
