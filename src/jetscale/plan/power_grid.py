"""The grid of a study as the power analysis sees it: runs, seeds and FLOPs, no jets."""

from jetscale.plan import Run, plan_runs
from jetscale.scaling.power.grid import Grid, planned
from jetscale.study import Study


def planned_grid(study: Study) -> Grid:
    """Runs of every mixture with their expected FLOPs, pretraining per model size and seed.

    Raises
    ------
    FitError
        The study has too few sizes or runs for a law.
    """
    once = [run for run in plan_runs(study) if run.seed == study.seeds[0]]
    trunks = [run for run in once if run.kind == "pretrain"]

    def pretraining(run: Run) -> float:
        return sum(trunk.flops for trunk in trunks if trunk.size == run.size)

    grid = [c for c in once if c.kind == "finetune" and c.mixture == study.mixtures[0]]
    return planned(
        params=[run.params for run in grid],
        examples=[run.examples for run in grid],
        seeds=len(study.seeds),
        flops=[run.flops for run in grid],
        pretraining_flops=[pretraining(run) for run in grid],
        mixtures=[mixture.name for mixture in study.mixtures],
    )
