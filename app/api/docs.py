"""GET /docs: Swagger UI from our own disk. FastAPI's default loads it from a CDN: a blank page offline.

The files under static/swagger are npm's swagger-ui-dist 5.35.0, unchanged (Apache-2.0).
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

ASSETS = Path(__file__).parent.parent / "static" / "swagger"


def install(app: FastAPI) -> None:
    """Add the page and its two assets."""
    app.add_route("/docs", _page, include_in_schema=False)
    app.mount("/docs/assets", StaticFiles(directory=ASSETS), name="docs-assets")


async def _page(request: Request) -> Response:
    root = request.scope.get("root_path", "").rstrip("/")
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="Encodery",
        swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
        swagger_favicon_url="data:,",  # none; the default is on somebody else's server
        swagger_ui_parameters={"validatorUrl": None},  # or the page sends our document to swagger.io
    )
