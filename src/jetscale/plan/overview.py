"""The plan of a study in numbers: what it trains, what that costs, and what is held fixed."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from jetscale.mixtures.inputs import given_folders
from jetscale.plan import Cell, cells, seconds
from jetscale.plan.identity import held_fixed
from jetscale.study import Folders, Study


def overview(study: Study) -> dict[str, Any]:
    """Totals, one row per mixture and model size, and the held-fixed table, in plain values.

    FLOPs and hours are expectations from the typical jet multiplicity; records hold exact numbers.
    """
    if isinstance(study.source, Folders):
        given_folders(study, study.source)  # what `run` would refuse is refused now
    planned = cells(study)
    rows = [
        _row(mixture.name, size.name, [c for c in planned if _is(c, mixture.name, size.name)])
        for mixture in study.mixtures
        for size in study.ladder
    ]
    return {
        "study": study.name,
        "mixtures": {mixture.name: dict(mixture.parts) for mixture in study.mixtures},
        "warnings": _warnings(study),
        "data_sizes": list(study.data_sizes),
        "seeds": list(study.seeds),
        "cells": len(planned),
        "pretraining_cells": sum(cell.kind == "pretrain" for cell in planned),
        "finetuning_cells": sum(cell.kind == "finetune" for cell in planned),
        "flops": sum(cell.flops for cell in planned),
        "core_hours": sum(seconds(cell) for cell in planned) / 3600,
        "rows": rows,
        "held_fixed": held_fixed(study, {}) | _pretraining(study) | {"subsets": study.subsets},
    }


def _pretraining(study: Study) -> dict[str, Any]:
    """Where the pretraining jets come from; decides pretrained cells, so not a control of all."""
    source = study.source
    if isinstance(source, Folders):
        return {f"pretraining.{part}": folder for part, folder in source.pretrain.items()}
    return {f"pretraining.{name}": value for name, value in asdict(source.pretraining).items()}


def _warnings(study: Study) -> list[str]:
    """What the planned grid cannot answer, said before anything is spent."""
    lines = []
    for what, values in (("model sizes", study.ladder), ("data sizes", study.data_sizes)):
        if len(values) < 3:
            lines.append(f"{len(values)} {what}: a law needs at least 3; losses can be compared")
    if len(study.seeds) < 2:
        lines.append("1 seed: the noise between seeds stays unknown")
    return lines


def _is(cell: Cell, mixture: str, size: str) -> bool:
    return cell.mixture.name == mixture and cell.size.name == size


def _row(mixture: str, size: str, chosen: Iterable[Cell]) -> dict[str, Any]:
    chosen = list(chosen)
    finetuning = [cell for cell in chosen if cell.kind == "finetune"]
    pretraining = [cell for cell in chosen if cell.kind == "pretrain"]
    return {
        "mixture": mixture,
        "size": size,
        "params": finetuning[0].params,
        "params_non_embedding": finetuning[0].params_non_embedding,
        "cells": len(chosen),
        "steps": [min(c.steps for c in finetuning), max(c.steps for c in finetuning)],
        "finetuning_flops": sum(cell.flops for cell in finetuning),
        "pretraining_flops": sum(cell.flops for cell in pretraining),
        "core_hours": sum(seconds(cell) for cell in chosen) / 3600,
    }
