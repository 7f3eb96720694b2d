"""Public jet files to a shard folder.

What can be read is in `jetscale.jets.ingest.formats`. Paths and the layout of all files are checked
before any jet is read; that two files hold the same jets or give other columns shows when both have
been read. Each becomes a part (`jetscale.jets.ingest.work`) in a folder beside the one asked for,
which takes its place when all parts are there; until then finished parts are kept, so that the same
call made again goes on. Jets are left out for the reasons of `jetscale.jets.ingest.clean` and by
the cuts of `jetscale.jets.ingest.cuts`; all are counted, by file and reason, in the provenance.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jetscale.errors import DataError, StorageError, unknown
from jetscale.executor import Executor, in_process
from jetscale.jets.ingest.cuts import cut_from
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.work import Job, Options, Outcome, convert, lost
from jetscale.jets.schema import ROLES
from jetscale.jets.shards.manifest import MANIFEST, Manifest, open_shards, write_manifest
from jetscale.store.local import locked, make_folder, storage_error

Progress = Callable[[int, int], None]
"""Called with jets read and jets to read."""

ON_BAD_FILE = ("fail", "skip")
ON_BAD_JET = ("drop", "fail")


def ingest(
    format: str,
    role: str,
    files: Sequence[Path],
    out: Path,
    progress: Progress | None = None,
    *,
    of: str | None = None,
    select: Sequence[str] = (),
    on_bad_file: str = "fail",
    on_bad_jet: str = "drop",
    executor: Executor = in_process,
) -> Manifest:
    """Convert public files to one shard folder.

    Parameters
    ----------
    format
        One of `jetscale.jets.ingest.formats.NAMES`.
    role
        What the jets may be used for; take it from the published file numbers, never split a file.
    files
        Files to read; the jets keep this order.
    out
        Shard folder to make; must not exist or be empty, and be neither the current folder nor a
        link.
    progress
        Called when jets have been read.
    of
        The set that OmniLearned files are of; other formats know theirs.
    select
        Cuts such as ``200 < jet_pt < 2500``; jets that fail one are left out and counted.
    on_bad_file
        ``fail``, or ``skip`` to leave out files that are truncated, damaged or of another layout.
    on_bad_jet
        ``drop`` unusable jets and count them, or ``fail`` at the first.
    executor
        What converts the files; on a cluster all nodes must see them and the folder of ``out``.

    Raises
    ------
    DataError
        A wrong argument, no files, a file that does not exist or is given twice, files with the
        same jets or different columns, no jets left; and what the policies let fail.
    MissingExtra
        A package that the format needs is not installed.
    SweepError
        A node of a cluster cannot do its part.
    StorageError
        ``out`` is not empty, is being made by another call or cannot be written.
    """
    options = Options(
        format=format,
        role=role,
        of=of,
        select=tuple(select),
        on_bad_file=on_bad_file,
        on_bad_jet=on_bad_jet,
    )
    _check(options)
    _check_files(options, files)
    _check_out(out)
    total = sum(_rows(options, path) for path in files)
    with _only_call(out) as parts:
        jobs = [
            Job(number=i, path=path.absolute(), parts=parts, options=options)
            for i, path in enumerate(files)
        ]
        outcomes = _done(jobs, executor, total, progress)
        _join(parts, options, jobs, outcomes)
        _put(parts, out.absolute())
    return open_shards(out)


def _check(options: Options) -> None:
    source = options.source
    for what, value, known in (
        ("role", options.role, ROLES),
        ("policy for bad files", options.on_bad_file, ON_BAD_FILE),
        ("policy for bad jets", options.on_bad_jet, ON_BAD_JET),
    ):
        if value not in known:
            raise DataError(unknown(what, value, known))
    for text in options.select:
        cut_from(text, source.jet_columns)


def _check_files(options: Options, files: Sequence[Path]) -> None:
    if not files:
        raise DataError(f"ingest {options.format}: no files given")
    seen: dict[Path, Path] = {}
    for path in files:
        try:
            if path.is_dir():
                raise DataError(f"{path} is a folder; give the files in it")
            if not path.is_file():
                raise DataError(f"file {path} does not exist; check the path")
        except PermissionError as error:
            raise DataError(f"file {path}: no permission to look there") from error
        if path.resolve() in seen:
            first = seen[path.resolve()]
            raise DataError(f"{path} and {first} are the same file; give each file once")
        seen[path.resolve()] = path


def _check_out(out: Path) -> None:
    """A folder can take the place of nothing or of an empty folder, not of a link."""
    if out.is_symlink():
        raise StorageError(f"{out} is a link; choose the name of a new folder")
    if not out.exists():
        return
    if not out.is_dir():
        raise StorageError(f"{out} is a file; choose the name of a new folder")
    if out.samefile("."):
        raise StorageError(f"{out} is the current folder; choose the name of a new folder")
    if any(out.iterdir()):
        raise StorageError(f"{out} is not empty; choose another folder or delete it first")


@contextmanager
def _only_call(out: Path) -> Iterator[Path]:
    """The folder of parts, held by this call alone; it stays if parts are there to come back to."""
    beside, name = out.absolute().parent, out.absolute().name
    lock, parts = beside / f".{name}.lock", beside / f".{name}.parts"
    try:
        with locked(lock, wait=False):
            try:
                _check_out(out)  # another call may have ended just now
                yield make_folder(parts)
            finally:
                for half in parts.glob(".part-*"):  # of workers that were killed
                    shutil.rmtree(half, ignore_errors=True)
                with suppress(OSError):
                    parts.rmdir()  # works if no part was finished
                if not parts.exists():  # nothing to come back to
                    lock.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise StorageError(
            f"{out} is being made by another `jetscale ingest`; wait for it or stop it"
        ) from error


def _rows(options: Options, path: Path) -> int:
    """Jets in a file, 0 in one that will be skipped."""
    try:
        return options.source.count(path)
    except BadFile:
        if options.on_bad_file == "fail":
            raise
        return 0


def _done(
    jobs: Sequence[Job], executor: Executor, total: int, progress: Progress | None
) -> dict[int, Outcome]:
    read = 0

    def report(rows: int) -> None:
        nonlocal read
        read += rows
        if progress:
            progress(read, total)

    if executor is in_process:  # the only one that can tell of a file half read
        return {job.number: convert(job, report) for job in jobs}
    outcomes = {}
    for outcome in executor.map(convert, jobs, lost=lost):
        outcomes[outcome.number] = outcome
        report(outcome.rows)
    return outcomes


def _join(
    folder: Path, options: Options, jobs: Sequence[Job], outcomes: dict[int, Outcome]
) -> None:
    """Write one manifest over all parts, in the order of the files."""
    parts = {job: open_shards(folder / o.part) for job, o in _made(jobs, outcomes)}
    files = [part.provenance["files"][0] for part in parts.values()]
    skipped = [
        {"name": job.path.name, "reason": outcomes[job.number].problem}
        for job in jobs
        if job not in parts
    ]
    _check_unique(list(parts), files)
    filled = {job: part for job, part in parts.items() if part.rows}
    if not filled:
        reasons = sum((Counter(file["dropped"]) for file in files), Counter[str]())
        dropped = ", ".join(f"{count} by {reason!r}" for reason, count in reasons.items())
        raise DataError(
            f"no jets are left of {len(jobs)} file(s): {len(skipped)} skipped; dropped jets: "
            f"{dropped or 'none'}; loosen the cuts or look at the files"
        )
    write_manifest(
        folder,
        options.source.corpus,
        options.role,
        [replace(s, file=f"{p.folder.name}/{s.file}") for p in filled.values() for s in p.shards],
        _common_columns(filled),
        {
            "format": options.format,
            "of": options.of,
            "select": list(options.select),
            "files": files,
            "skipped": skipped,
        },
    )
    _clear(folder, {MANIFEST, *(part.folder.name for part in filled.values())})


def _clear(folder: Path, keep: set[str]) -> None:
    """Remove what an earlier call with other files or options, or somebody else, left there."""
    try:
        for child in folder.iterdir():
            if child.name in keep:
                continue
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    except OSError as error:
        raise storage_error(folder, error) from error


def _made(jobs: Sequence[Job], outcomes: dict[int, Outcome]) -> Iterator[tuple[Job, Outcome]]:
    for job in jobs:
        if outcomes[job.number].part:
            yield job, outcomes[job.number]


def _check_unique(jobs: Sequence[Job], files: Sequence[dict[str, Any]]) -> None:
    seen: dict[str, Job] = {}
    for job, file in zip(jobs, files, strict=True):
        first = seen.setdefault(file["sha256"], job)
        if first is not job:
            raise DataError(f"{job.path} and {first.path} hold the same jets; give each file once")


def _common_columns(parts: dict[Job, Manifest]) -> tuple[str, ...]:
    (first, wanted), *others = parts.items()
    for job, part in others:
        differing = sorted({*part.columns} ^ {*wanted.columns})
        if differing:
            raise DataError(
                f"{first.path} and {job.path}: columns {differing} are in one only; ingest them "
                "to folders of their own"
            )
    return wanted.columns


def _put(parts: Path, out: Path) -> None:
    try:
        parts.replace(out)
    except OSError as error:
        raise storage_error(out, error) from error


def summary_of(manifest: Manifest) -> dict[str, Any]:
    """What an ingested folder kept, what it dropped and why, and which files were skipped.

    Returns
    -------
    dict
        ``files``, ``jets_read``, ``jets_kept``, ``dropped`` (reason to jets) and ``skipped``
        (name and reason of each file).
    """
    files = manifest.provenance["files"]
    dropped: Counter[str] = Counter()
    for file in files:
        dropped.update(file["dropped"])
    return {
        "files": len(files),
        "jets_read": sum(file["rows"] for file in files),
        "jets_kept": manifest.rows,
        "dropped": dict(dropped.most_common()),
        "skipped": list(manifest.provenance["skipped"]),
    }
