"""What ingest does with one file: convert it to a part, a shard folder of its own.

A part is named by the content of its file and by everything that decides what is kept of it, and it
appears whole or not at all. So a part that is there is done, whoever made it: an interrupted ingest
goes on where it stopped, and any machinery may run the jobs in any order, on any machine that sees
the files and the folder of parts. Memory holds a few batches of jets, however long the file is.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from jetscale.errors import DataError, StorageError
from jetscale.jets.ingest.cuts import cut_from
from jetscale.jets.ingest.formats import format_named
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.formats.files import Format
from jetscale.jets.ingest.sieve import MAX_BAD, Sieve, named
from jetscale.jets.shards import shard_writer
from jetscale.jets.shards.manifest import Manifest, open_shards, sha256_of

VERSION = 3  # of the conversion; another one makes parts anew

Report = Callable[[int], None]
"""Called with jets read since the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How files are read; all but ``on_bad_file`` decides what a part holds."""

    format: str
    role: str
    of: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()
    corpus: str | None = None
    select: tuple[str, ...] = ()
    on_bad_file: str = "fail"
    on_bad_jet: str = "drop"
    max_bad: float = MAX_BAD

    @property
    def source(self) -> Format:
        """The format with its functions."""
        return format_named(
            self.format,
            self.of,
            columns=dict(self.columns),
            classes=self.classes,
            corpus=self.corpus,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to be converted."""

    number: int
    path: Path
    parts: Path
    """Folder of the parts, visible to all who convert."""
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job."""

    number: int
    rows: int = 0
    """Jets in the file."""
    part: str = ""
    """Name of the part's folder; empty for a file that was skipped."""
    problem: str = ""
    """Why it was skipped."""


def convert(job: Job, report: Report) -> Outcome:
    """Make the part of a file, unless it is there already.

    Raises
    ------
    BadFile
        The file is not what it should be, and the policy is to fail.
    DataError
        A jet is unusable, and the policy is to fail.
    StorageError
        The folder of parts is not on this machine or cannot be written.
    """
    if not job.parts.is_dir():
        raise StorageError(f"{job.parts} is not on this node; use a folder that all nodes share")
    try:
        part = _part(job, report)
    except BadFile as error:
        if job.options.on_bad_file == "fail":
            raise
        return Outcome(number=job.number, problem=str(error))
    rows = part.provenance["files"][0]["rows"]
    return Outcome(number=job.number, rows=rows, part=part.folder.name)


def _part(job: Job, report: Report) -> Manifest:
    """The part of a file, made unless it is there."""
    try:
        digest = sha256_of(job.path)
    except OSError as error:
        raise BadFile(f"{job.path}: cannot be read: {error.strerror}") from error
    decides = asdict(job.options) | {"on_bad_file": None}
    # the name decides the class of JetNet files
    text = json.dumps([VERSION, decides, job.path.name, digest])
    folder = job.parts / f"part-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if folder.exists():
        try:
            part = open_shards(folder)
        except DataError:  # damaged since
            shutil.rmtree(folder)
        else:
            report(part.provenance["files"][0]["rows"])
            return part
    options, source = job.options, job.options.source
    sieve = Sieve(
        where=str(job.path),
        n_classes=len(source.names),
        cuts=[cut_from(text, source.jet_columns) for text in options.select],
        on_bad_jet=options.on_bad_jet,
        max_bad=options.max_bad,
    )
    with shard_writer(
        folder,
        corpus=source.corpus,
        role=options.role,
        may_be_empty=True,
        **named(shard_writer, source.names),
    ) as writer:
        for raw in source.read(job.path):
            kept = sieve.keep(raw)
            if kept.num_rows:
                writer.write(kept)
            report(raw.num_rows)
        sieve.check()
        entry = {"name": job.path.name, "sha256": digest, "rows": sieve.rows}
        writer.provenance["files"] = [entry | {"dropped": sieve.dropped}]
    return open_shards(folder)
