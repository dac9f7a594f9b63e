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
from app.http.errors import Forbidden
from app.http.routes import Route

_UNASKED = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_origin(context: Context, route: Route, request: Request) -> None:
    """Raise Forbidden for a POST of a foreign page that needed no leave."""
    if request.scope["method"] != "POST" or (origin := request.headers.get("origin")) is None:
        return
    content_type = request.headers.get("content-type") or ""
    if content_type.partition(";")[0].strip().lower() not in _UNASKED:
        return
    if _is_own(origin, request.headers.get("host") or ""):
        return
    if context.cors is not None and context.cors.allows(origin.encode("latin-1")):
        return
    raise Forbidden(
        "a page of another origin may not send this; name its origin in ENCODERY_CORS_ORIGINS, "
        "and send Content-Type: application/json",
        code="foreign_origin",
    )


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
