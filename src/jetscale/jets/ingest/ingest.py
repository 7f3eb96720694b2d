"""Public and own jet files to a shard folder.

Paths and layouts are checked before any jet is read. Each file becomes a part in a folder beside
the one asked for, which takes its place when all parts are there; until then finished parts are
kept, so that the same call made again goes on. Jets left out are counted in the provenance.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jetscale.errors import DataError, StorageError
from jetscale.executor import Executor, in_process
from jetscale.jets.ingest.formats import own
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.work import Job, Options, Outcome, convert, lost
from jetscale.jets.schema import UNLABELLED
from jetscale.jets.shards.manifest import MANIFEST, Manifest, open_shards, write_manifest
from jetscale.store.local import locked, make_folder, storage_error

Progress = Callable[[int, int], None]  # called with jets read and jets to read


def ingest(
    format: str,
    role: str,
    files: Sequence[Path],
    out: Path,
    progress: Progress | None = None,
    *,
    executor: Executor = in_process,
    **options: Any,
) -> Manifest:
    """Convert files of jets to one shard folder; the jets keep the order of the files.

    Args:
        format, role, options: See `jetscale.jets.ingest.work.Options`.
        out: Shard folder to make: new or empty, and neither the current folder nor a link.
        executor: What converts the files; all nodes of a cluster must see them and ``out``.

    Raises:
        DataError: A wrong argument or file, no jets left, and what the policies let fail.
        MissingExtra: A package that the format needs is not installed.
        SweepError: A node of a cluster cannot do its part.
        StorageError: ``out`` is not empty, is being made by another call or cannot be written.
    """
    _check_files(format, files)
    _check_out(out)
    if format == "arrays" and not options.get("classes"):
        skip = options.get("on_bad_file") == "skip"
        options["classes"] = own.class_names(options.get("columns") or {}, files, skip)
    asked = Options(format=format, role=role, **options)
    total, read = 0, 0
    for path in files:
        with suppress(*[BadFile] * (asked.on_bad_file == "skip")):
            total += len(asked.rows_of(path))

    def report(rows: int) -> None:
        nonlocal read
        read += rows
        if progress:
            progress(read, total)

    with _only_call(out) as parts:
        jobs = [Job(i, path.absolute(), parts, asked) for i, path in enumerate(files)]
        outcomes = _convert_all(jobs, executor, report)
        _join(parts, asked, jobs, outcomes)
        try:
            parts.replace(out.absolute())
        except OSError as error:
            raise storage_error(out, error) from error
    return open_shards(out)


def _convert_all(
    jobs: Sequence[Job], executor: Executor, report: Callable[[int], None]
) -> dict[int, Outcome]:
    if executor is in_process:  # the only one that can tell of a file half read
        return {job.number: convert(job, report) for job in jobs}
    outcomes = {}
    for outcome in executor.map(convert, jobs, lost=lost):
        outcomes[outcome.number] = outcome
        report(outcome.rows)
    return outcomes


def _check_files(format: str, files: Sequence[Path]) -> None:
    if not files:
        raise DataError(f"ingest {format}: no files given")
    seen: dict[Path, Path] = {}
    for path in files:
        try:
            if path.is_dir():
                raise DataError(f"{path} is a folder; give the files in it")
            if not path.is_file():
                raise DataError(f"file {path} does not exist; check the path")
        except PermissionError as error:
            raise DataError(f"file {path}: no permission to look there") from error
        if (first := seen.get(path.resolve())) is not None:
            raise DataError(f"{path} and {first} are the same file; give each file once")
        seen[path.resolve()] = path


def _check_out(out: Path) -> None:
    """A folder can take the place of nothing or of an empty folder, not of a link."""
    new = "choose the name of a new folder"
    if out.is_symlink():
        raise StorageError(f"{out} is a link; {new}")
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out} is a file; {new}")
    if out.exists() and out.samefile("."):
        raise StorageError(f"{out} is the current folder; {new}")
    if out.exists() and any(out.iterdir()):
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
        other = "is being made by another `jetscale ingest`; wait for it or stop it"
        raise StorageError(f"{out} {other}") from error


def _join(
    folder: Path, options: Options, jobs: Sequence[Job], outcomes: dict[int, Outcome]
) -> None:
    """Write one manifest over all parts, in the order of the files."""
    made = [job for job in jobs if outcomes[job.number].part]
    parts = [open_shards(folder / outcomes[job.number].part) for job in made]
    books = [part.provenance["files"][0] for part in parts]
    left = [job for job in jobs if job not in made]
    skipped = [{"name": j.path.name, "reason": outcomes[j.number].problem} for j in left]
    seen: dict[str, Path] = {}
    for job, book in zip(made, books, strict=True):
        first = seen.setdefault(book["sha256"], job.path)
        if first is not job.path:
            raise DataError(f"{job.path} and {first} hold the same jets; give each file once")
    filled = [(job.path, part) for job, part in zip(made, parts, strict=True) if part.rows]
    if not filled:
        reasons = sum((Counter(book["dropped"]) for book in books), Counter[str]())
        dropped = ", ".join(f"{count} by {reason!r}" for reason, count in reasons.items())
        why = f" (the first: {skipped[0]['reason']})" if skipped else ""
        left_out = f"{len(skipped)} skipped{why}; dropped jets: {dropped or 'none'}"
        fix = "loosen the cuts or look at the files"
        raise DataError(f"no jets are left of {len(jobs)} file(s): {left_out}; {fix}")
    (first, wanted), *others = filled
    for path, part in others:
        if differing := sorted({*part.columns} ^ {*wanted.columns}):
            fix = "ingest them to folders of their own"
            raise DataError(f"{first} and {path}: columns {differing} are in one only; {fix}")
    shards = [replace(s, file=f"{p.folder.name}/{s.file}") for _, p in filled for s in p.shards]
    provenance: dict[str, Any] = {"format": options.format, "of": options.of}
    provenance |= {"columns": dict(options.columns), "select": list(options.select)}
    provenance |= {"share": options.share, "files": books, "skipped": skipped}
    what = folder, options.source.corpus, options.role, shards, wanted.columns, provenance
    write_manifest(*what, classes=options.source.names)
    _clear(folder, {MANIFEST, *(part.folder.name for _, part in filled)})


def _clear(folder: Path, keep: set[str]) -> None:
    """Remove what an earlier call with other files or options, or somebody else, left there."""
    try:
        for child in [child for child in folder.iterdir() if child.name not in keep]:
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    except OSError as error:
        raise storage_error(folder, error) from error


def summary_of(manifest: Manifest) -> dict[str, Any]:
    """What an ingested folder kept and dropped, by reason, for JSON."""
    files = manifest.provenance["files"]
    dropped = sum((Counter(file["dropped"]) for file in files), Counter[str]())
    return {
        "files": len(files),
        "jets_read": sum(file["rows"] for file in files),
        "jets_kept": manifest.rows,
        "unlabelled": manifest.classes == UNLABELLED,
        "dropped": dict(dropped.most_common()),
        "skipped": list(manifest.provenance["skipped"]),
    }
