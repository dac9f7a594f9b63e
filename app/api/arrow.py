"""Vectors as an Arrow IPC stream, written piece by piece: a schema, record batches, an end.

    index    int64; null in a row that is about the whole stream, not about an input
    vector   fixed-size list of the vectors' type; null where there is none
    note     JSON of what there is to tell about the input, or of why it has no vector; null for nothing

The schema's metadata say which vectors these are. https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import nanoarrow as na
import numpy as np
import numpy.typing as npt
from nanoarrow.c_array_stream import CArrayStream
from nanoarrow.ipc import StreamWriter

ARROW = "application/vnd.apache.arrow.stream"
INDEX, VECTOR, NOTE = "index", "vector", "note"
_TYPES: Mapping[str, Any] = {
    "float32": na.float32,
    "float16": na.float16,
    "int8": na.int8,
    "uint8": na.uint8,
}


class ArrowWriter:
    """Writes one stream; `taken` are the bytes since the last time.

    Args:
        like: has the type and the width of the vectors; no row is read.
        metadata: of the schema.
    """

    def __init__(self, like: npt.NDArray[Any], metadata: Mapping[str, str]) -> None:
        vector = na.fixed_size_list(_TYPES[like.dtype.name](), like.shape[1])
        columns = na.struct({INDEX: na.int64(), VECTOR: vector, NOTE: na.string()})
        self._schema = na.c_schema(columns).modify(metadata=dict(metadata))
        self._like, self._buffer = like, io.BytesIO()
        self._writer = StreamWriter.from_writable(self._buffer)
        self._writer.write_stream(CArrayStream.from_c_arrays([], self._schema))

    def write(
        self,
        indices: Sequence[int | None],
        vectors: Sequence[npt.NDArray[Any] | None] | npt.NDArray[Any],
        notes: Sequence[str | None],
    ) -> None:
        """One record batch of n >= 1 rows."""
        columns = [
            na.c_array(indices, na.int64()),
            self._vectors(vectors),
            na.c_array(notes, na.string()),
        ]
        self._writer.write_array(
            na.c_array_from_buffers(self._schema, len(indices), [None], children=columns)
        )

    def close(self) -> None:
        """Write the end; a stream without it was cut short."""
        self._writer.close()

    def taken(self) -> bytes:
        """What was written since the last call."""
        content = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return content

    def _vectors(self, vectors: Sequence[npt.NDArray[Any] | None] | npt.NDArray[Any]) -> Any:
        validity = None
        if not isinstance(vectors, np.ndarray):
            present = np.array([row is not None for row in vectors])
            validity = None if present.all() else np.packbits(present, bitorder="little")
            empty = np.zeros(self._like.shape[1], self._like.dtype)
            vectors = np.stack([empty if row is None else row for row in vectors])  # [n, width]
        schema = self._schema.child(1)
        values = np.ascontiguousarray(vectors, self._like.dtype)
        items = na.c_array_from_buffers(schema.child(0), values.size, [None, values])
        return na.c_array_from_buffers(schema, len(vectors), [validity], children=[items])
