"""The manifest of a shard folder: what its examples are and what they may be used for.

``manifest.json`` names corpus, classes, role and columns, and for each shard its size and SHA-256:
roles are never confused, damage is found. Of a field other than jets it holds the schema too.
"""

import hashlib
import json
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, combinations
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow.parquet as pq

from jetscale.errors import DataError, JetscaleError, unknown
from jetscale.jets.example import Schema, schema_from
from jetscale.jets.schema import CORPORA, JETS, PARTS, ROLES, classes_of
from jetscale.store.local import fits, is_inside, read_json, size_of

FORMAT = 3
"""Format 1 did not name the columns, they are read from its first shard; 1 and 2 did not name the
classes, which are those of the built-in corpus."""
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One Parquet file of a shard folder."""

    file: str
    rows: int
    label_counts: Mapping[str, int]
    size: int  # in bytes, the cheap check for a truncated file
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a shard folder holds; ``folder`` is where it was opened and is not stored."""

    folder: Path
    corpus: str
    role: str
    parts: tuple[str, ...]  # of the corpus, with at least one jet here
    rows: int
    label_counts: Mapping[str, int]  # class name to jets, classes without jets left out
    shards: tuple[Shard, ...]
    columns: tuple[str, ...]  # in the order of the schema; what the source lacked is absent
    classes: tuple[str, ...]
    """Class names of the corpus; label i means ``classes[i]``, with or without examples here."""
    schema: Schema = JETS
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names the content: corpus, role and the bytes of every shard, in order."""
        # classes that are not built in and the schema of another field say what the bytes mean
        meaning: list[Any] = [] if self.corpus in CORPORA else [self.classes]
        meaning += [] if self.schema == JETS else [self.schema.to_dict()]
        text = json.dumps([self.corpus, self.role, [s.sha256 for s in self.shards], *meaning])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def present(self) -> tuple[str, ...]:
        """Classes with at least one example here, in label order."""
        return tuple(name for name in self.classes if self.label_counts.get(name))

    def path(self, shard: Shard) -> Path:
        """Where one of the shards lies."""
        return self.folder / shard.file


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_shard(manifest: Manifest, shard: Shard) -> None:
    """Compare the bytes of a shard with the manifest; raises DataError where they differ."""
    path = manifest.path(shard)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if found != shard.sha256:
        raise DataError(f"{path}: expected sha256 {shard.sha256}, found {found}; make it again")


def write_manifest(
    folder: Path,
    corpus: str,
    role: str,
    shards: Sequence[Shard],
    columns: Sequence[str],
    provenance: Mapping[str, Any],
    *,
    classes: Sequence[str] | None = None,
    schema: Schema = JETS,
) -> None:
    """Complete a shard folder: the manifest makes it one; raises as `classes_of`."""
    total = sum((Counter(shard.label_counts) for shard in shards), Counter[str]())
    names, parts = classes_of(corpus, classes), [p for p in PARTS.values() if p.corpus == corpus]
    content = {
        "format": FORMAT,
        "corpus": corpus,
        "role": role,
        "classes": list(names),
        **({} if schema == JETS else {"schema": schema.to_dict()}),
        "parts": [part.name for part in parts if not total.keys().isdisjoint(part.labels)],
        "rows": sum(shard.rows for shard in shards),
        "label_counts": {name: total[name] for name in names if total[name]},
        "columns": list(columns),
        "shards": [asdict(shard) for shard in shards],
        "provenance": dict(provenance),
    }
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{folder.name}: provenance is not JSON: {error}") from error
    (folder / MANIFEST).write_text(f"{text}\n")


def open_shards(folder: Path, *, role: str | None = None, corpus: str | None = None) -> Manifest:
    """The manifest of a shard folder after cheap checks; DataError for damage or another role."""
    path = folder / MANIFEST
    if not path.is_file():
        what = "is a file" if folder.is_file() else "has no manifest.json"
        what = what if folder.exists() else "does not exist; check the path"
        fix = "make one with `jetscale simulate` or ingest, or restore it: results made from it are"
        where = "found by its content (`jetscale ui` shows them without it)"
        raise DataError(f"shard folder {folder} {what}; {fix} {where}")
    manifest = _parse(folder, path)
    for what, asked, found in (("role", role, manifest.role), ("corpus", corpus, manifest.corpus)):
        if asked is not None and asked != found:
            raise DataError(f"{folder}: {what} is {found!r}, needs {asked!r}; use another folder")
    for shard in manifest.shards:
        file = manifest.path(shard)
        size = size_of(file)
        if size != shard.size:
            found = "file is missing" if size is None else f"found {size}"
            raise DataError(f"{file}: expected {shard.size} bytes, {found}; write the folder again")
    return manifest


def _parse(folder: Path, path: Path) -> Manifest:
    try:
        content = read_json(path.read_bytes())
        if content is None:
            raise DataError("not a manifest: not a JSON object; write the folder again")
        version = content.pop("format")
        if version not in range(1, FORMAT + 1):
            raise DataError(f"format {version!r}, this version reads 1 to {FORMAT}")
        listed = content.pop("shards")
        for of, values in [(Manifest, content), *((Shard, shard) for shard in listed)]:
            kinds = get_type_hints(of)
            kinds["provenance"] = dict  # anybody's own notes
            for name in (kinds.keys() & values.keys()) - {"schema"}:
                if not fits(values[name], kinds[name]):
                    raise DataError(f"not a manifest: {name} is {reprlib.repr(values[name])}")
        shards = tuple(Shard(**shard) for shard in listed)
        for shard in shards:
            if not is_inside(shard.file):
                raise DataError(
                    f"shard {reprlib.repr(shard.file)} is no name of a file in this folder"
                )
        if version == 1:
            content["columns"] = pq.read_schema(folder / shards[0].file).names
        content["schema"] = schema_from(content["schema"]) if content.get("schema") else JETS
        content["classes"] = classes_of(content["corpus"], content.get("classes"))
        content |= {name: tuple(content[name]) for name in ("parts", "columns")}
        manifest = Manifest(folder=folder, shards=shards, **content)
        counts = [manifest.label_counts, *(shard.label_counts for shard in shards)]
        labels = (label for count in counts for label in count)
        names = [("role", manifest.role, ROLES), *(("class", n, manifest.classes) for n in labels)]
        for what, name, known in names:
            if name not in known:
                raise DataError(unknown(what, name, known))
        counted = (sum(counts[0].values()), sum(shard.rows for shard in shards))
        if counted != (manifest.rows, manifest.rows):
            raise DataError(f"says {manifest.rows} rows, its shards and classes {counted}")
        total = sum((Counter(count) for count in counts[1:]), Counter[str]())
        if min(chain(*(count.values() for count in counts)), default=1) < 1 or total != counts[0]:
            raise DataError(
                f"label_counts are {dict(counts[0])}, those of its shards {dict(total)}"
            )
        return manifest
    except JetscaleError as error:
        raise DataError(f"{path}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"{path}: not a manifest ({type(error).__name__}: {error})") from error


def check_roles(manifests: Iterable[Manifest]) -> None:
    """Raise DataError if a shard or an ingested file (by SHA-256) occurs under two roles.

    A file may serve two roles by shares of its rows that have none in common.
    """
    for a, b in combinations(manifests, 2):
        if a.role == b.role:
            continue
        both = " and ".join(f"{m.folder} ({m.role})" for m in (a, b))
        if not {s.sha256 for s in a.shards}.isdisjoint(s.sha256 for s in b.shards):
            raise DataError(f"{both} hold the same jets; roles must not share jets")
        first, second = _files(a), _files(b)
        (low_a, high_a), (low_b, high_b) = (m.provenance.get("share", (0, 1)) for m in (a, b))
        if first.keys() & second.keys() and low_a < high_b and low_b < high_a:
            name = next(name for digest, name in first.items() if digest in second)
            what = f"{both} were read from the same file {name}; roles must not share jets"
            fix = "take other files, or disjoint shares of each with --rows 0:0.8 and --rows 0.8:1"
            raise DataError(f"{what}: {fix}")


def _files(manifest: Manifest) -> dict[str, Any]:
    """Names of the files a folder was ingested from by SHA-256; none for notes of another form."""
    files = manifest.provenance.get("files")
    notes = [note for note in files if isinstance(note, dict)] if isinstance(files, list) else []
    return {str(note["sha256"]): note.get("name") for note in notes if "sha256" in note}
