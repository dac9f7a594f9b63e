"""FastAPI with our pipeline in place of its middlewares; an ASGI application for any server.

Under our own server no request comes this way: `app.http.connection` calls the pipeline itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.authentication import declare_keys
from app.http.context import Context
from app.http.pipeline import answer
from app.http.routes import RouteGroup, Routes


class Application(FastAPI):
    """The app: its routes, and once it has started its context.

    Middlewares and exception handlers of FastAPI have no effect: what they do is done by the pipeline.

    Args:
        groups: all routes.
        has_keys: the API's document says that a key is needed, and where.
        options: of FastAPI.

    Attributes:
        table: finds the route of a request.
        written: the API's document as JSON, for a server under a prefix of paths; kept for a few.
    """

    def __init__(self, groups: Sequence[RouteGroup], *, has_keys: bool = False, **options: Any) -> None:
        super().__init__(
            **options,
            openapi_url=None,  # it writes the document again for every request; ours is in app.api.docs
            docs_url=None,  # the same: ours needs no internet
            redoc_url=None,
            redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False},  # 10 us a request without any SDK
        )
        self.written = lru_cache(maxsize=16)(self._written)
        self.table = Routes(self, groups)
        self._has_keys = has_keys

    @property
    def context(self) -> Context:
        """The parts that the routes share, from the start of the app on."""
        return cast(Context, self.state.context)

    def openapi(self) -> dict[str, Any]:
        """The API's document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            if self._has_keys:
                declare_keys(document, self.table)
        return super().openapi()

    def _written(self, root_path: str) -> bytes:
        servers = {"servers": [{"url": root_path}]} if root_path else {}
        return orjson.dumps(self.openapi() | servers)

    def build_middleware_stack(self) -> ASGIApp:
        """Return what FastAPI calls with every connection."""
        return self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the lifespan; a websocket, which the router closes
            await self.router(scope, receive, send)
            return

        async def write(response: Response) -> None:
            await response(scope, receive, send)

        await answer(self.context, self.table.find(scope), Request(scope, receive), write)
