"""Training speed on one GPU: ``make gpu``, or ``python benchmarks/gpu.py``.

Prints jets per second, model FLOPs utilisation and peak memory of whole optimiser steps, batch
assembly included, for models of 1 to 100 million parameters in both precisions, and of stacks of
small models; writes the same to ``gpu.md``. Rows that would start after six minutes are left out,
and said to be. Where there is no CUDA device the file says that nothing was measured.
"""

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from time import perf_counter

import torch
from training import CLASSES, FEATURES, LIMIT, random_jets

from jetscale.models.transformer import flops
from jetscale.study import Controls, ModelSize
from jetscale.training.device import peak_flops, peak_memory, start_memory
from jetscale.training.engine import Engine, Source
from jetscale.training.spec import RunSpec

RESULTS = Path(__file__).with_name("gpu.md")
SIZES = {
    "1M": ModelSize(width=128, layers=6, heads=8),
    "10M": ModelSize(width=256, layers=15, heads=8),
    "50M": ModelSize(width=512, layers=19, heads=8),
    "100M": ModelSize(width=640, layers=24, heads=10),
}
SMALL = ModelSize(width=16, layers=2, heads=2)
STACKS = (1, 16, 64)
BATCH, SMALL_BATCH = 512, 16
SECONDS, LAST_START = 6.0, 360.0
HEAD = "| model | precision | runs in lock step | batch | jets/s | MFU | peak memory, GB |"


def measured(size: ModelSize, precision: str, models: int, batch: int, device: str) -> str:
    """The row of a table: steps of this many models for some seconds."""
    data = random_jets(20_000, LIMIT)
    recipe = Controls(pretraining_jets=1, validation_jets=1, test_jets=1, batch_size=batch)
    recipe = replace(recipe, precision=precision)
    one = RunSpec(
        key="0",
        recipe=recipe,
        epochs=10**4,
        seed=0,
        size=size,
        features=FEATURES,
        classes=tuple(map(str, range(CLASSES))),
    )
    specs = [replace(one, key=str(seed), seed=seed) for seed in range(models)]
    engine = Engine([Source(spec=spec, train=data) for spec in specs], device)
    start_memory(engine.device)
    for step in range(3):
        engine.update(step, *engine.assemble(step))
    engine.wait()
    begin, step = perf_counter(), 3
    while perf_counter() - begin < SECONDS:
        engine.update(step, *engine.assemble(step))
        step += 1
    engine.wait()
    jets = models * (step - 3) * batch / (perf_counter() - begin)
    n = data.lengths
    sums = {"constituents": int(n.sum()), "constituents_squared": int((n**2).sum())}
    a_jet = flops.training_flops(size, len(FEATURES), CLASSES, jets=len(n), **sums) / len(n)
    name = torch.cuda.get_device_name(engine.device) if device == "cuda" else device
    peak, memory = peak_flops(name, precision), peak_memory(engine.device)
    mfu = "not known" if peak is None else f"{a_jet * jets / peak:.1%}"
    return (
        f"| {size.name} | {precision} | {models} | {batch} | {jets:.0f} | {mfu} | "
        f"{(memory or 0) / 1e9:.2f} |"
    )


def table(device: str) -> list[str]:
    """All rows there is time for."""
    cases = [(size, p, 1, BATCH) for p in ("bfloat16", "float32") for size in SIZES.values()]
    cases += [(SMALL, "float32", models, SMALL_BATCH) for models in STACKS]
    begin, lines = perf_counter(), [HEAD, "|---|---|---|---|---|---|---|"]
    for case in cases:
        late = perf_counter() - begin > LAST_START
        row = f"| {case[0].name} | {case[1]} | {case[2]} | {case[3]} | not measured: no time |||"
        try:
            lines.append(row if late else measured(*case, device))
        except torch.cuda.OutOfMemoryError:
            lines.append(row.replace("no time", "out of memory"))
        torch.cuda.empty_cache()
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure and write the file."""
    lines = ["# Training speed on a GPU", "", "Command: `make gpu`; see the script.", ""]
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        lines += [f"{date.today()}, {name}, torch {torch.__version__}", "", *table("cuda")]
    else:
        lines.append(f"{date.today()}: not measured, this machine has no CUDA device.")
        print(lines[-1], file=sys.stderr)
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
