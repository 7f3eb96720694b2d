"""From a simulation job to a shard folder on disk."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from jetscale.jets.generator.conditions import DEFAULT, Conditions
from jetscale.jets.production.production import produce
from jetscale.jets.production.workers import Workers
from jetscale.jets.shards import open_shards, shard_writer
from jetscale.jets.shards.manifest import Manifest


def simulate_shards(
    folder: Path,
    *,
    corpus: str,
    role: str,
    jets: int,
    seed: int,
    workers: int,
    part: str | None = None,
    conditions: Conditions = DEFAULT,
    shared: Workers | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Simulate jets and write them, with their provenance, as one shard folder.

    Parameters
    ----------
    corpus, role, jets, seed, workers, part, conditions
        See `jetscale.jets.production.production.produce`.
    shared
        Processes shared with other jobs; None opens some for this one.
    progress
        Called with the jets done and the jets wanted.

    Raises
    ------
    DataError, MissingExtra, SweepError, StorageError
        A name is unknown, a package is missing, a worker died, the folder cannot be written.
    """
    job = produce(
        corpus=corpus,
        role=role,
        jets=jets,
        seed=seed,
        workers=workers,
        part=part,
        conditions=conditions,
    )
    with shard_writer(folder, corpus=corpus, role=role) as writer:
        with closing(job.tables(progress, shared)) as tables:  # ends its workers on any failure
            for table in tables:
                writer.write(table)
        writer.provenance.update(job.provenance())
    return open_shards(folder)
