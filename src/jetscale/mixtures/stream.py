"""Streams on disk: model-ready jets in one fixed order, read without Ray.

A folder holds ``block-00000.arrow``, ... and, written last, ``stream.json``: the recipe, sizes and
SHA-256 of the blocks, and the digest that names the content. A block is an uncompressed Arrow IPC
file with one record batch of up to 16,384 jets: ``label`` (int64) and ``constituents`` (list of
fixed-size lists of float32 features), so a memory-mapped block is a `Ragged` without a copy.
"""

import hashlib
import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa

from jetscale.digests import digest
from jetscale.errors import DataError, StudyError
from jetscale.jets.arrays import edges_of
from jetscale.mixtures.quota import quotas
from jetscale.mixtures.ragged import Ragged
from jetscale.store.local import atomic_path, fits, is_file_name, read_json, size_of

FORMAT = 2
INDEX = "stream.json"
ROWS_PER_BLOCK = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The jets of some classes in one shard folder, and their weight in a stream."""

    folder: Path
    labels: tuple[str, ...]  # classes taken; jets of others are left alone
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """A stream to be made: sources mixed by weight to ``rows`` distinct jets in a seeded order."""

    name: str
    sources: Mapping[str, Source]
    """By part or role; a source's draw depends on its name and the seed, not on its neighbours."""
    rows: int
    labels: tuple[str, ...]  # classes of the stream; label i of a jet means ``labels[i]``
    features: str  # feature set of the schema of the sources
    constituents: int  # leading constituents kept per jet
    seed: int
    scale_pt: float | None = None
    """Jet pT in GeV to which 4-vectors are scaled for the logarithms of pT and energy; 500 is the
    published standardisation of JetClass-II, None that of JetClass."""

    def __post_init__(self) -> None:
        if self.scale_pt is not None and not 0 < self.scale_pt < inf:
            raise StudyError(
                f"stream {self.name!r}: scale_pt is {self.scale_pt}, needs > 0 and finite, or None"
            )
        if not self.sources or self.rows < 1:
            raise StudyError(f"stream {self.name!r}: needs a source and rows above zero")
        for name, source in self.sources.items():
            where = f"stream {self.name!r}: source {name!r}"
            for label in source.labels:
                if label not in self.labels:
                    raise StudyError(f"{where}: class {label!r} is not in the stream")
            if not 0 < source.weight < inf:
                raise StudyError(f"{where}: weight is {source.weight}, needs > 0 and finite")

    @property
    def quotas(self) -> dict[str, int]:
        """Source name to jets; a source too light to give a single jet is left out."""
        weights = {name: source.weight for name, source in self.sources.items()}
        return {name: jets for name, jets in quotas(weights, self.rows).items() if jets}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One file of a stream."""

    file: str
    rows: int
    size: int  # bytes of the file
    sha256: str  # of the offsets, labels and values, whatever Arrow version wrote them


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An open stream; see `open_stream`."""

    folder: Path
    rows: int
    features: tuple[str, ...]
    constituents: int  # most constituents per jet
    labels: tuple[str, ...]  # class names; label i of a jet means ``labels[i]``
    digest: str  # names the content: features, labels and every jet in order
    recipe: Mapping[str, Any]  # seed, quotas, source shards and the rest of the plan
    plan: str  # digest of the recipe
    blocks: tuple[Block, ...]

    def iter_blocks(self, n: int | None = None) -> Iterator[Ragged]:
        """The first n jets (all by default) block by block, memory-mapped and not copied.

        Raises DataError where n is larger than the stream or a block is damaged; all are hashed.
        """
        for block, rows in self._parts(n):
            yield _checked(self.folder / block.file, block, len(self.features)).head(rows)

    def read(self, n: int | None = None) -> Ragged:
        """The first n jets (all by default) in memory; raises as `iter_blocks`."""
        return concatenate(list(self.iter_blocks(n)))

    def to_ray(self, n: int | None = None, *, padded: bool = False) -> Any:
        """The first n jets (all by default) as a `ray.data.Dataset`, in the order of the stream.

        Ray must be connected, and all nodes must see the folder. Columns are ``label`` (int64,
        index into `labels`) and ``constituents`` (list of lists of F float32, in the order of
        `features`): read it in batches of format ``pyarrow``. ``padded`` gives arrays, as PyTorch
        wants them: ``constituents`` (`constituents`, F) with zeros behind the last one, and
        ``length``, how many are real. Raises as `iter_blocks`, for a damaged block when it is read.
        """
        from jetscale.compute.dataset import dataset_of

        parts, width = self._parts(n), len(self.features)
        reads = [partial(_table, self.folder / b.file, b, width, rows) for b, rows in parts]
        rows = [rows for _, rows in parts]
        return dataset_of(reads, rows, self.blocks[0].size, self.constituents if padded else None)

    def _parts(self, n: int | None) -> list[tuple[Block, int]]:
        """The blocks of the first n jets, and how many of each."""
        left = self.rows if n is None else n
        if not 0 < left <= self.rows:
            raise DataError(
                f"stream {self.folder.name!r} has {self.rows} jets, {n} were asked for; "
                "choose a size within the stream"
            )
        parts = []
        for block in self.blocks:
            if left > 0:
                parts.append((block, min(left, block.rows)))
                left -= block.rows
        return parts

    def verify(self) -> None:
        """Recompute the SHA-256 of every block; raises DataError naming a damaged one."""
        for _ in self.iter_blocks():
            pass


