"""What a study takes: its runs, their cost, and the trials that pack them."""

from jetscale.plan.run import (
    ARCHITECTURE,
    DATA_VERSION,
    Run,
    Trial,
    chains,
    expected_constituents,
    pack,
    part_pools,
    plan_runs,
    pretraining_examples,
    pretraining_identity,
    seconds,
    source_identity,
    study_identity,
    study_summary,
)

__all__ = [
    "ARCHITECTURE",
    "DATA_VERSION",
    "Run",
    "Trial",
    "chains",
    "expected_constituents",
    "pack",
    "part_pools",
    "plan_runs",
    "pretraining_examples",
    "pretraining_identity",
    "seconds",
    "source_identity",
    "study_identity",
    "study_summary",
]
