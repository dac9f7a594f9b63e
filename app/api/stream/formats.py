"""What became of the lines, as bytes: lines of JSON, or record batches of an Arrow stream.

Lines of JSON end in one that says `done`, an Arrow stream in its end marker; without it the stream was cut
short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson

from app.api.arrow import ARROW, ArrowWriter
from app.api.stream.job import LineOutcome, Row
from app.api.vectors import Encoding, base64_rows, sparse_row
from bundle import SparseVector

NDJSON = "application/x-ndjson"
MEDIA_TYPES = (NDJSON, ARROW)


class Format(Protocol):
    """Writes one answer; what each method returns is to be sent before the next is called."""

    def begin(self) -> bytes:
        """What stands before the first chunk."""
        ...

    def chunk(self, outcomes: Sequence[LineOutcome]) -> bytes:
        """The outcomes of a chunk."""
        ...

    def end(self, lines: int) -> bytes:
        """Say that all is done."""
        ...


class Ndjson:
    """A line per line."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    def begin(self) -> bytes:
        return b""

    def chunk(self, outcomes: Sequence[LineOutcome]) -> bytes:
        return b"".join(map(self._line, outcomes))

    def end(self, lines: int) -> bytes:
        return orjson.dumps({"done": True, "lines": lines}) + b"\n"

    def _line(self, outcome: LineOutcome) -> bytes:
        content: dict[str, Any] = {} if outcome.index is None else {"index": outcome.index}
        if (row := outcome.vector) is not None:
            content["embedding"] = _written(row, self._encoding)
        return orjson.dumps({**content, **outcome.note}, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def _dense(row: Row | None) -> npt.NDArray[Any] | None:
    assert not isinstance(row, SparseVector), "sparse vectors are written as JSON"
    return row


def _written(row: Row, encoding: Encoding) -> Any:
    """A vector as JSON has it."""
    if isinstance(row, SparseVector):
        return sparse_row(row, encoding)
    return base64_rows(row[np.newaxis])[0] if encoding == "base64" else row


class Arrow:
    """A record batch per chunk."""

    def __init__(self, like: npt.NDArray[Any], metadata: Mapping[str, str]) -> None:
        self._writer = ArrowWriter(like, metadata)

    def begin(self) -> bytes:
        return self._writer.taken()

    def chunk(self, outcomes: Sequence[LineOutcome]) -> bytes:
        self._writer.write(
            [outcome.index for outcome in outcomes],
            [_dense(outcome.vector) for outcome in outcomes],
            [orjson.dumps(outcome.note).decode() if outcome.note else None for outcome in outcomes],
        )
        return self._writer.taken()

    def end(self, lines: int) -> bytes:
        self._writer.close()
        return self._writer.taken()
