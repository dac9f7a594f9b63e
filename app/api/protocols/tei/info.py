"""GET /info: the default model and the limits, in TEI's words; GET /ping: is the server ready."""

from __future__ import annotations

from fastapi import Response

from app.api import health
from app.api.protocols.base import json_response
from app.api.protocols.tei.protocol import TEI
from app.engine import NotReady
from app.http.context import Ctx
from app.shared.versions import running_version


@TEI.get("/info", "The default model and the limits")
async def info(context: Ctx) -> Response:
    """What TEI's /info says, of the default model."""
    settings = context.settings
    manifest = context.registry.find(context.default_model).manifest
    return json_response(
        {
            "model_id": manifest.name,
            "model_sha": manifest.digest,
            "model_dtype": "float32",
            "served_model_name": manifest.name,
            # One of four words there. How a graph pools is not told by its bundle; this is the commonest way.
            "model_type": {"embedding": {"pooling": "mean"}},
            "max_concurrent_requests": settings.max_queue_items,
            "max_input_length": manifest.max_length,
            "max_batch_tokens": settings.batch_tokens or settings.max_queue_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_items,
            "auto_truncate": settings.auto_truncate,
            "tokenization_workers": settings.threads,
            "version": running_version(),
            "sha": None,
            "docker_label": None,
        }
    )


@TEI.get("/ping", "Is the server ready", access="open")
async def ping(context: Ctx) -> Response:
    """200 without a body, or 503: what /health/ready says, where SageMaker asks."""
    if reasons := [*health.not_live(context), *health.not_ready(context)]:
        raise NotReady("the server is not ready; GET /health/ready says why", health.retry_after_s(reasons))
    return Response(media_type="text/plain")
