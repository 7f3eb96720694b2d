"""What ingest does with one file: convert it to a part, a shard folder of its own.

A part is named by the content of its file and by everything that decides what is kept of it, and it
appears whole or not at all. So a part that is there is done, whoever made it: an interrupted ingest
goes on where it stopped, and any machinery may run the jobs in any order, on any machine that sees
the files and the folder of parts. Memory holds a few batches of jets, however long the file is.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from jetscale.errors import DataError, StorageError
from jetscale.jets.ingest.clean import Cleaned, clean
from jetscale.jets.ingest.cuts import cut_from
from jetscale.jets.ingest.formats import format_named
from jetscale.jets.ingest.formats.base import BadFile, Format
from jetscale.jets.shards import shard_writer
from jetscale.jets.shards.manifest import Manifest, open_shards, sha256_of

VERSION = 2  # of the conversion; another one makes parts anew

Report = Callable[[int], None]
"""Called with jets read since the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How files are read; all but ``on_bad_file`` decides what a part holds."""

    format: str
    role: str
    of: str | None = None
    select: tuple[str, ...] = ()
    on_bad_file: str = "fail"
    on_bad_jet: str = "drop"

    @property
    def source(self) -> Format:
        """The format with its functions."""
        return format_named(self.format, self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to be converted."""

    number: int
    path: Path
    parts: Path
    """Folder of the parts, visible to all who convert."""
    options: Options

    def __str__(self) -> str:
        return str(self.path)


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


def convert(job: Job, report: Report = lambda rows: None) -> Outcome:
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


def lost(job: Job, reason: str) -> Outcome:
    """What becomes of a file that kills whoever reads it: it is a bad file, by policy.

    Raises
    ------
    BadFile
        The policy is to fail.
    """
    problem = f"{job.path}: {reason}"
    if job.options.on_bad_file == "fail":
        raise BadFile(f"{problem}; `--on-bad-file skip` leaves such files out")
    return Outcome(number=job.number, problem=problem)


def _part(job: Job, report: Report) -> Manifest:
    try:
        digest = sha256_of(job.path)
    except OSError as error:
        raise BadFile(f"{job.path}: cannot be read: {error.strerror}") from error
    folder = job.parts / f"part-{_key(job, digest)}"
    if folder.exists():
        try:
            part = open_shards(folder)
        except DataError:  # damaged since
            shutil.rmtree(folder)
        else:
            report(part.provenance["files"][0]["rows"])
            return part
    _write(job, digest, folder, report)
    return open_shards(folder)


def _key(job: Job, digest: str) -> str:
    o = job.options
    # the name decides the class of JetNet files
    text = json.dumps(
        [VERSION, o.format, o.of, o.role, o.select, o.on_bad_jet, job.path.name, digest]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(job: Job, digest: str, folder: Path, report: Report) -> None:
    dropped: Counter[str] = Counter()
    rows = 0
    corpus = job.options.source.corpus
    with shard_writer(folder, corpus=corpus, role=job.options.role, may_be_empty=True) as writer:
        for raw in job.options.source.read(job.path):
            for table in _kept(job, raw, rows, dropped):
                writer.write(table)
            rows += raw.num_rows
            report(raw.num_rows)
        entry = {"name": job.path.name, "sha256": digest, "rows": rows, "dropped": dict(dropped)}
        writer.provenance["files"] = [entry]


def _kept(job: Job, raw: pa.Table, first_row: int, dropped: Counter[str]) -> Iterator[pa.Table]:
    """The jets of a batch that are usable and pass the cuts, if there are any."""
    source = job.options.source
    try:
        cleaned = clean(raw, source.corpus)
    except DataError as error:
        raise BadFile(f"{job.path}: {error}") from error
    if job.options.on_bad_jet == "fail":
        _refuse(job.path, cleaned, first_row)
    dropped.update({reason: len(found) for reason, found in cleaned.faults.items()})
    table = cleaned.table
    for text in job.options.select:
        cut = cut_from(text, source.jet_columns)
        keep = cut.passes(table)
        if not keep.all():
            dropped[cut.text] += int((~keep).sum())
            table = table.filter(pa.array(keep))
    if table.num_rows:
        yield table


def _refuse(path: Path, cleaned: Cleaned, first_row: int) -> None:
    if cleaned.faults:
        reason, rows = min(cleaned.faults.items(), key=lambda fault: fault[1][0])
        raise DataError(
            f"{path}: row {first_row + rows[0]}: {reason}; `--on-bad-jet drop` leaves such jets out"
        )
