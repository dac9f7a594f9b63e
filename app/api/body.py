"""Reads a request body, bounded in bytes and in time, before anything is parsed.

Works on what arrives, so a chunked body and one with a Content-Length are bounded alike.
"""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.errors import BodyTimeout, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from app.settings import Settings

__all__ = ["ClientDisconnect", "read_json_body"]


async def read_json_body(request: Request, settings: Settings) -> bytes:
    """The body as it came.

    Raises:
        UnsupportedMediaType: it is not JSON, or compressed.
        PayloadTooLarge, BodyTimeout: over the limits.
        ClientDisconnect: the client left before the end.
    """
    _check_headers(request)
    limit = settings.max_body_bytes
    if _declared_bytes(request) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise BodyTimeout(
            f"the body did not arrive within {settings.body_timeout_s:g} s (ENCODERY_BODY_TIMEOUT_S)",
            code="body_timeout",
        ) from None
    return bytes(body)


def _check_headers(request: Request) -> None:
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


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the body is larger than {limit} bytes (ENCODERY_MAX_BODY_BYTES); send fewer inputs per request",
        code="body_too_large",
    )