def _checked(path: Path, block: Block, n_features: int) -> Ragged:
    jets = read_block(path, n_features)
    if (found := content_sha256(jets)) != block.sha256:
        raise _damaged(path, f"expected sha256 {block.sha256}, found {found}")
    return jets


def _table(path: Path, block: Block, n_features: int, rows: int) -> pa.Table:
    return pa.Table.from_batches([_record_batch(_checked(path, block, n_features).head(rows))])


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} is damaged: {what}; delete {path.parent} and prepare it again")


def concatenate(parts: list[Ragged]) -> Ragged:
    """One Ragged of all jets of one part or more, in order; a single part is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    return Ragged(
        values=np.concatenate([part.values for part in parts]),
        offsets=edges_of(np.concatenate([part.lengths for part in parts])),
        labels=np.concatenate([part.labels for part in parts]),
    )


def content_sha256(jets: Ragged) -> str:
    """SHA-256 of a block's offsets, labels and values as little-endian bytes."""
    state = hashlib.sha256()
    for array, dtype in ((jets.offsets, "<i8"), (jets.labels, "<i8"), (jets.values, "<f4")):
        state.update(np.ascontiguousarray(array, dtype=dtype).data)
    return state.hexdigest()


def _schema(n_features: int) -> pa.Schema:
    constituent = pa.list_(pa.field("item", pa.float32(), nullable=False), n_features)
    return pa.schema({"label": pa.int64(), "constituents": pa.list_(constituent)})


def _record_batch(jets: Ragged) -> pa.RecordBatch:
    schema = _schema(jets.values.shape[1])
    kind, flat = schema.field("constituents").type, pa.array(jets.values.reshape(-1))
    values = pa.FixedSizeListArray.from_arrays(flat, type=kind.value_type)
    lists = pa.ListArray.from_arrays(pa.array(jets.offsets.astype(np.int32)), values, type=kind)
    return pa.record_batch([pa.array(jets.labels), lists], schema=schema)


def write_jets(path: Path, jets: Ragged) -> None:
    """Write jets as an uncompressed Arrow file with one record batch."""
    batch = _record_batch(jets)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def write_block(path: Path, jets: Ragged) -> Block:
    """Write one block file and describe it."""
    with atomic_path(path) as temporary:
        write_jets(temporary, jets)
    size, sha256 = path.stat().st_size, content_sha256(jets)
    return Block(file=path.name, rows=len(jets), size=size, sha256=sha256)


def read_block(path: Path, n_features: int, start: int = 0, stop: int | None = None) -> Ragged:
    """The jets of one block, or a part of them, memory-mapped: what is left out is not read.

    Raises DataError if the file cannot be read.
    """
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            if reader.num_record_batches != 1 or reader.schema != _schema(n_features):
                raise _damaged(path, "expected one record batch of labels and constituents")
            batch = reader.get_batch(0)
        batch.validate()  # damaged lengths must not lead outside the file
        batch = batch.slice(start, None if stop is None else stop - start)
        lists = batch.column("constituents")
        offsets = lists.offsets.to_numpy().astype(np.int64)  # absolute, also in a part
        values = lists.values.values.to_numpy().reshape(-1, n_features)
        return Ragged(
            values=values[offsets[0] : offsets[-1]],
            offsets=offsets - offsets[0],
            labels=batch.column("label").to_numpy(),
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error


def write_index(
    folder: Path,
    blocks: list[Block],
    *,
    recipe: Mapping[str, Any],
    features: tuple[str, ...],
    labels: tuple[str, ...],
    constituents: int,
) -> None:
    """Complete a stream folder: ``stream.json`` makes it one."""
    head = {"features": list(features), "labels": list(labels), "constituents": constituents}
    content = {
        "format": FORMAT,
        "digest": digest(head | {"blocks": [(block.rows, block.sha256) for block in blocks]}),
        "plan": digest(recipe),
        "rows": sum(block.rows for block in blocks),
        **head,
        "recipe": recipe,
        "blocks": [asdict(block) for block in blocks],
    }
    (folder / INDEX).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def open_stream(folder: Path) -> Stream:
    """A stream for reading; DataError if missing, or of another format or sizes of blocks."""
    path = folder / INDEX
    if not path.is_file():
        raise DataError(f"no stream at {folder}; it is made by `jetscale run`")
    try:
        if (content := read_json(path.read_bytes())) is None:
            raise ValueError("not a JSON object")
        if (version := content.pop("format")) != FORMAT:
            raise DataError(f"{path}: format {version!r}, this version reads {FORMAT}")
        listed = content.pop("blocks")
        for of, values in [(Stream, content), *((Block, block) for block in listed)]:
            kinds = get_type_hints(of) | {"recipe": dict}
            if wrong := [k for k, value in values.items() if not fits(value, kinds[k])]:
                raise TypeError(f"{wrong[0]} is {reprlib.repr(values[wrong[0]])}")
        blocks = tuple(Block(**block) for block in listed)
        for key in ("features", "labels"):
            content[key] = tuple(content[key])
        stream = Stream(folder=folder, blocks=blocks, **content)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    for block in blocks:
        if not is_file_name(block.file):
            name = reprlib.repr(block.file)
            raise _damaged(path, f"block {name} is no name of a file in this folder")
        file = folder / block.file
        if (size := size_of(file)) != block.size:
            found = "the file is missing" if size is None else f"found {size}"
            raise _damaged(file, f"expected {block.size} bytes, {found}")
    return stream


def is_whole(folder: Path, plan: str) -> bool:
    """True for a stream of the recipe with digest ``plan`` with every block as it was written."""
    try:
        stream = open_stream(folder)
        stream.verify()
    except DataError:
        return False
    return stream.plan == plan
