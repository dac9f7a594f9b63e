"""Writes requests, without any I/O: from rows to the bytes of requests of bounded size.

The way back, from responses to vectors, is in `encodery_client.answers`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

RAW, JSON = "application/octet-stream", "application/json"
Vectors: TypeAlias = npt.NDArray[Any]  # of float32, unless `output` says another type
Output: TypeAlias = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary", "sparse"]
InputType: TypeAlias = Literal["document", "query"]
DTYPES: Mapping[Output, str] = {
    "float32": "<f4",
    "float16": "<f2",
    "int8": "|i1",
    "uint8": "|u1",
    "binary": "|i1",  # eight dimensions to a byte, as in the next
    "ubinary": "|u1",
    "sparse": "|O",  # a `SparseVector` for each input; never raw
}
Truncate: TypeAlias = Literal["none", "end", "start"]
Wire: TypeAlias = Literal["raw", "base64"]


class Options(TypedDict, total=False):
    """The options of a call. What it leaves out is the client's default, and then the server's.

    Attributes:
        model, version: of the encoder.
        truncate: what becomes of a text that is too long.
        dimensions: fewer, where the model was trained for it.
        prompt: name of the model's prompt to stand before every text; "" for none.
        output: type of the vectors; all but the floats are of a space of their own.
        input_type: of sparse vectors, the side of BM25 that the texts are on.
        adapted: the vectors are for a search among adapted ones, whose space the client is pinned to; the
            answer is of the space that these are near to.
        now: ISO 8601 or unix time that `time` features are relative to.
        timeout_s: of the whole call, retries included.
    """

    model: str
    version: str
    truncate: Truncate
    dimensions: int
    prompt: str | None
    output: Output
    input_type: InputType
    adapted: bool
    now: str | float
    timeout_s: float


class ScoreOptions(TypedDict, total=False):
    """The options of `score`. What it leaves out is the client's default, and then the server's.

    Attributes:
        model, version: of the query's encoder.
        candidates_model: the other encoder of its pair, or it itself, if not given.
        space: what all vectors must be of; by default what the client is pinned to.
        top_k: how many of the best.
        truncate, dimensions, now: as of `encode`.
        adapted: `space` may be that of adapted vectors.
        mix: how much the words of texts count beside their vectors, 0 to 1.
        timeout_s: of the whole call, retries included.
    """

    model: str
    version: str
    candidates_model: str
    space: str
    top_k: int
    truncate: Truncate
    dimensions: int
    now: str | float
    adapted: bool
    mix: float
    timeout_s: float


class ExplainOptions(TypedDict, total=False):
    """The options of `explain`. What it leaves out is the client's default, and then the server's.

    Attributes:
        method: Shapley values, or what is lost without each piece alone.
        pieces: most pieces of an input.
        model, version, candidates_model, space, truncate, dimensions, now, adapted, timeout_s: as of `score`.
    """

    method: Literal["shapley", "leave_one_out"]
    pieces: int
    model: str
    version: str
    candidates_model: str
    space: str
    truncate: Truncate
    dimensions: int
    now: str | float
    adapted: bool
    timeout_s: float


@dataclass(frozen=True)
class Parameters:
    """The fields of a request beside its inputs. None leaves the choice to the server."""

    model: str | None = None
    version: str | None = None
    truncate: Truncate | None = None
    dimensions: int | None = None
    prompt: str | None = None
    output: Output | None = None
    input_type: InputType | None = None
    adapted: bool | None = None
    now: str | float | None = None
    spaces: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.output is not None and self.output not in DTYPES:
            raise ValueError(f"output is one of {', '.join(DTYPES)}")

    def updated(self, options: Options) -> Parameters:
        """Replace what a call says. Raises TypeError for an option that does not exist."""
        if unknown := options.keys() - Options.__annotations__.keys():
            raise TypeError(
                f"no such option: {', '.join(unknown)}; there are {', '.join(Options.__annotations__)}"
            )
        given = {name: value for name, value in options.items() if name != "timeout_s" and value is not None}
        return replace(self, **given)  # type: ignore[arg-type]  # the types are those of Options

    @property
    def pin(self) -> tuple[str | None, str | None, int | None, str | None]:
        """The fields that decide the space. The prompt does not: vectors are compared across prompts."""
        return self.model, self.version, self.dimensions, self.output

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the vectors on the wire."""
        return np.dtype(DTYPES[self.output or "float32"])


@dataclass(frozen=True)
class Limits:
    """The most inputs and bytes of one request; the server's own limits are higher."""

    items: int = 512
    bytes: int = 512 * 1024


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        offset: position of its first input among all of the caller's.
        inputs: their JSON.
    """

    offset: int
    inputs: Sequence[bytes] = field(repr=False)
    parameters: Parameters

    def body(self, space: str | None, wire: Wire) -> bytes:
        """Write the request's body."""
        fields = {name: value for name, value in vars(self.parameters).items() if value is not None}
        fields |= {"space": space} if space is not None else {}
        fields |= {"encoding": "base64"} if wire == "base64" else {}
        head = json.dumps(fields)[:-1].encode()
        return b'%s%s"inputs":[%s]}' % (head, b", " if fields else b"", b",".join(self.inputs))


def requests(rows: Iterable[Any], parameters: Parameters, limits: Limits) -> Iterator[Request]:
    """Split rows into requests within the limits, in order. A row that is larger than the limit goes alone.

    Raises:
        TypeError: a row holds a value that JSON has no form for, such as bytes.
        ValueError: it holds an infinite number or half of a character, which JSON cannot.
    """
    offset, size = 0, 0
    items: list[bytes] = []
    for index, row in enumerate(rows):
        content = _json(f"inputs[{index}]", row)
        if items and (len(items) >= limits.items or size + len(content) > limits.bytes):
            yield Request(offset, items, parameters)
            offset, size, items = index, 0, []
        items.append(content)
        size += len(content) + 1
    if items:
        yield Request(offset, items, parameters)


def score_body(fields: Mapping[str, Any], query: Any, candidates: Iterable[Any] | Vectors) -> bytes:
    """Write a request to /score: candidates as inputs, or as vectors, floats [n, dim].

    Raises:
        TypeError, ValueError: as `requests`, or vectors come without a space.
    """
    parts = [json.dumps(name).encode() + b":" + _json(name, value) for name, value in fields.items()]
    parts.append(b'"query":' + _json("query", query))
    if isinstance(candidates, np.ndarray) and candidates.ndim == 2 and candidates.dtype.kind == "f":
        if "space" not in fields:
            raise ValueError("vectors as candidates need `space`: that of the index they are from")
        rows = [base64.b64encode(row.tobytes()).decode() for row in candidates.astype("<f4")]
        parts.append(b'"vectors":' + _json("vectors", rows))
    else:
        written = [_json(f"candidates[{index}]", row) for index, row in enumerate(candidates)]
        parts.append(b'"candidates":[%s]' % b",".join(written))
    return b"{%s}" % b",".join(parts)


def _json(place: str, value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{place} holds half of a character (a lone surrogate)") from None
    except (ValueError, TypeError) as error:
        raise type(error)(f"{place} cannot be written as JSON: {error}") from None
