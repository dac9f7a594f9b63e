"""Lets FastAPI handle a request by one of its routes, and gives what it sends as a response.

Without FastAPI's and Starlette's middlewares: errors are the business of `app.http.pipeline`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.routing import BaseRoute
from starlette.types import Message

from app.http.context import Context
from app.http.errors import InvalidRequest


async def by_fastapi(app: FastAPI, declared: BaseRoute, context: Context, request: Request) -> Response:
    """Return what the route answers, HEAD like GET. Raises what the route raises, and InvalidRequest."""
    scope = {**request.scope, "app": app, "router": app.router, "extensions": {}}
    if scope["method"] == "HEAD":
        scope["method"] = "GET"
    sent = _Sent()
    async with AsyncExitStack() as files:
        scope["fastapi_middleware_astack"] = files  # which FastAPI asserts to be there
        try:
            await declared.handle(scope, request.receive, sent.send)
        except RequestValidationError as error:
            raise _invalid(error) from None
    return sent.response()


def _invalid(error: RequestValidationError) -> InvalidRequest:
    """What is wrong with a parameter of the path or of the query, without what was sent."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return InvalidRequest(f"{name}: {first['msg']}", code="invalid_value", param=name)


class _Sent:
    """What an ASGI application sent."""

    def __init__(self) -> None:
        self._start: Message = {}
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._body += message.get("body", b"")

    def response(self) -> Response:
        """Return it whole, with its length."""
        response = Response(bytes(self._body), self._start["status"])
        response.raw_headers += [
            (name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"
        ]
        return response
