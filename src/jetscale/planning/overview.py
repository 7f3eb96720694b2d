"""The plan of a study in numbers: what it trains, what that costs, and what is held fixed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from jetscale.digests import digest
from jetscale.mixtures.inputs import given_folders, jets_to_simulate
from jetscale.objectives.protocol import needs_labels
from jetscale.planning.ahead import ahead
from jetscale.planning.identity import flatten, recipe_of
from jetscale.planning.run import Run, plan_runs
from jetscale.planning.timing import CORE
from jetscale.scaling.power.grid import Grid, make_grid
from jetscale.shown import Shown, frame_of
from jetscale.study import Declared, Folders, Study
from jetscale.study.recipe import MINIMUM_STEPS
from jetscale.words import counted


class Plan(Shown, dict[str, Any]):
    """A plan by the names that its JSON has: ``plan["flops"]``."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row per mixture and model size."""
        ends = ("fewest_steps", "most_steps")
        columns = "mixture size params params_non_embedding runs fewest_steps most_steps "
        columns += "finetuning_flops pretraining_flops core_hours"
        rows = (row | dict(zip(ends, row["steps"], strict=True)) for row in self["rows"])
        return frame_of(rows, columns)


def overview(study: Study, slots: int = 1) -> Plan:
    """Totals, one row per mixture and model size, and the held-fixed table, in plain values.

    FLOPs and hours are expectations from the typical jet multiplicity; records hold exact numbers.
    The schedule is that on ``slots`` workers of one machine.
    """
    if isinstance(study.source, Folders):
        given_folders(study, study.source)  # what `run` would refuse is refused now
    runs = plan_runs(study)
    todo = ahead(runs, jets_to_simulate(study), slots, study.workers_per_run)
    rows = [
        _row(m.name, size.name, [r for r in runs if r.mixture.name == m.name and r.size == size])
        for m in study.mixtures
        for size in study.ladder
    ]
    return Plan(
        study=study.name,
        mixtures={mixture.name: dict(mixture.parts) for mixture in study.mixtures},
        labels={mixture.name: list(study.labels(mixture)) for mixture in study.mixtures},
        notes=_notes(study, runs),
        warnings=_warnings(study, runs),
        data_sizes=list(study.data_sizes),
        seeds=list(study.seeds),
        runs=len(runs),
        pretraining_runs=sum(run.kind == "pretrain" for run in runs),
        finetuning_runs=sum(run.kind == "finetune" for run in runs),
        flops=sum(run.flops for run in runs),
        core_hours=sum(map(CORE.seconds, runs)) / 3600,
        simulated_jets=todo.jets,
        schedule={
            "slots": slots,
            "simulation_hours": todo.simulation / 3600,
            "hours": todo.training / 3600,
            "workers": todo.workers,
            "text": todo.text,
        },
        rows=rows,
        recipe=flatten(recipe_of(study)),
        pretraining=_pretraining(study),
        subsets=study.subsets,
    )


def _pretraining(study: Study) -> dict[str, Any]:
    source = study.source
    if isinstance(source, Declared):
        return {corpus.name: digest(corpus.identity) for corpus in source.pretraining}
    return dict(source.pretrain) if isinstance(source, Folders) else asdict(source.pretraining)


def _notes(study: Study, runs: Sequence[Run]) -> list[str]:
    """What pretraining is told beside the task, and which runs take more passes than asked."""
    lines, model, schedule = [], study.recipe.model, study.recipe.schedule
    if model.pretraining_objective is not None and study.pretrained:
        labels = "" if needs_labels(model.pretraining_objective) else ", which reads no labels"
        lines.append(
            f"trunks are pretrained with objective {model.pretraining_objective}{labels}; runs on "
            f"the task have objective {model.objective}"
        )
    asked = {"finetune": schedule.epochs, "pretrain": schedule.pretraining_epochs}
    more = {(r.kind, r.examples, r.epochs) for r in runs if r.epochs != asked[r.kind]}
    if more:
        listed = ", ".join(
            f"{'pretraining ' if kind == 'pretrain' else ''}D={examples} {counted(epochs, 'epoch')}"
            for kind, examples, epochs in sorted(more)
        )
        lines.append(f"at least {schedule.min_steps} optimiser steps take more passes: {listed}")
    return lines


