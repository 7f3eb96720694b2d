"""The plan of a study in numbers: what it trains, what that costs, and what is held fixed."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from jetscale.mixtures.inputs import given_folders
from jetscale.plan import Run, plan_runs, seconds
from jetscale.plan.identity import held_fixed
from jetscale.study import Declared, Folders, Study


def overview(study: Study) -> dict[str, Any]:
    """Totals, one row per mixture and model size, and the held-fixed table, in plain values.

    FLOPs and hours are expectations from the typical jet multiplicity; records hold exact numbers.
    """
    if isinstance(study.source, Folders):
        given_folders(study, study.source)  # what `run` would refuse is refused now
    planned = plan_runs(study)
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
        "runs": len(planned),
        "pretraining_runs": sum(run.kind == "pretrain" for run in planned),
        "finetuning_runs": sum(run.kind == "finetune" for run in planned),
        "flops": sum(run.flops for run in planned),
        "core_hours": sum(seconds(run) for run in planned) / 3600,
        "rows": rows,
        "held_fixed": held_fixed(study, {}) | _pretraining(study) | {"subsets": study.subsets},
    }


def _pretraining(study: Study) -> dict[str, Any]:
    """Where the pretraining jets come from; decides pretrained runs, so not a control of all."""
    source = study.source
    if isinstance(source, Folders):
        return {f"pretraining.{part}": folder for part, folder in source.pretrain.items()}
    if isinstance(source, Declared):
        return {f"pretraining.{c.name}": ", ".join(c.classes) for c in source.pretraining}
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


def _is(run: Run, mixture: str, size: str) -> bool:
    return run.mixture.name == mixture and run.size.name == size


def _row(mixture: str, size: str, chosen: Iterable[Run]) -> dict[str, Any]:
    chosen = list(chosen)
    finetuning = [run for run in chosen if run.kind == "finetune"]
    pretraining = [run for run in chosen if run.kind == "pretrain"]
    return {
        "mixture": mixture,
        "size": size,
        "params": finetuning[0].params,
        "params_non_embedding": finetuning[0].params_non_embedding,
        "runs": len(chosen),
        "steps": [min(c.steps for c in finetuning), max(c.steps for c in finetuning)],
        "finetuning_flops": sum(run.flops for run in finetuning),
        "pretraining_flops": sum(run.flops for run in pretraining),
        "core_hours": sum(seconds(run) for run in chosen) / 3600,
    }
