"""The protocol without any I/O: from rows to requests, and from responses to vectors.

rows -> Request (the bytes of one, of bounded size) ... httpx.Response -> Answer
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
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
    """The options of a call. What it leaves out is the client's default, and then the server's.

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
class Parameters:
    """The fields of a request beside its inputs. None leaves the choice to the server."""

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


@dataclass(frozen=True)
class InputWarning:
    """The warnings about one input.

    Every name in `details` is an attribute as well: `warning.truncated`, `warning.unknown`. Which names there
    are is decided by the kind of the model. A name that the server did not tell is (): it is false, and has
    nothing in it.

    Attributes:
        index: position among all inputs.
        details: all that was told, by name, as JSON; read only.
    """

    index: int
    details: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "details":  # asked for by copy and pickle before there is one
            raise AttributeError(name)
        return self.details.get(name, ())

    def __reduce__(self) -> tuple[type[InputWarning], tuple[int, dict[str, Any]]]:
        return InputWarning, (self.index, dict(self.details))


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
    warnings: Sequence[InputWarning] = ()


def requests(rows: Iterable[Any], parameters: Parameters, limits: Limits) -> Iterator[Request]:
    """Split rows into requests within the limits, in order. A row that is larger than the limit goes alone.

    Raises:
        TypeError: a row holds a value that JSON has no form for, such as bytes.
        ValueError: it holds an infinite number or half of a character, which JSON cannot.
    """
    offset, size = 0, 0
    items: list[bytes] = []
    for index, row in enumerate(rows):
        content = _json(index, row)
        if items and (len(items) >= limits.items or size + len(content) > limits.bytes):
            yield Request(offset, items, parameters)
            offset, size, items = index, 0, []
        items.append(content)
        size += len(content) + 1
    if items:
        yield Request(offset, items, parameters)


def read_raw(request: Request, response: httpx.Response) -> Answer:
    """Read an answer in raw form: vectors and their space, nothing about single inputs."""
    check(request, response)
    model, _, version = response.headers.get("x-model-version", "").partition("/")
    space = response.headers.get("x-embedding-space", "")
    content, dtype = response.content, request.parameters.dtype
    is_other_type = response.headers.get("x-embedding-type", dtype.name) != dtype.name
    if is_other_type or not space or not content or len(content) % (dtype.itemsize * len(request.inputs)):
        raise _unexpected(response)
    return Answer(_native(content, dtype).reshape(len(request.inputs), -1), space, model, version)


def read_base64(request: Request, response: httpx.Response) -> Answer:
    """Read an answer in JSON: vectors in base64, and all that the server says about single inputs."""
    check(request, response)
    try:
        content = response.json()
        rows = [base64.b64decode(row) for row in content["embeddings"]]
        vectors = np.stack([_native(row, request.parameters.dtype) for row in rows])
        warnings = [_warning(one, request.offset) for one in content["warnings"]]
        tokens = int(content["usage"]["tokens"])
        answer = Answer(vectors, content["space"], content["model"], content["version"], tokens, warnings)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise _unexpected(response) from error
    if len(vectors) != len(request.inputs):
        raise _unexpected(response)
    return answer


def _warning(warning: Mapping[str, Any], offset: int) -> InputWarning:
    details = {name: value for name, value in warning.items() if name != "index"}
    return InputWarning(warning["index"] + offset, details)


def check(request: Request, response: httpx.Response) -> None:
    """Raise what any answer other than 200 stands for."""
    if response.status_code != 200:
        raise error_from(response.status_code, response.headers, response.content, offset=request.offset)


def joined(answers: Sequence[Answer], parameters: Parameters) -> Answer:
    """Join the answers to parts of one call. Raises SpaceChanged if they are of several spaces."""
    if not answers:
        return Answer(_native(b"", parameters.dtype).reshape(0, 0), "", "", "")
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
    """Raise SpaceChanged if the answer's space is another one."""
    if answer.space != expected:
        raise SpaceChanged(
            f"the server now answers with {answer.model}/{answer.version}, whose vectors (space "
            f"{answer.space}) cannot be compared with those of {expected}; encode the index anew and "
            "unpin this client",
            code="space_mismatch",
            param="space",
        )


def _native(content: bytes, dtype: np.dtype[Any]) -> Vectors:
    """Read little-endian bytes as an array of this machine, which may be written to."""
    return np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))


def _json(index: int, row: Any) -> bytes:
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
