"""Reads a request body, bounded in bytes and in time, before anything is parsed.

Works on what arrives, so a chunked body and one with a Content-Length are bounded alike.
"""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.errors import BodyTimeout, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from app.settings import PREFIX, Settings

__all__ = ["ClientDisconnect", "read_json_body"]

Limit: TypeAlias = Literal["max_body_bytes", "max_score_body_bytes"]


async def read_json_body(request: Request, settings: Settings, limit: Limit = "max_body_bytes") -> bytes:
    """The body, if it says that it is JSON. Raises UnsupportedMediaType, and as `read_body` does."""
    _check_type(request)
    return await read_body(request, settings, limit)


async def read_body(request: Request, settings: Settings, limit: Limit = "max_body_bytes") -> bytes:
    """The body as it came. `limit` is the setting that bounds it.

    Raises:
        UnsupportedMediaType: it is compressed.
        PayloadTooLarge, BodyTimeout: over the limits.
        ClientDisconnect: the client left before the end.
    """
    _check_encoding(request)
    most = int(getattr(settings, limit))
    if _declared_bytes(request) > most:
        raise _too_large(most, limit)
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_large(most, limit)
    except TimeoutError:
        raise BodyTimeout(
            f"the body did not arrive within {settings.body_timeout_s:g} s (ENCODERY_BODY_TIMEOUT_S)",
            code="body_timeout",
        ) from None
    return bytes(body)


def _check_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "application/json")
    essence, _, parameters = content_type.lower().partition(";")
    essence = essence.strip()
    is_json = essence == "application/json" or (
        essence.startswith("application/") and essence.endswith("+json")
    )
    charset = parameters.replace(" ", "").replace('"', "")
    if not is_json or (charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8")):
        raise UnsupportedMediaType(
            "the body must be JSON in UTF-8; send the header Content-Type: application/json",
            code="unsupported_media_type",
        )


def _check_encoding(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType(
            "compressed bodies are not read; send it without Content-Encoding",
            code="unsupported_content_encoding",
        )


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal():
        raise MalformedRequest("Content-Length is a number of bytes", code="invalid_headers")
    return int(declared)


def _too_large(most: int, limit: Limit) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the body is larger than {most} bytes ({PREFIX}{limit.upper()}); send fewer inputs per request",
        code="body_too_large",
    )
