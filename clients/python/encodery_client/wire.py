"""The protocol without any I/O: from rows to requests, and from responses to vectors.

rows -> Call (bytes of one request, of bounded size) ... httpx.Response -> Answer
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, TypedDict

import httpx2 as httpx
import numpy as np
import numpy.typing as npt

from encodery_client.errors import SpaceChanged, UnexpectedAnswer, error_from

RAW, JSON = "application/octet-stream", "application/json"
Vectors: TypeAlias = npt.NDArray[Any]  # of float32, unless `output` says another type
Output: TypeAlias = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
DTYPES: Mapping[Output, str] = {
    "float32": "<f4",
    "float16": "<f2",
    "int8": "|i1",
    "uint8": "|u1",
    "binary": "|i1",  # eight dimensions to a byte, as in the next
    "ubinary": "|u1",
}
Truncate: TypeAlias = Literal["none", "end", "start"]
Wire: TypeAlias = Literal["raw", "base64"]


class Options(TypedDict, total=False):
    """What a call may say. What it leaves out is the client's default, and then the server's.

    Attributes:
        model, version: of the encoder.
        truncate: what becomes of a text that is too long.
        dimensions: fewer, where the model was trained for it.
        prompt: name of the model's prompt to stand before every text; "" for none.
        output: type of the vectors; all but the floats are of a space of their own.
        now: ISO 8601 or unix time that `time` features are relative to.
        timeout_s: of the whole call, retries included.
    """

    model: str
    version: str
    truncate: Truncate
    dimensions: int
    prompt: str | None
    output: Output
    now: str | float
    timeout_s: float


@dataclass(frozen=True)
class Asked:
    """What is asked of the server, whatever the inputs. None leaves the choice to the server."""

    model: str | None = None
    version: str | None = None
    truncate: Truncate | None = None
    dimensions: int | None = None
    prompt: str | None = None
    output: Output | None = None
    now: str | float | None = None

    def __post_init__(self) -> None:
        if self.output is not None and self.output not in DTYPES:
            raise ValueError(f"output is one of {', '.join(DTYPES)}")

    def but(self, options: Options) -> Asked:
        """The same with what a call says. Raises TypeError for an option that does not exist."""
        if unknown := options.keys() - Options.__annotations__.keys():
            raise TypeError(
                f"no such option: {', '.join(unknown)}; there are {', '.join(Options.__annotations__)}"
            )
        given = {name: value for name, value in options.items() if name != "timeout_s" and value is not None}
        return replace(self, **given)  # type: ignore[arg-type]  # the types are those of Options

    @property
    def pin(self) -> tuple[str | None, str | None, int | None, str | None]:
        """What decides the space of the vectors. Prompts do not: they are there to be compared across."""
        return self.model, self.version, self.dimensions, self.output

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the vectors on the wire."""
        return np.dtype(DTYPES[self.output or "float32"])


@dataclass(frozen=True)
class Limits:
    """Most inputs and bytes of one request; the server's own limits are higher."""

    items: int = 512
    bytes: int = 512 * 1024


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        offset: position of its first input among all of the caller's.
        inputs: their JSON.
    """

    offset: int
    inputs: Sequence[bytes] = field(repr=False)
    asked: Asked

    def body(self, space: str | None, wire: Wire) -> bytes:
        """The request's body."""
        fields = {name: value for name, value in vars(self.asked).items() if value is not None}
        fields |= {"space": space} if space is not None else {}
        fields |= {"encoding": "base64"} if wire == "base64" else {}
        head = json.dumps(fields)[:-1].encode()
        return b'%s%s"inputs":[%s]}' % (head, b", " if fields else b"", b",".join(self.inputs))


@dataclass(frozen=True)
class Warned:
    """What the server tells about one input.

    Attributes:
        index: position among all inputs.
        truncated: what was cut: field, length, limit and unit.
        unknown: fields with a value that training did not see.
        new_entries: places in the history of items never seen, encoded from their content.
        unknown_entries: places of those of which nothing was told; they were skipped.
        empty_history: a history held nothing that the encoder knows.
    """

    index: int
    truncated: Sequence[Mapping[str, Any]] = ()
    unknown: Sequence[str] = ()
    new_entries: Sequence[int] = ()
    unknown_entries: Sequence[int] = ()
    empty_history: bool = False


