"""Ingest of many files as one Ray Data job: a task per file, a few batches of jets in its memory.

The jobs are those of `jetscale.jets.ingest.ingest.in_process`, and so are the bytes. A finished
file is a finished part, so an interrupted job goes on where it stopped. Files and folders must be
visible to all nodes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.data

from jetscale import errors
from jetscale.compute import ray_data
from jetscale.errors import JetscaleError, MissingExtra, SweepError
from jetscale.jets.ingest.ingest import Progress, ingest
from jetscale.jets.ingest.work import Job, Outcome, Report, convert
from jetscale.jets.shards.manifest import Manifest


def ingest_many(
    format: str,
    role: str,
    files: Sequence[Path],
    out: Path,
    progress: Progress | None = None,
    *,
    workers: int,
    **options: Any,
) -> Manifest:
    """`jetscale.jets.ingest.ingest` with ``workers`` files at the same time.

    Raises
    ------
    SweepError
        Ray is not initialised, or fails for a reason other than the data.
    DataError, MissingExtra, StorageError
        As `jetscale.jets.ingest.ingest`.
    """
    if not ray.is_initialized():
        raise SweepError("files cannot be read: Ray is not running; call ray.init() first")
    run = partial(_run_on_ray, workers)
    return ingest(format, role, files, out, progress, **options, run=run)


def _run_on_ray(workers: int, jobs: Sequence[Job], report: Report) -> Iterator[Outcome]:
    with ray_data.job("files cannot be read"):
        rows = (
            ray.data.range(len(jobs), override_num_blocks=len(jobs))
            .map(partial(_attempt, jobs), concurrency=workers)
            .iter_rows()
        )
        for row in rows:
            if row["error"]:
                raise getattr(errors, row["error"])(row["problem"])
            del row["error"]
            outcome = Outcome(**row)
            report(outcome.rows)
            yield outcome


def _attempt(jobs: Sequence[Job], row: dict[str, int]) -> dict[str, Any]:
    """One job; an error travels as a row, because Ray would wrap it in its own."""
    job = jobs[row["id"]]
    try:
        return asdict(convert(job, lambda rows: None)) | {"error": ""}
    except MissingExtra as error:
        return asdict(Outcome(number=job.number, problem=f"on a node, {error}")) | {
            "error": "SweepError"
        }
    except JetscaleError as error:
        kind = next(k.__name__ for k in type(error).__mro__ if hasattr(errors, k.__name__))
        return asdict(Outcome(number=job.number, problem=str(error))) | {"error": kind}
