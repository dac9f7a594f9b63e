"""What TEI's clients ask for: vectors of texts, or how near texts are to one; and both as one kind of work.

    EmbedRequest | SimilarityRequest -> Work -> (the engine) -> content of the answer

Read in huggingface/text-embeddings-inference, router/src/http/types.rs. Unlike there, what is too long is
refused unless the caller asks for `truncate`, or ENCODERY_AUTO_TRUNCATE is set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, WithJsonSchema

from app.api.protocols.base import texts_or_ids
from app.api.protocols.foreign import ForeignRequest, Refusal
from app.api.vectors import Vectors
from app.http.errors import InvalidRequest
from bundle import InputError, Truncate

TOKEN_ID: Mapping[str, Any] = {"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1}
_IDS = {"type": "array", "items": TOKEN_ID, "minItems": 1}
_INPUT = {"anyOf": [{"type": "string", "minLength": 1}, _IDS]}
INPUTS = {"anyOf": [*_INPUT["anyOf"], {"type": "array", "items": _INPUT, "minItems": 1}]}


class Truncating(ForeignRequest):
    """What is done with a text that is too long."""

    truncate: bool | None = Field(
        default=None, description="cut what is too long; by default ENCODERY_AUTO_TRUNCATE says"
    )
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"

    def cut(self, *, is_default: bool) -> Truncate:
        """The truncation in our words; `is_default` where the request does not say."""
        if not (is_default if self.truncate is None else self.truncate):
            return "none"
        return "start" if self.truncation_direction.lower() == "left" else "end"


class Cutting(Truncating):
    """The same, and what stands before every text."""

    prompt_name: str | None = None


class EmbedRequest(Cutting):
    """Texts to encode."""

    refused: ClassVar = {
        "encoding_format": Refusal(
            "this route answers with numbers; /v1/embeddings has base64", (None, "float")
        )
    }

    inputs: Annotated[Any, WithJsonSchema(INPUTS)] = Field(
        description="a text or a list of texts; a text may be given as token ids, as /tokenize tells them"
    )
    normalize: bool | None = Field(True, description="false gives what the model gives")
    dimensions: int | None = Field(default=None, ge=1)


class Sentences(ForeignRequest):
    """One text, and others."""

    source_sentence: str
    sentences: list[str] = Field(fail_fast=True, json_schema_extra={"minItems": 1})


class SimilarityRequest(ForeignRequest):
    """One text to compare with others."""

    inputs: Sentences
    parameters: Cutting | None = None


def of_shape(content: Mapping[str, Any]) -> type[EmbedRequest | SimilarityRequest]:
    """Which of the two a body is, where both are taken: of a similarity the inputs are an object."""
    return SimilarityRequest if isinstance(content.get("inputs"), dict) else EmbedRequest


class Options(NamedTuple):
    """How texts are to be encoded."""

    truncate: Truncate
    prompt: str | None
    dim: int | None
    unit: bool


@dataclass(frozen=True, slots=True)
class Work:
    """What a request comes down to.

    Attributes:
        values: texts, or lists of token ids; of a similarity the source comes first.
    """

    values: Sequence[Any]
    options: Options
    is_similarity: bool = False

    def content(self, vectors: Vectors) -> Any:
        """What is answered: the vectors, or the cosine of the source with each sentence."""
        return vectors[1:] @ vectors[0] if self.is_similarity else np.ascontiguousarray(vectors)

    def failed(self, error: InputError, place: str = "") -> InvalidRequest:
        """The error of an input, with its place in the request."""
        where = f"inputs[{error.index}]"
        if self.is_similarity:
            where = f"inputs.sentences[{error.index - 1}]" if error.index else "inputs.source_sentence"
        where = f"{place}{where}{error.path}"
        return InvalidRequest(f"{where}: {error.reason}", code=error.code, param=where)


def check_filled(values: Sequence[Any]) -> None:
    """Raise InputError for the first input that is empty, which TEI tells before all else that is wrong."""
    for index, value in enumerate(values):
        if value in ("", []):
            raise InputError(index, "empty_input", "the text is empty or has no token; leave it out")


def work_of(asked: EmbedRequest | SimilarityRequest, *, auto_truncate: bool) -> Work:
    """Say what a request asks for. Raises InvalidRequest for a source without sentences."""
    if isinstance(asked, EmbedRequest):
        cut = asked.cut(is_default=auto_truncate)
        unit = asked.normalize is not False
        return Work(
            texts_or_ids(asked.inputs).values, Options(cut, asked.prompt_name, asked.dimensions, unit)
        )
    sentences, parameters = asked.inputs.sentences, asked.parameters or Cutting()
    if not sentences:
        raise InvalidRequest(
            "inputs.sentences: the list is empty; send at least one sentence to compare with",
            code="empty_inputs",
            param="inputs.sentences",
        )
    cut = parameters.cut(is_default=auto_truncate)
    values = [asked.inputs.source_sentence, *sentences]
    return Work(values, Options(cut, parameters.prompt_name, None, unit=True), is_similarity=True)
