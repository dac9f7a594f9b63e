"""POST /embed and /similarity: vectors of texts, and how near texts are to one.

Read in huggingface/text-embeddings-inference, router/src/http/{types,server}.rs and core/src/infer.rs.
Unlike there, what is too long is refused unless the caller asks for `truncate`.
"""

from __future__ import annotations

import time
from typing import ClassVar, Literal

import numpy as np
from fastapi import Request, Response
from pydantic import Field

from app.api.inputs import JsonInputs
from app.api.protocols.base import (
    ForeignRequest,
    Refusal,
    Texts,
    expected_space,
    json_response,
    json_vectors,
    texts,
)
from app.api.protocols.tei.protocol import TEI
from app.api.service import EncodeRequest, EncodeResult, encode
from app.http.context import Context
from app.http.errors import InvalidRequest
from bundle import InputError


class _Texts(ForeignRequest):
    truncate: bool | None = Field(default=None, description="cut what is too long; by default it is refused")
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"
    prompt_name: str | None = None

    def cut(self) -> Literal["none", "end", "start"]:
        """The truncation in our words."""
        if not self.truncate:
            return "none"
        return "start" if self.truncation_direction.lower() == "left" else "end"


class EmbedRequest(_Texts):
    """Texts to encode."""

    refused: ClassVar = {
        "encoding_format": Refusal(
            "this route answers with numbers; /v1/embeddings has base64", (None, "float")
        )
    }

    inputs: Texts = Field(description="a text or a list of texts")
    normalize: bool | None = Field(True, description="false gives what the model gives")
    dimensions: int | None = Field(default=None, ge=1)


class _Sentences(ForeignRequest):
    source_sentence: str
    sentences: list[str] = Field(min_length=1, fail_fast=True)


class SimilarityRequest(ForeignRequest):
    """One text to compare with others."""

    inputs: _Sentences
    parameters: _Texts | None = None


@TEI.post("/embed", EmbedRequest, "Encode texts")
@TEI.post("/", EmbedRequest, "Encode texts")
async def embed(context: Context, request: Request) -> Response:
    """Vectors of texts, a list of lists even for one text."""
    started_s = time.perf_counter()
    asked = await TEI.read(context, request, EmbedRequest)
    inputs = texts(asked.inputs)
    unit = asked.normalize is not False
    answer = await _encoded(context, request, inputs, asked, dim=asked.dimensions, unit=unit)
    headers = answer.headers() | _headers(answer, inputs, started_s)
    return await json_vectors(answer, lambda: np.ascontiguousarray(answer.vectors), headers)


@TEI.post("/similarity", SimilarityRequest, "Compare a text with others")
async def similarity(context: Context, request: Request) -> Response:
    """The cosine of the source with each sentence."""
    started_s = time.perf_counter()
    asked = await TEI.read(context, request, SimilarityRequest)
    inputs = texts([asked.inputs.source_sentence, *asked.inputs.sentences])
    try:
        answer = await _encoded(context, request, inputs, asked.parameters or _Texts(), unit=True)
    except InputError as error:
        place = f"sentences[{error.index - 1}]" if error.index else "source_sentence"
        raise InvalidRequest(
            f"inputs.{place}: {error.reason}", code=error.code, param=f"inputs.{place}"
        ) from None
    source, *others = answer.vectors
    return json_response(np.stack(others) @ source, answer.headers() | _headers(answer, inputs, started_s))


async def _encoded(
    context: Context,
    request: Request,
    inputs: JsonInputs,
    asked: _Texts,
    *,
    unit: bool,
    dim: int | None = None,
) -> EncodeResult:
    ask = EncodeRequest(
        inputs=inputs,
        dim=dim,
        truncate=asked.cut(),
        space=expected_space(request),
        prompt=asked.prompt_name,
        unit=unit,
    )
    return await encode(context, request, ask)


def _headers(answer: EncodeResult, inputs: JsonInputs, started_s: float) -> dict[str, str]:
    """TEI's timing headers, in ms."""
    timings = answer.timings
    characters = sum(map(len, inputs.values))
    measured = {
        "x-compute-time": timings.run_s * 1e3,
        "x-total-time": (time.perf_counter() - started_s) * 1e3,
        "x-tokenization-time": timings.prepare_s * 1e3,
        "x-queue-time": timings.queue_s * 1e3,
        "x-inference-time": timings.run_s * 1e3,
    }
    return {name: f"{value:.3f}" for name, value in measured.items()} | {
        "x-compute-type": "cpu",
        "x-compute-characters": str(characters),
        "x-compute-tokens": str(answer.tokens),
    }
