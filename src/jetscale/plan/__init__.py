"""What a study takes: its runs, their cost, and the trials that pack them."""

from jetscale.plan.cost import expected_constituents, pretraining_examples
from jetscale.plan.packing import Trial, chains, pack
from jetscale.plan.run import Run, plan_runs, seconds

__all__ = [
    "Run",
    "Trial",
    "chains",
    "expected_constituents",
    "pack",
    "plan_runs",
    "pretraining_examples",
    "seconds",
]
