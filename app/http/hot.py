"""The routes that decide throughput: plain functions, answered before FastAPI's router is asked.

FastAPI's layers, routing and dependencies cost about 0.2 ms of CPU a request, more than all the rest of a
request for a small encoder. A hot route goes around them, called by `app.http.connection`; it is
declared to FastAPI all the same, which documents it, refuses other methods, and serves it by the
same function under a proxy's path prefix.

    routes = HotRoutes()

    @routes.post("/encode", summary=..., openapi_extra=..., responses=...)
    async def encode(context: Context, request: Request) -> Response: ...

A protocol mounts by adding its module's `routes` to `HOT` in `app.main`. Errors that the function raises
become answers by `app.http.errors`; a protocol with error bodies of its own gives its own `answer`.
Paths are literal: one with parameters belongs on a FastAPI router.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.http import errors
from app.http.context import Context, Ctx

CLIENT_LEFT = 499  # nobody reads it; it tells the metrics what happened

Handler: TypeAlias = Callable[[Context, Request], Awaitable[Response]]
ErrorAnswer: TypeAlias = Callable[[BaseException], Response]


@dataclass(frozen=True, slots=True)
class HotRoute:
    """One of them; `path` is what the metrics call it."""

    path: str
    handler: Handler
    error: ErrorAnswer

    async def respond(self, context: Context, request: Request) -> Response:
        """The answer, whatever happens."""
        try:
            return await self.handler(context, request)
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)
        except Exception as error:  # the rim of a hot route, as FastAPI's handlers are of the others
            return self.error(error)


class HotRoutes:
    """The hot routes of one protocol.

    Args:
        error: turns what a handler raises into an answer.

    Attributes:
        router: declares them to FastAPI.
    """

    def __init__(self, error: ErrorAnswer = errors.answer) -> None:
        self._error = error
        self.routes: list[HotRoute] = []
        self.router = APIRouter()

    def post(self, path: str, **documentation: Any) -> Callable[[Handler], Handler]:
        """Register the function for POST; `documentation` is what FastAPI's `post` takes."""

        def register(handler: Handler) -> Handler:
            route = HotRoute(path, handler, self._error)
            self.routes.append(route)
            self.router.add_api_route(
                path,
                partial(_respond, route),
                methods=["POST"],
                response_class=Response,
                name=handler.__name__,
                description=inspect.getdoc(handler),
                **documentation,
            )
            return handler

        return register


async def _respond(route: HotRoute, request: Request, context: Ctx) -> Response:
    return await route.respond(context, request)


class HotPaths:
    """All hot routes in a table by path, for `app.http.connection`; and an ASGI application of them.

    Args:
        app: has the context in its state.
        protocols: whose routes they are.
    """

    def __init__(self, app: FastAPI, protocols: tuple[HotRoutes, ...]) -> None:
        self._app = app
        self._routes = {route.path: route for protocol in protocols for route in protocol.routes}
        self._by_bytes = {path.encode(): route for path, route in self._routes.items()}

    @property
    def context(self) -> Context:
        """Of the app, once it has started."""
        return cast(Context, self._app.state.context)

    def find(self, method: bytes, path: bytes) -> HotRoute | None:
        """The route of a request line."""
        return self._by_bytes.get(path) if method == b"POST" else None

    def __contains__(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["route"] = self._routes[scope["path"]]
        response = await route.respond(self.context, Request(scope, receive))
        await response(scope, receive, send)
