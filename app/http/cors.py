"""Which pages of other origins may read the answers of this server: none, unless a setting names them.

https://fetch.spec.whatwg.org/#http-cors-protocol. Credentials of a browser (cookies) are never allowed: this
server knows none, and a page that has a key sends it itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi import Request, Response

from app.setting_types import ANY_ORIGIN, LOCAL_ORIGINS, listed

MAX_AGE_S = 600
_METHODS = b"GET, HEAD, POST"
_HERE = ("localhost", "127.0.0.1", "0.0.0.0", "[::1]")  # noqa: S104 - pages say so, nothing listens
_LOCAL = (
    *(f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in _HERE for port in ("", ":*")),
    *(f"{scheme}://*" for scheme in ("app", "tauri", "vscode-webview", "vscode-file")),  # desktop programs
    *("file://", "file://*"),
)
_EXPOSED = b", ".join(
    [
        *(
            b"X-Request-ID",
            b"X-Model-Version",
            b"X-Embedding-Space",
            b"X-Embedding-Shape",
            b"X-Embedding-Type",
        ),
        *(b"X-Embedding-Warnings", b"X-Embedding-Cached", b"Server-Timing", b"Retry-After"),
    ]
)


class Cors:
    """The origins that are allowed.

    Args:
        origins: each as a browser sends it, `https://shop.example`, with `*` for any part of it; the word
            `local` for the pages and programs of this machine; or `*` for all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        written = [one for origin in origins for one in (_LOCAL if origin == LOCAL_ORIGINS else (origin,))]
        self._origins = frozenset(one.encode() for one in written)
        self._patterns = [_pattern(one) for one in written if ANY_ORIGIN in one]
        self._allows_any = ANY_ORIGIN.encode() in self._origins

    def allows(self, origin: bytes) -> bool:
        """Tell whether its pages may ask."""
        return (
            self._allows_any
            or origin in self._origins
            or any(pattern.fullmatch(origin) for pattern in self._patterns)
        )

    def preflight(self, request: Request) -> Response | None:
        """Answer a browser that asks before it sends a request; None for any other request."""
        headers = dict(request.scope["headers"])
        if request.scope["method"] != "OPTIONS" or b"access-control-request-method" not in headers:
            return None
        response = Response(status_code=204)
        response.raw_headers += [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", headers.get(b"access-control-request-headers", b"*")),
            (b"access-control-max-age", b"%d" % MAX_AGE_S),
        ]
        return response

    def add_headers(self, request: Request, response: Response) -> None:
        """Say that the page which asks may read the answer, if it may."""
        if not self._allows_any:
            response.raw_headers.append((b"vary", b"Origin"))
        origin = dict(request.scope["headers"]).get(b"origin")
        if origin is None or not self.allows(origin):
            return
        allowed = ANY_ORIGIN.encode() if self._allows_any else origin
        response.raw_headers += [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED),
        ]


def _pattern(origin: str) -> re.Pattern[bytes]:
    """A pattern of which each `*` is at least one character of one host or port."""
    return re.compile(re.escape(origin).replace(r"\*", "[^/@]+").encode("latin-1"))


LOCAL = Cors([LOCAL_ORIGINS])


def cors_of(origins: str) -> Cors | None:
    """Read the setting: origins with commas between them; None for none."""
    given = listed(origins)
    return Cors(given) if given else None
