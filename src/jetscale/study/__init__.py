"""What is asked: a study, its mixtures, ladder, source and what is held fixed."""

from jetscale.study.study import (
    Controls,
    Folders,
    Mixture,
    ModelSize,
    Simulated,
    Study,
)

__all__ = ["Controls", "Folders", "Mixture", "ModelSize", "Simulated", "Study"]
