"""POST /encode with `spaces`: the same inputs for several spaces, a block for each, while an index moves.

body -> spaces -> an encoder for each -> all at once -> blocks, each with its own model, version and space
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from fastapi import Request, Response
from pydantic import BaseModel

from app.api import vectors
from app.api.bodies import EncodeCall
from app.api.encoded_answer import EncodeResponse, described
from app.api.head_options import terms_of
from app.api.inputs import check_count, read_inputs
from app.api.large import off_loop, writing
from app.api.service import EncodeRequest, EncodeResult, Target, check_answer, resolve
from app.engine import SpaceMismatch
from app.http.context import Context
from app.http.disconnect import unless_left
from app.http.errors import InvalidRequest
from bundle import Input


class SpacesResponse(BaseModel):
    """A block for each space that was asked for, in that order."""

    blocks: list[EncodeResponse]


async def respond(context: Context, request: Request, call: EncodeCall, number_bytes: float) -> Response:
    """The blocks. Raises as `app.api.service.encode` does."""
    spaces, options, settings = call.options.spaces or (), call.options, context.settings
    _check(call, spaces)
    targets = [_target(context, options.request(call.inputs)._replace(space=space)) for space in spaces]
    check_count(len(call.inputs), settings)
    check_answer(len(call.inputs) * sum(target.dim for target in targets) * number_bytes, settings)
    read = [
        await off_loop(
            call.inputs.work,
            partial(read_inputs, call.inputs, target.loaded, settings, target.truncate),
        )
        for target in targets
    ]
    results = await unless_left(request, _encoded(context, request, targets, read))
    size = sum(writing(result.vectors) for result in results)
    return Response(
        await off_loop(size, lambda: _to_json(results, options.encoding)),
        headers={"X-Embedding-Space": ", ".join(result.space for result in results)},
        media_type=vectors.JSON,
    )


def _check(call: EncodeCall, spaces: Sequence[str]) -> None:
    """Raise InvalidRequest for what says again, or otherwise, which spaces are meant."""
    if len(set(spaces)) < len(spaces):
        raise InvalidRequest("a space is named twice; name each once", code="invalid_value", param="spaces")
    for name in ("space", "version"):
        if getattr(call.options, name) is not None:
            raise InvalidRequest(
                f'"spaces" says which vectors are wanted; leave "{name}" out, or "spaces"',
                code="unsupported",
                param=name,
            )


def _target(context: Context, asked: EncodeRequest) -> Target:
    """The encoder of a space: a version of the model that is named, or any other of the same inputs.

    Raises EngineError, InvalidRequest.
    """
    try:
        return resolve(context, asked)
    except SpaceMismatch:
        kind = context.registry.find(asked.model or context.default_model).manifest.kind
        for one in context.registry.loaded:
            manifest = one.manifest
            dim = asked.dim or manifest.dim
            if manifest.kind == kind and asked.space in manifest.spaces_of(dim, asked.output):
                return resolve(context, asked._replace(model=manifest.name, version=manifest.version))
        raise


async def _encoded(
    context: Context, request: Request, targets: Sequence[Target], inputs: Sequence[Sequence[Input]]
) -> list[EncodeResult]:
    """All of them, at once; if one fails, the others are dropped."""
    priority, timeout_s, size = terms_of(request, context.settings)
    tasks = [
        asyncio.ensure_future(
            target.encode(context, given, timeout_s=timeout_s, priority=priority, size=size)
        )
        for target, given in zip(targets, inputs, strict=True)
    ]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _to_json(results: Sequence[EncodeResult], encoding: vectors.Encoding) -> bytes:
    blocks = [vectors.to_json(described(result), result.quantized, encoding) for result in results]
    return b'{"blocks":[' + b",".join(blocks) + b"]}"
