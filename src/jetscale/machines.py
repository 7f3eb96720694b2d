"""Where a sweep trains: no identity depends on it, results differ by rounding at most."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What a person asks for when a sweep starts."""

    address: str | None = None
    """Ray cluster to join; None is this machine, or the cluster of ``RAY_ADDRESS``."""
    device: str | None = None
    """``cpu`` or ``cuda``; None is GPUs where there are some."""
    workers_per_run: int | None = None
    """Workers of every run; None lets the plan choose, up to the limit of the study."""
    across_nodes: bool = False
    """Whether a run that fits no node may have workers on several."""
    checkpoint_seconds: float = 60.0
    """Seconds between two checkpoints of a run: what a fault costs at most."""


JETS_PER_SECOND = 150.0
"""What a core simulates without pile-up (benchmarks/simulation.md); rare labels take longer."""


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
