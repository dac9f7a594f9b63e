"""POST /embed and /similarity; both in one at / for huggingface_hub, and at /invocations for SageMaker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from app.api.inputs import TextOrIdInputs
from app.api.protocols.base import expected_space, json_vectors
from app.api.protocols.measured import measured
from app.api.protocols.tei.protocol import TEI
from app.api.protocols.tei.requests import (
    EmbedRequest,
    Options,
    SimilarityRequest,
    check_filled,
    of_shape,
    work_of,
)
from app.api.service import EncodeRequest, EncodeResult, encode
from app.http.context import Context
from bundle import InputError


@TEI.post("/embed", EmbedRequest, "Encode texts")
async def embed(context: Context, request: Request) -> Response:
    """Vectors of texts, a list of lists even for one text."""
    return await _answered(context, request, await TEI.read(context, request, EmbedRequest))


@TEI.post("/similarity", SimilarityRequest, "Compare a text with others")
async def similarity(context: Context, request: Request) -> Response:
    """The cosine of the source with each sentence."""
    return await _answered(context, request, await TEI.read(context, request, SimilarityRequest))


@TEI.post("/", EmbedRequest, "Encode texts, or compare them: the shape of /embed or of /similarity")
@TEI.post("/invocations", EmbedRequest, "The same, where SageMaker asks")
async def either(context: Context, request: Request) -> Response:
    """What /embed answers, or /similarity."""
    return await _answered(context, request, await TEI.read_as(context, request, of_shape))


async def _answered(context: Context, request: Request, asked: EmbedRequest | SimilarityRequest) -> Response:
    started_s = time.perf_counter()
    work = work_of(asked, auto_truncate=context.settings.auto_truncate)
    try:
        answer = await encoded(context, request, work.values, work.options)
    except InputError as error:
        raise work.failed(error) from None
    headers = measured(answer, work.values, started_s)
    return await json_vectors(answer, lambda: work.content(answer.vectors), headers)


async def encoded(
    context: Context, request: Request, values: Sequence[Any], options: Options
) -> EncodeResult:
    """The vectors of texts, or of lists of token ids."""
    check_filled(values)
    ask = EncodeRequest(
        inputs=TextOrIdInputs(values, time.time()),
        dim=options.dim,
        truncate=options.truncate,
        space=expected_space(request),
        prompt=options.prompt,
        unit=options.unit,
    )
    return await encode(context, request, ask)
