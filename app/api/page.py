"""GET /: a page to try the server with, for whoever accepts HTML; for others a line of text.

The page is plain HTML, CSS and ES modules under static/page, served as they lie there. It asks the public
routes and nothing else, with a key that its reader types in, so it is open where there are keys.
"""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from pathlib import Path

from fastapi import Request, Response
from fastapi.staticfiles import StaticFiles

from app.api.docs import HEADERS
from app.api.vectors import quality_of
from app.http.context import Ctx
from app.http.routes import RouteGroup
from app.shared.versions import running_version

ASSETS = Path(__file__).parent.parent / "static" / "page"
FILES = tuple(
    path.relative_to(ASSETS).as_posix()
    for path in sorted(ASSETS.rglob("*.*"))
    if path.suffix in (".js", ".css")
)
FRESH = {"Cache-Control": "no-cache"}  # asked for anew each time, and answered by 304: modules never mix

# Scripts and styles are files of ours, none stands in the page; pictures may be those that a reader chose.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src data: blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


routes = RouteGroup()
_files = StaticFiles(directory=ASSETS)


def _serve(name: str) -> None:
    """Declare a file of the page, so that no path is open that is not one of them."""

    @routes.get(f"/page/{name}", access="open", include_in_schema=False)
    async def file(request: Request) -> Response:
        response = await _files.get_response(name, request.scope)
        response.headers.update(FRESH)
        return response


for _name in FILES:
    _serve(_name)


@routes.get("/", access="open", include_in_schema=False)
async def root(context: Ctx, request: Request) -> Response:
    """Show the page to people; say what this is to probes that ask for no more."""
    if not takes_html(request.headers.get("accept", "")):
        pointer = "/docs lists what there is" + ("" if context.gate is None else ", to who shows a key")
        line = f"Encodery {running_version()} is running; {pointer}\n"
        return Response(line, media_type="text/plain", headers={"Vary": "Accept"})
    content = _page(str(request.scope.get("root_path", "")).rstrip("/"))
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = HEADERS | FRESH | {"Content-Security-Policy": POLICY, "Vary": "Accept", "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/html", headers=headers)


def takes_html(accept: str) -> bool:
    """Tell whether a caller names HTML among what it takes, as browsers do; curl's */* is no wish for it."""
    return any(name == "text/html" and quality > 0 for name, quality in map(quality_of, accept.split(",")))


@cache
def _source() -> str:
    return (ASSETS / "index.html").read_text(encoding="utf-8").replace("{version}", escape(running_version()))


def _page(root_path: str) -> bytes:
    """The page for a server under a prefix of paths."""
    return _source().replace("{root}", escape(root_path)).encode()
