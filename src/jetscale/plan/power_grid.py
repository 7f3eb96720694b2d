"""The grid of a study as the power analysis sees it: cells, seeds and FLOPs, no jets."""

from jetscale.plan import Cell, cells
from jetscale.scaling.power.grid import Grid, make_grid
from jetscale.study import Study


def planned_grid(study: Study) -> Grid:
    """Cells of every mixture with their expected FLOPs, pretraining per model size and seed.

    Raises
    ------
    FitError
        The study has too few sizes or cells for a law.
    """
    once = [cell for cell in cells(study) if cell.seed == study.seeds[0]]
    trunks = [cell for cell in once if cell.kind == "pretrain"]

    def pretraining(cell: Cell) -> float:
        return sum(trunk.flops for trunk in trunks if trunk.size == cell.size)

    grid = [c for c in once if c.kind == "finetune" and c.mixture == study.mixtures[0]]
    return make_grid(
        params=[cell.params for cell in grid],
        examples=[cell.examples for cell in grid],
        seeds=len(study.seeds),
        flops=[cell.flops for cell in grid],
        pretraining_flops=[pretraining(cell) for cell in grid],
        mixtures=[mixture.name for mixture in study.mixtures],
    )
