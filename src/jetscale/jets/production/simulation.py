"""From a simulation job to a shard folder on disk."""

from contextlib import closing
from pathlib import Path

from jetscale.executor import Executor
from jetscale.jets.generator.conditions import DEFAULT, Conditions
from jetscale.jets.production.production import Overlays, Production, Progress
from jetscale.jets.shards import open_shards, shard_writer
from jetscale.jets.shards.manifest import Manifest


def simulate_shards(
    folder: Path,
    executor: Executor,
    *,
    corpus: str,
    role: str,
    jets: int,
    seed: int,
    part: str | None = None,
    conditions: Conditions = DEFAULT,
    overlays: Overlays | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Simulate jets and write them, with their provenance, as one shard folder.

    See `jetscale.jets.production.production.Production` for what the names mean and may be.

    Raises:
        DataError, MissingExtra, SweepError, StorageError: A name is unknown, a package is missing,
            a worker died, the folder cannot be written.
    """
    job = Production(
        corpus=corpus, role=role, jets=jets, seed=seed, part=part, conditions=conditions
    )
    with shard_writer(folder, corpus=corpus, role=role) as writer:
        with closing(job.tables(executor, overlays, progress)) as tables:  # on any failure, too
            for table in tables:
                writer.write(table)
        writer.provenance.update(job.provenance())
    return open_shards(folder)
