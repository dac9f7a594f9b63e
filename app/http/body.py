"""Reads a request body, bounded in bytes and in time, before anything is parsed.

Works on what arrives, so a chunked body and one with a Content-Length are bounded alike; and one that is
compressed is bounded twice, as it comes and as it is expanded, whatever route it is for.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Literal, TypeAlias

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.http.context import Context
from app.http.decoding import Coding, coding_of, expanded
from app.http.errors import BodyTimeout, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from app.http.request import DirectRequest
from app.http.room import Room
from app.settings import PREFIX, Settings

__all__ = ["ClientDisconnect", "read_json_body"]

Limit: TypeAlias = Literal["max_body_bytes", "max_media_body_bytes", "max_score_body_bytes"]


async def read_json_body(context: Context, request: Request, limit: Limit = "max_body_bytes") -> bytes:
    """The body, if it says that it is JSON. Raises UnsupportedMediaType, and as `read_body` does."""
    _check_type(request)
    return await read_body(context, request, limit)


async def read_body(context: Context, request: Request, limit: Limit = "max_body_bytes") -> bytes:
    """The body, expanded if it came compressed. `limit` is the setting that bounds it.

    Raises:
        UnsupportedMediaType: it is compressed in a way that is not known here.
        MalformedRequest: it is not what its head says.
        PayloadTooLarge, BodyTimeout: over the limits.
        NoRoom: others' bodies take the memory for them.
        ClientDisconnect: the client left before the end.
    """
    coding = coding_of(request.headers.get("content-encoding", ""))  # before all of it is read
    body = await _read(context, request, limit)
    return body if coding is None else await _expanded(context, request, limit, body, coding)


async def _expanded(context: Context, request: Request, limit: Limit, body: bytes, coding: Coding) -> bytes:
    """What a compressed body stands for; it counts beside the body itself."""
    left = int(getattr(context.settings, limit))

    def take(size: int) -> None:
        nonlocal left
        left -= size
        if left < 0:
            raise _too_large(context.settings, limit, f"the {coding} body stands for more than")
        context.room.take(request.scope, size)

    return await expanded(body, coding, take)


async def _read(context: Context, request: Request, limit: Limit) -> bytes:
    """The body as it came."""
    settings, room = context.settings, context.room
    most = int(getattr(settings, limit))
    if (declared := _declared_bytes(request)) > most:
        raise _too_large(settings, limit)
    if isinstance(request, DirectRequest) and (arrived := request.arrived()) is not None:
        if len(arrived) > most:
            raise _too_large(settings, limit)
        room.take(request.scope, len(arrived))
        return arrived
    room.check(request.scope, declared)
    clock = asyncio.timeout(settings.body_timeout_s)
    with room.arriving(request.scope, lambda: clock.reschedule(0)) as arriving:
        try:
            async with clock:
                return await _received(request, room, settings, limit)
        except TimeoutError:
            raise _too_slow(settings.body_timeout_s, is_given_up=arriving.is_given_up) from None


async def _received(request: Request, room: Room, settings: Settings, limit: Limit) -> bytes:
    body, most = bytearray(), int(getattr(settings, limit))
    async for chunk in request.stream():
        room.take(request.scope, len(chunk))
        body += chunk
        if len(body) > most:
            raise _too_large(settings, limit)
    return bytes(body)


def _check_type(request: Request) -> None:
    if not is_json(request.headers.get("content-type", "application/json")):
        raise UnsupportedMediaType(
            "the body must be JSON in UTF-8; send the header Content-Type: application/json",
            code="unsupported_media_type",
        )


@lru_cache(maxsize=64)  # clients send few different ones, over and over
def is_json(content_type: str) -> bool:
    """Tell whether a body of that type is JSON in UTF-8."""
    name, _, parameters = content_type.lower().partition(";")
    name = name.strip()
    charset = parameters.replace(" ", "").replace('"', "")
    return (name == "application/json" or (name.startswith("application/") and name.endswith("+json"))) and (
        not charset.startswith("charset=") or charset in ("charset=utf-8", "charset=utf8")
    )


@lru_cache(maxsize=64)  # clients send few different ones, over and over
def essence(content_type: str) -> str:
    """The media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "0").strip(" \t")
    if not declared.isdecimal():
        raise MalformedRequest("Content-Length is a number of bytes", code="invalid_headers")
    return int(declared)


def _too_slow(most_s: float, *, is_given_up: bool) -> BodyTimeout:
    if is_given_up:
        why = "the body was on its way while others needed its room (ENCODERY_MAX_BODIES_BYTES)"
    else:
        why = f"the body did not arrive within {most_s:g} s (ENCODERY_BODY_TIMEOUT_S)"
    return BodyTimeout(why, code="body_timeout")


def _too_large(settings: Settings, limit: Limit, what: str = "the body is larger than") -> PayloadTooLarge:
    return PayloadTooLarge(
        f"{what} {getattr(settings, limit)} bytes ({PREFIX}{limit.upper()}); send fewer inputs per request",
        code="body_too_large",
    )
