"""What a study takes: its runs, their cost, and who trains which next."""

from jetscale.planning.cost import pretraining_examples
from jetscale.planning.run import Run, plan_runs

__all__ = ["Run", "plan_runs", "pretraining_examples"]
