"""GET /docs: Swagger UI from our own disk. FastAPI's default loads it from a CDN: a blank page offline.

The files under static/swagger are npm's swagger-ui-dist 5.35.0, unchanged (Apache-2.0).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

from app.api.health import running_version
from app.http.routes import RouteGroup

ASSETS = Path(__file__).parent.parent / "static" / "swagger"

POLICY = (  # of the page: nothing from elsewhere, and no frame around it; its script stands in the page
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)

routes = RouteGroup()
routes.mount("/docs/assets", StaticFiles(directory=ASSETS))


@routes.get("/", access="open", include_in_schema=False)
async def root() -> Response:
    """Say what this is, to people and to probes that ask for no more."""
    return Response(f"Encodery {running_version()}; /docs lists what there is\n", media_type="text/plain")


@routes.get("/openapi.json", include_in_schema=False)
async def document(request: Request) -> Response:
    """The OpenAPI document; a thread makes it, the first time in a third of a second."""
    content = await asyncio.to_thread(request.app.written, _root_path(request))
    return Response(content, media_type="application/json")


@routes.get("/docs", include_in_schema=False)
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
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _root_path(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
