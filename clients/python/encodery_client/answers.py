"""Reads answers, without any I/O: from responses to vectors, with all that the server says about them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import httpx2 as httpx
import numpy as np

from encodery_client.errors import SpaceChanged, UnexpectedAnswer, error_from
from encodery_client.wire import Parameters, Request, Vectors


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


PARTS = {"indices": "<u4", "values": "<f4"}  # of a sparse vector, little-endian


@dataclass(frozen=True)
class SparseVector:
    """Weights of the words that a text has; all others are 0.

    Attributes:
        indices: ids of the model's vocabulary, uint32 [k], ascending.
        values: float32 [k].
    """

    indices: Vectors
    values: Vectors


@dataclass(frozen=True)
class Answer:
    """Vectors with all that the server says about them.

    Attributes:
        vectors: float32 [n, dim], in the order of the inputs, or of the type that was asked for, [n, dim / 8]
            if packed; [0, 0] for no inputs. Of sparse ones [n], each a `SparseVector`.
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


@dataclass(frozen=True)
class Score:
    """A candidate that was ranked.

    Attributes:
        index: position among the candidates.
        score: the larger the better.
        cosine, bm25: its parts, where words were mixed in.
    """

    index: int
    score: float
    cosine: float | None = None
    bm25: float | None = None


@dataclass(frozen=True)
class Scores:
    """The best candidates, the best first, with what the server says about them.

    Attributes:
        space: that all vectors were of.
        model, version: of the query's encoder.
        candidates_model, candidates_version: of the candidates'; None where vectors were sent.
        warnings: what is to be told, each with the `param` that it is about.
    """

    results: Sequence[Score]
    space: str
    model: str
    version: str
    candidates_model: str | None
    candidates_version: str | None
    warnings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Side:
    """What the pieces of one input of a pair add to its score.

    Attributes:
        unit: what a piece is: `words`, `fields and entries`, ...
        merged: how many smaller pieces there were; 0 where none were merged.
        base: the score when nothing of it is left.
        residual: what of score - base the contributions do not add up to.
        exact: the contributions are no estimates.
        contributions: in the order of the input: `contribution`, `standard_error`, and the piece's place.
    """

    unit: str
    merged: int
    base: float
    residual: float
    exact: bool
    contributions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Explanation:
    """The score of the query and one candidate, by its position among these."""

    index: int
    score: float
    query: Side
    candidate: Side


@dataclass(frozen=True)
class Explanations:
    """One for each candidate, with what the server says about them.

    Attributes:
        method: that was used.
        rows: how many inputs were encoded for them.
        space, model, version, candidates_model, candidates_version, warnings: as of `Scores`.
    """

    results: Sequence[Explanation]
    method: str
    rows: int
    space: str
    model: str
    version: str
    candidates_model: str
    candidates_version: str
    warnings: Sequence[Mapping[str, Any]] = ()


def read_explanations(response: httpx.Response) -> Explanations:
    """Read the answer of /explain."""
    if response.status_code != 200:
        raise error_from(response.status_code, response.headers, response.content, offset=0)
    try:
        content = response.json()
        results = [
            Explanation(one["index"], one["score"], Side(**one["query"]), Side(**one["candidate"]))
            for one in content["explanations"]
        ]
        told = {name: content[name] for name in ("method", "rows", *_SCORED)}
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise _unexpected(response) from error
    return Explanations(results, **told)


def read_scores(response: httpx.Response) -> Scores:
    """Read the answer of /score."""
    if response.status_code != 200:
        raise error_from(response.status_code, response.headers, response.content, offset=0)
    try:
        content = response.json()
        results = [Score(**one) for one in content["results"]]
        told = {name: content[name] for name in _SCORED}
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise _unexpected(response) from error
    return Scores(results, **told)


_SCORED = ("space", "model", "version", "candidates_model", "candidates_version", "warnings")


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
    except ValueError as error:
        raise _unexpected(response) from error
    return _read_block(request, response, content)


def read_blocks(request: Request, response: httpx.Response) -> list[Answer]:
    """Read an answer of several spaces: for each, in the order that they were asked for, what it says."""
    check(request, response)
    try:
        blocks = list(response.json()["blocks"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unexpected(response) from error
    found = [_read_block(request, response, block) for block in blocks]
    if [one.space for one in found] != list(request.parameters.spaces or ()):
        raise _unexpected(response)
    return found


def _read_block(request: Request, response: httpx.Response, content: Any) -> Answer:
    try:
        vectors = _rows(content["embeddings"], request.parameters)
        warnings = [_warning(one, request.offset) for one in content["warnings"]]
        tokens = int(content["usage"]["tokens"])
        answer = Answer(vectors, content["space"], content["model"], content["version"], tokens, warnings)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise _unexpected(response) from error
    if len(vectors) != len(request.inputs):
        raise _unexpected(response)
    return answer


def _rows(embeddings: Sequence[Any], parameters: Parameters) -> Vectors:
    """The vectors of an answer in base64."""
    if parameters.output == "sparse":
        return _objects([SparseVector(*(_part(row, *one) for one in PARTS.items())) for row in embeddings])
    return np.stack([_native(base64.b64decode(row), parameters.dtype) for row in embeddings])


def _part(row: Mapping[str, str], name: str, dtype: str) -> Vectors:
    return _native(base64.b64decode(row[name]), np.dtype(dtype))


def _objects(rows: Sequence[Any]) -> Vectors:
    """One object for each row: numpy would look into them."""
    vectors = np.empty(len(rows), dtype=object)
    vectors[:] = rows
    return vectors


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
        shape = (0,) if parameters.output == "sparse" else (0, 0)
        return Answer(np.empty(shape, parameters.dtype), "", "", "")
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


def _unexpected(response: httpx.Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{response.request.url} answered {len(response.content)} bytes of "
        f"{response.headers.get('content-type', 'no type')}, which is no answer to this request"
    )
