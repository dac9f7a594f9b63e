"""GET /info: the default model and the limits, in TEI's words."""

from __future__ import annotations

from fastapi import Response

from app.api import health
from app.api.protocols.base import json_response
from app.api.protocols.tei.protocol import TEI
from app.http.context import Ctx


@TEI.get("/info", "The default model and the limits")
async def info(context: Ctx) -> Response:
    """What TEI's /info says, of the default model."""
    settings = context.settings
    manifest = context.registry.find(settings.default_model).manifest
    return json_response(
        {
            "model_id": manifest.name,
            "model_sha": manifest.digest,
            "model_dtype": "float32",
            "served_model_name": manifest.name,
            "model_type": {"embedding": {"pooling": "in the graph"}},
            "max_concurrent_requests": settings.max_queue_items,
            "max_input_length": manifest.max_length,
            "max_batch_tokens": settings.batch_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_items,
            "auto_truncate": False,
            "tokenization_workers": settings.threads,
            "version": health.running_version(),
            "sha": None,
            "docker_label": None,
        }
    )
