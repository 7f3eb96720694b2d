"""What ingest does with one file: convert it to a part, a shard folder of its own.

A part is named by the content of its file and by all that decides what is kept of it, and appears
whole or not at all: an interrupted ingest goes on, and jobs may run in any order on any machine.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jetscale.errors import DataError, StorageError, unknown
from jetscale.jets.ingest.clean import MAX_BAD, Cut, Sieve, check_max_bad, cut_from
from jetscale.jets.ingest.formats import format_named
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.formats.files import Format
from jetscale.jets.schema import ROLES
from jetscale.jets.shards import shard_writer
from jetscale.jets.shards.manifest import Manifest, open_shards, sha256_of

VERSION = 3  # of the conversion; another one makes parts anew
Report = Callable[[int], None]  # called with jets read since the last call


@dataclass(frozen=True, kw_only=True)
class Options:
    """How files are read; DataError for a value that makes no sense, alone or with the format."""

    format: str
    """One of `jetscale.jets.ingest.formats.NAMES`."""
    role: str
    """What the jets may be used for; use published file numbers, or split files by ``rows``."""
    of: str | None = None
    """The set that OmniLearned files are of; other formats know theirs."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """For own jets (``arrays``): quantity to column, see `jetscale.jets.ingest.formats.own`."""
    classes: Sequence[str] = ()
    """For own jets: class names in label order; labels that are text give their own."""
    corpus: str | None = None
    """For own jets: a name for all of their kind, ``own`` if none is given."""
    select: Sequence[str] = ()
    """Cuts such as ``200 < jet_pt < 2500``; jets that fail one are left out and counted."""
    rows: str = "0:1"
    """Share of each file's jets, in file order: ``0:0.6`` and ``0.6:1`` have none in common."""
    on_bad_file: str = "fail"
    """``fail``, or ``skip`` to leave out files that are truncated, damaged or of another layout."""
    on_bad_jet: str = "drop"
    """``drop`` unusable jets and count them, or ``fail`` at the first."""
    max_bad: float = MAX_BAD
    """A file with a larger share of unusable jets is a bad file."""

    def __post_init__(self) -> None:
        for what, value, known in (
            ("role", self.role, ROLES),
            ("policy for bad files", self.on_bad_file, ("fail", "skip")),
            ("policy for bad jets", self.on_bad_jet, ("drop", "fail")),
        ):
            if value not in known:
                raise DataError(unknown(what, value, known))
        check_max_bad(self.max_bad)
        self.cuts()
        _ = self.share

    @property
    def share(self) -> tuple[float, float]:
        """The ends of ``rows``; DataError for what is no share."""
        low, _, high = self.rows.partition(":")
        with suppress(ValueError):
            if 0 <= (start := float(low)) < (end := float(high)) <= 1:
                return start, end
        raise DataError(
            f"rows is {self.rows!r}; needs two rising fractions of each file, as in 0:0.6"
        )

    def rows_of(self, path: Path) -> range:
        """The rows of a file that are read; raises BadFile."""
        total = self.source.count(path)
        return range(*(round(end * total) for end in self.share))

    @property
    def source(self) -> Format:
        """The format with its functions, which are not to be pickled with the options."""
        return format_named(self.format, self.of, self.columns, self.classes, self.corpus)

    def cuts(self) -> list[Cut]:
        """The cuts that jets must pass."""
        return [cut_from(text, self.source.jet_columns) for text in self.select]


@dataclass(frozen=True, slots=True)
class Job:
    """One file to be converted, and the folder of the parts, visible to all who convert."""

    number: int
    path: Path
    parts: Path
    options: Options

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job: the folder of its part, or why the file was skipped."""

    number: int
    rows: int = 0
    part: str = ""
    problem: str = ""


def convert(job: Job, report: Report = lambda rows: None) -> Outcome:
    """Make the part of a file, unless it is there already.

    Raises BadFile and DataError if the policy is to fail, StorageError for no folder of parts.
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
    """A file that kills whoever reads it is a bad file; raises BadFile if the policy is to fail."""
    problem = f"{job.path}: {reason}"
    if job.options.on_bad_file == "fail":
        raise BadFile(f"{problem}; `--on-bad-file skip` leaves such files out")
    return Outcome(number=job.number, problem=problem)


def _part(job: Job, report: Report) -> Manifest:
    try:
        digest = sha256_of(job.path)
    except OSError as error:
        raise BadFile(f"{job.path}: cannot be read: {error.strerror}") from error
    decides = asdict(job.options) | {"on_bad_file": None}
    text = json.dumps([VERSION, decides, job.path.name, digest])  # JetNet's class is in the name
    folder = job.parts / f"part-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if folder.exists():
        try:
            part = open_shards(folder)
            report(part.provenance["files"][0]["rows"])
            return part
        except DataError:  # damaged since
            shutil.rmtree(folder)
    options, source = job.options, job.options.source
    policy = options.cuts(), options.on_bad_jet, options.max_bad
    where = str(job.path) + ("" if options.rows == "0:1" else f", rows {options.rows}")
    sieve = Sieve(where, len(source.names), *policy)
    with shard_writer(
        folder, corpus=source.corpus, role=options.role, may_be_empty=True, classes=source.names
    ) as writer:
        rows, start = options.rows_of(job.path), 0
        for table in source.read(job.path):
            raw = table[max(0, rows.start - start) : max(0, rows.stop - start)]
            start += table.num_rows
            kept = sieve.keep(raw)
            if kept.num_rows:
                writer.write(kept)
            report(raw.num_rows)
        sieve.check()
        entry = {"name": job.path.name, "sha256": digest, "rows": sieve.rows}
        writer.provenance["files"] = [entry | {"dropped": sieve.dropped}]
    return open_shards(folder)
