"""How many values the JSON of a body holds, counted before any of them is made.

A parser keeps Python's lock to its end, and a value takes up to thirty times the bytes that it has in a body.
So a body of too many is refused by its bytes: commas, colons and brackets are counted as they lie, and only
where these are too many, again without those that stand in strings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from app.http.errors import InvalidRequest

# Of a body; a list or an object counts as four. Parsed in 30 ms, and 33 MB in memory: that is measured.
MOST_VALUES = 524_288
BYTES_OF_VALUE = 40  # take a parser as long as a value: 16 MB of escapes, 28 ms
VALUE_BYTES = 64  # of memory
_LIST = 4
UNCOUNTED = MOST_VALUES // (_LIST + 1)  # bytes of a body that cannot hold more
PIECE = 256 * 1024
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_WEIGHTS = np.zeros(256, np.uint8)
_WEIGHTS[list(b",:")], _WEIGHTS[list(b"[{")] = 1, _LIST


def check_values(body: bytes) -> None:
    """Raise InvalidRequest for more values than a body may hold."""
    most = MOST_VALUES - len(body) // BYTES_OF_VALUE
    if len(body) > UNCOUNTED and values_in(body, most) > most:
        raise too_many_values("the body holds")


def too_many_values(who: str) -> InvalidRequest:
    """The error."""
    return InvalidRequest(
        f"{who} more than {MOST_VALUES} values (a list or an object of JSON counts as {_LIST}, and "
        f"{BYTES_OF_VALUE} bytes as one), which is the limit; send several requests",
        code="too_many_values",
    )


def values_in(body: bytes, most: int = MOST_VALUES, piece: int = PIECE) -> int:
    """Commas, colons and weighted brackets of a JSON text; of over `most`, those that were found by then.

    Args:
        body: which need be no JSON.
        most: up to here, those in strings may be counted, too.
        piece: bytes that are looked at in one go.
    """
    signs = body.count(b",") + body.count(b":") + _LIST * (body.count(b"[") + body.count(b"{"))
    return signs if signs <= most else _outside_strings(body, most, piece)


def _outside_strings(body: bytes, most: int, piece: int) -> int:
    total = 0
    for content, inside in by_string(body, piece):
        if total > most:
            break
        total += int(_WEIGHTS[content[~inside]].sum(dtype=np.int64))
    return total


def by_string(
    body: bytes, piece: int = PIECE
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]]:
    """The bytes of a JSON text piece by piece, and of each whether it stands in a string."""
    is_inside, backslashes = False, 0  # the last: those that end what was looked at so far
    for start in range(0, len(body), piece):
        content = np.frombuffer(body, np.uint8, min(piece, len(body) - start), start)
        quotes = content == _QUOTE
        runs = _runs_before(content == _BACKSLASH, backslashes)
        quotes &= runs[:-1] % 2 == 0
        inside = (np.cumsum(quotes, dtype=np.uint8) & 1).astype(bool) ^ is_inside  # wraps: parity stays
        yield content, inside
        is_inside, backslashes = bool(inside[-1]), int(runs[-1])


def _runs_before(backslashes: npt.NDArray[np.bool_], before: int) -> npt.NDArray[np.int64]:
    """How many backslashes stand right before each byte, and before what follows the last. int64 [n + 1]."""
    places = np.arange(1, len(backslashes) + 1)
    ends = np.concatenate([[-before], np.where(backslashes, -before, places)])
    return np.arange(len(backslashes) + 1) - np.maximum.accumulate(ends)
