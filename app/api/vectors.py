"""Vectors, [n, dim], as bytes on the wire: JSON numbers, base64, a raw block, or a .npy file.

An Arrow stream, which has more than the vectors, is written by app.api.arrow.

No Python object per number: orjson writes the array as it lies in memory, with the shortest digits that
read back as the same float32.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from app.api import large
from app.http.errors import NotAcceptable
from bundle import SparseVector

JSON, RAW, NPY = "application/json", "application/octet-stream", "application/x-npy"
_WILDCARDS = ("*/*", "application/*")

Vectors: TypeAlias = npt.NDArray[np.float32]
Encoding: TypeAlias = Literal["float", "base64"]


def to_json(answer: Mapping[str, Any], vectors: npt.NDArray[Any], encoding: Encoding) -> bytes:
    """The answer's fields with `embeddings` among them."""
    embeddings = base64_rows(vectors) if encoding == "base64" else np.ascontiguousarray(vectors)
    return large.to_json({**answer, "embeddings": embeddings}, vectors.size)


def to_raw(vectors: npt.NDArray[Any]) -> bytes:
    """Rows one after the other, little-endian."""
    return _little_endian(vectors).tobytes()


def to_npy(vectors: npt.NDArray[Any]) -> bytes:
    """What `numpy.load` reads."""
    file = io.BytesIO()
    np.save(file, _little_endian(vectors), allow_pickle=False)
    return file.getvalue()


@lru_cache(maxsize=64)  # clients send few different ones, over and over
def media_type(accept: str | None, ours: tuple[str, ...]) -> str:
    """The media type that the caller likes best, of ours; the first of them when it does not say.

    Raises:
        NotAcceptable: naming those we have.
    """
    if not accept:
        return ours[0]
    liked = sorted(map(quality_of, accept.split(",")), key=lambda one: -one[1])
    for name, quality in liked:
        chosen = ours[0] if name in _WILDCARDS else name
        if quality > 0 and chosen in ours:
            return chosen
    raise NotAcceptable(f"the answer can be had as {', '.join(ours)}", code="not_acceptable")


def quality_of(part: str) -> tuple[str, float]:
    """A media type of an Accept header, and its weight."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0


def base64_rows(vectors: npt.NDArray[Any]) -> list[str]:
    """Each row's little-endian bytes in base64."""
    return [base64.b64encode(row).decode() for row in np.ascontiguousarray(_little_endian(vectors))]


def sparse_row(row: SparseVector, encoding: Encoding) -> dict[str, Any]:
    """A sparse vector as vector databases take it: `indices` and `values`."""
    parts = {"indices": row.indices, "values": row.values}
    if encoding == "base64":
        return {name: base64_rows(part[np.newaxis])[0] for name, part in parts.items()}
    return parts


def _little_endian(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return vectors.astype(vectors.dtype.newbyteorder("<"), copy=False)
