"""Refuses what a page of another origin could make a browser send without asking this server first.

A browser asks before it sends JSON to another origin, and a server that allows nobody ends it there. It does
not ask for a body of text or of a form: such a page could have a server behind a firewall, or on its reader's
machine, encode for it, and see how long that took. Who sends no Origin is no page.
https://fetch.spec.whatwg.org/#cors-safelisted-request-header
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from fastapi import Request

from app.http.context import Context
from app.http.cors import LOCAL
from app.http.errors import Forbidden
from app.http.hosts import check_host, is_local_alone
from app.http.routes import Route

_UNASKED = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_origin(context: Context, route: Route, request: Request) -> None:
    """Raise Forbidden for what a foreign page sends without leave, and for a request under a foreign name.

    On a server that listens to this machine alone that is whatever a foreign page sends: it is there for
    nobody else's.
    """
    check_host(context.settings, request)
    if (origin := request.headers.get("origin")) is None:
        return
    host = request.headers.get("host") or ""
    if _is_own(origin, host) or (context.cors is not None and context.cors.allows(origin.encode("latin-1"))):
        return
    if _is_unasked(request) or (
        is_local_alone(context.settings, request)
        and request.scope["method"] != "OPTIONS"  # a preflight, which is told no by a 405
        and not LOCAL.allows(origin.encode("latin-1"))
    ):
        raise Forbidden(
            "a page of another origin may not send this; name its origin in ENCODERY_CORS_ORIGINS, "
            "and send Content-Type: application/json",
            code="foreign_origin",
        )


def _is_unasked(request: Request) -> bool:
    """Tell whether a browser sends it without a preflight."""
    content_type = request.headers.get("content-type") or ""
    return request.scope["method"] == "POST" and content_type.partition(";")[0].strip().lower() in _UNASKED


@lru_cache(maxsize=64)
def _is_own(origin: str, host: str) -> bool:
    """Tell whether a page came from the host that it asks; behind a proxy the scheme may be another one."""
    try:
        place = urlsplit(origin)
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(place.scheme)
    if port is None:
        return False
    return place.netloc.lower().removesuffix(port) == host.lower().removesuffix(port) != ""
