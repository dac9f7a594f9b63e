"""GET /docs: Swagger UI from our own disk. FastAPI's default loads it from a CDN: a blank page offline.

The files under static/swagger are npm's swagger-ui-dist 5.35.0, unchanged (Apache-2.0).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from pathlib import Path

from fastapi import Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

from app.http.routes import RouteGroup

ASSETS = Path(__file__).parent.parent / "static" / "swagger"

# Of the page: nothing from elsewhere, no frame around it; of scripts only ours, and the one that is in it.
POLICY = (
    "default-src 'self'; script-src 'self' 'sha256-{script}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}  # the first for old browsers
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)

routes = RouteGroup()
routes.mount("/docs/assets", StaticFiles(directory=ASSETS))


@routes.get("/openapi.json", include_in_schema=False)
@routes.get("/api-doc/openapi.json", include_in_schema=False)  # where TEI has its own
async def document(request: Request) -> Response:
    """The OpenAPI document; a thread makes it, the first time in a third of a second."""
    content = await asyncio.to_thread(request.app.written, _root_path(request))
    return Response(content, media_type="application/json")


@routes.get("/docs", include_in_schema=False)
@routes.get("/docs/", include_in_schema=False)
async def page(request: Request) -> Response:
    """Show the OpenAPI document."""
    root_path = _root_path(request)
    response = get_swagger_ui_html(
        openapi_url=f"{root_path}/openapi.json",
        title="Encodery",
        swagger_js_url=f"{root_path}/docs/assets/swagger-ui-bundle.js",
        swagger_css_url=f"{root_path}/docs/assets/swagger-ui.css",
        swagger_favicon_url="data:,",  # none; the default is on somebody else's server
        swagger_ui_parameters={"validatorUrl": None},  # or the page sends our document to swagger.io
    )
    [script] = _SCRIPT.findall(response.body)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    response.headers.update(HEADERS | {"Content-Security-Policy": POLICY.format(script=digest)})
    return response


def _root_path(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