@dataclass(frozen=True)
class Answer:
    """Vectors with all that the server says about them.

    Attributes:
        vectors: float32 [n, dim], in the order of the inputs, or of the type that was asked for, [n, dim / 8]
            if packed; [0, 0] for no inputs.
        space: only vectors of equal spaces can be compared; empty for no inputs.
        tokens: read by the encoder.
        warnings: one for each input about which there is something to tell.
    """

    vectors: Vectors
    space: str
    model: str
    version: str
    tokens: int = 0
    warnings: Sequence[Warned] = ()


def calls(rows: Iterable[Any], asked: Asked, limits: Limits) -> Iterator[Call]:
    """Requests within the limits, in order. A row that is larger than the limit goes alone.

    Raises:
        TypeError: a row is neither a text nor an object of features.
        ValueError: it holds an infinite number or half of a character, which JSON cannot.
    """
    offset, size = 0, 0
    items: list[bytes] = []
    for index, row in enumerate(rows):
        content = _json(index, row)
        if items and (len(items) >= limits.items or size + len(content) > limits.bytes):
            yield Call(offset, items, asked)
            offset, size, items = index, 0, []
        items.append(content)
        size += len(content) + 1
    if items:
        yield Call(offset, items, asked)


def read_raw(call: Call, response: httpx.Response) -> Answer:
    """The answer in raw form: vectors and their space, nothing about single inputs."""
    check(call, response)
    model, _, version = response.headers.get("x-model-version", "").partition("/")
    space = response.headers.get("x-embedding-space", "")
    content, dtype = response.content, call.asked.dtype
    is_other_type = response.headers.get("x-embedding-type", dtype.name) != dtype.name
    if is_other_type or not space or not content or len(content) % (dtype.itemsize * len(call.inputs)):
        raise _unexpected(response)
    return Answer(_native(content, dtype).reshape(len(call.inputs), -1), space, model, version)


def read_base64(call: Call, response: httpx.Response) -> Answer:
    """The answer in JSON, vectors in base64, with all that is told about single inputs."""
    check(call, response)
    try:
        content = response.json()
        rows = [base64.b64decode(row) for row in content["embeddings"]]
        vectors = np.stack([_native(row, call.asked.dtype) for row in rows])
        warnings = [Warned(**one | {"index": one["index"] + call.offset}) for one in content["warnings"]]
        tokens = int(content["usage"]["tokens"])
        answer = Answer(vectors, content["space"], content["model"], content["version"], tokens, warnings)
    except (ValueError, KeyError, TypeError) as error:
        raise _unexpected(response) from error
    if len(vectors) != len(call.inputs):
        raise _unexpected(response)
    return answer


def check(call: Call, response: httpx.Response) -> None:
    """Raises what any answer other than 200 stands for."""
    if response.status_code != 200:
        raise error_from(response.status_code, response.headers, response.content, offset=call.offset)


def joined(answers: Sequence[Answer], asked: Asked) -> Answer:
    """The answers to parts of one call as one. Raises SpaceChanged if they are of several spaces."""
    if not answers:
        return Answer(_native(b"", asked.dtype).reshape(0, 0), "", "", "")
    first = answers[0]
    for answer in answers:
        refuse_other_space(first.space, answer)
    return replace(
        first,
        vectors=np.concatenate([answer.vectors for answer in answers]),
        tokens=sum(answer.tokens for answer in answers),
        warnings=[warning for answer in answers for warning in answer.warnings],
    )


def refuse_other_space(expected: str, answer: Answer) -> None:
    """Raises SpaceChanged."""
    if answer.space != expected:
        raise SpaceChanged(
            f"the server now answers with {answer.model}/{answer.version}, whose vectors (space "
            f"{answer.space}) cannot be compared with those of {expected}; encode the index anew and "
            "unpin this client",
            code="space_mismatch",
            param="space",
        )


def _native(content: bytes, dtype: np.dtype[Any]) -> Vectors:
    """Little-endian bytes as an array of this machine, which may be written to."""
    return np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))


def _json(index: int, row: Any) -> bytes:
    if not isinstance(row, (str, dict)):
        raise TypeError(f"inputs[{index}] is {type(row).__name__}; send a text or an object of features")
    try:
        return json.dumps(row, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"inputs[{index}] holds half of a character (a lone surrogate)") from None
    except (ValueError, TypeError) as error:
        raise type(error)(f"inputs[{index}] cannot be written as JSON: {error}") from None


def _unexpected(response: httpx.Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{response.request.url} answered {len(response.content)} bytes of "
        f"{response.headers.get('content-type', 'no type')}, which are no vectors of this request"
    )
