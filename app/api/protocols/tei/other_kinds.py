"""The routes of models of another kind, which answer as TEI does where its model is of another one."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from app.api.protocols.base import ForeignRequest
from app.api.protocols.tei.protocol import TEI
from app.http.context import Context


class OtherRequest(ForeignRequest):
    """What a model of another kind takes; not looked at."""

    encodes, is_work, access = False, False, "any"


def _cannot(message: str) -> Any:
    """A handler that answers as TEI does for a model of another kind."""

    async def refuse(context: Context, request: Request) -> Response:
        """Never: the models of this server give one vector per input."""
        return Response(
            b'{"error":"%s","error_type":"Backend"}' % message.encode(), 424, media_type="application/json"
        )

    return refuse


for _path, _message in {
    "/embed_all": "Model gives no vector per token",
    "/embed_sparse": "Model is not an embedding model with SPLADE pooling",
    "/rerank": "model is not a re-ranker model",
    "/predict": "model is not a classifier model",
}.items():
    TEI.post(_path, OtherRequest, "Answers 424: for models of another kind")(
        _cannot(f"Backend error: {_message}")
    )