def _warnings(study: Study, runs: Sequence[Run]) -> list[str]:
    lines = []
    for what, values in (("model size", study.ladder), ("data size", study.data_sizes)):
        if len(values) < 3:
            few = counted(len(values), what)
            lines.append(f"{few}: a law needs at least 3; losses can be compared")
    lines += _unsearched(study)
    if len(study.seeds) < 2:
        lines.append("1 seed: the noise between seeds stays unknown")
    if study.recipe.precision == "bfloat16":
        lines.append(
            "precision bfloat16: faster on a GPU, and on a CPU with AMX from width 128; other CPUs "
            "emulate it and are slower than with float32"
        )
    trained = {(run.kind == "pretrain", run.examples, run.epochs, run.steps) for run in runs}
    for pretraining, examples, epochs, steps in sorted(trained):
        if steps < MINIMUM_STEPS:
            batch = study.recipe.schedule.batch(examples, epochs)
            lines.append(
                f"{'pretraining, ' if pretraining else ''}D={examples}, "
                f"{counted(epochs, 'epoch')}, batch {batch}: {steps} optimiser steps, fewer than "
                f"{MINIMUM_STEPS}; Adam has not settled, take more epochs or a smaller batch"
            )
    return lines


def _unsearched(study: Study) -> list[str]:
    """Where the learning rates of a study rest on no search, or leave the range of theirs."""
    rates = study.recipe.optimiser.rates
    if rates is None or not rates.search:
        return ["learning rates were not searched: `jetscale tune` does it alike for all mixtures"]
    other = study.recipe.searched_otherwise
    lines = [f"{other}: `jetscale tune` searches them again"] if other else []
    lines += [
        f"mixture {mixture.name} was not searched for its learning rate; tune again"
        for mixture in study.mixtures
        if mixture.name not in rates.arms
    ]
    for what, ours, searched in (
        ("width", [size.width for size in study.ladder], [r.width for r in rates.regrets]),
        ("data size", study.data_sizes, [r.examples for r in rates.regrets]),
    ):
        beyond = [v for v in ours if searched and not min(searched) <= v <= max(searched)]
        if beyond:
            ends = f"{min(searched)} to {max(searched)}"
            listed = ", ".join(map(str, beyond))
            lines.append(f"{what} {listed} lies outside of the search of rates ({ends})")
    return lines


def _row(mixture: str, size: str, runs: Sequence[Run]) -> dict[str, Any]:
    finetuning = [run for run in runs if run.kind == "finetune"]
    steps = [run.steps for run in finetuning]
    return {
        "mixture": mixture,
        "size": size,
        "params": finetuning[0].params,
        "params_non_embedding": finetuning[0].params_non_embedding,
        "runs": len(runs),
        "steps": [min(steps), max(steps)],
        "finetuning_flops": sum(run.flops for run in finetuning),
        "pretraining_flops": sum(run.flops for run in runs if run.kind == "pretrain"),
        "core_hours": sum(map(CORE.seconds, runs)) / 3600,
    }


def power_grid(study: Study) -> Grid:
    """The grid of a study as the power analysis sees it: cells, seeds and FLOPs, no jets.

    FLOPs are expected ones, those of pretraining per model size and seed. Raises FitError where the
    study has too few sizes or cells for a law.
    """
    once = [run for run in plan_runs(study) if run.seed == study.seeds[0]]
    trunks = [run for run in once if run.kind == "pretrain"]
    cells = [r for r in once if r.kind == "finetune" and r.mixture == study.mixtures[0]]
    return make_grid(
        params=[run.params for run in cells],
        examples=[run.examples for run in cells],
        seeds=len(study.seeds),
        flops=[run.flops for run in cells],
        pretraining_flops=[
            sum(trunk.flops for trunk in trunks if trunk.size == run.size) for run in cells
        ],
        mixtures=[mixture.name for mixture in study.mixtures],
    )
