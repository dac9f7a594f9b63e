"""Large bodies and answers, kept off the event loop.

Work in Python on a thread lets the loop turn, but one call of orjson does not: it keeps Python's lock to the
end. So the JSON of many vectors is written in pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

LARGE = 128 * 1024  # bytes of work that are worth a thread
INPUT = 256  # bytes of JSON take as long as what is done for each input
NUMBERS = LARGE // 4  # of a piece: 1 ms
NUMBER = 14  # bytes of a float32 in JSON, at most, with its comma
ROWS = 64  # of a piece, where each has fields
T = TypeVar("T")


def is_large(size: int) -> bool:
    """Tell whether so many bytes of work are worth a thread."""
    return size >= LARGE


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """The work's result; on a thread, if so many bytes are large."""
    return await asyncio.to_thread(work) if is_large(size) else work()


def writing(vectors: npt.NDArray[Any]) -> int:
    """The work of an answer: its vectors [n, dim], and what is told of each input."""
    return int(vectors.nbytes) + INPUT * len(vectors)


def to_json(content: Any, numbers: int = 0) -> bytes:
    """JSON of an answer with numpy arrays; in pieces, if there are so many numbers in it."""
    return _dumps(content) if numbers <= NUMBERS else b"".join(pieces(content))


def sliced(rows: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    """So many of them at a time."""
    return (rows[start : start + count] for start in range(0, len(rows), count))


def pieces(content: Any) -> Iterator[bytes]:
    """The pieces of that JSON, one after another; rows only some at a time."""
    if isinstance(content, dict):
        fields = ((_dumps(name) + b":", value) for name, value in content.items())
        yield from _bracketed(b"{}", fields)
    elif isinstance(content, np.ndarray) and content.size > NUMBERS:
        yield from _sliced(content, max(1, NUMBERS * len(content) // content.size))
    elif isinstance(content, list) and len(content) > ROWS:
        yield from _sliced(content, ROWS)
    elif isinstance(content, list):
        yield from _bracketed(b"[]", ((b"", value) for value in content))
    else:
        yield _dumps(content)


def _bracketed(brackets: bytes, parts: Iterable[tuple[bytes, Any]]) -> Iterator[bytes]:
    before = b""
    yield brackets[:1]
    for name, value in parts:
        yield before + name
        yield from pieces(value)
        before = b","
    yield brackets[1:]


def _sliced(rows: Any, count: int) -> Iterator[bytes]:
    before = b"["
    for start in range(0, len(rows), count):
        yield before + _dumps(rows[start : start + count])[1:-1]
        before = b","
    yield b"]"


def _dumps(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
