"""A stream as a `ray.data.Dataset`, for Ray Train code that is not ours."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from numpy.typing import NDArray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

Read = Callable[[], pa.Table]  # reads one block of a stream: columns ``label`` and ``constituents``


def dataset_of(reads: Sequence[Read], rows: Sequence[int], size: int, pad_to: int | None) -> Any:
    """The blocks of a stream as one data set whose rows keep their order, padded to ``pad_to``.

    ``reads`` and ``rows`` are how to read each block and its jets; ``size`` is about its bytes.
    """
    dataset = ray.data.read_datasource(_Blocks(reads, rows, size), override_num_blocks=len(reads))
    dataset.context.execution_options.preserve_order = True
    if pad_to is None:
        return dataset
    return dataset.map_batches(partial(_padded, pad_to), batch_format="pyarrow")


class _Blocks(Datasource):  # type: ignore[misc]
    def __init__(self, reads: Sequence[Read], rows: Sequence[int], size: int) -> None:
        super().__init__()
        self._reads, self._rows, self._size = reads, rows, size

    def estimate_inmemory_data_size(self) -> int:
        return self._size * len(self._reads)

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        about = partial(BlockMetadata, size_bytes=self._size, input_files=None, exec_stats=None)
        return [
            ReadTask(lambda read=read: [read()], about(num_rows=rows))
            for read, rows in zip(self._reads, self._rows, strict=True)
        ]


def _padded(length: int, table: pa.Table) -> dict[str, NDArray[Any]]:
    """Arrays instead of lists: constituents (n, length, F) with zeros behind the last one."""
    column = table["constituents"].combine_chunks()
    lengths = np.diff(column.offsets.to_numpy())
    values = column.flatten().flatten().to_numpy().reshape(-1, column.type.value_type.list_size)
    constituents = np.zeros((len(lengths), length, values.shape[1]), np.float32)
    constituents[np.arange(length) < lengths[:, None]] = values
    labels, real = table["label"].to_numpy(), lengths.astype(np.int64)
    return {"label": labels, "constituents": constituents, "length": real}
