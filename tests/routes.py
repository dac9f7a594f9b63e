"""Every path that the app has, its parameters filled in, for tests that must leave none out."""

from __future__ import annotations

import re

from starlette.routing import Mount

from app.api.protocols import PROTOCOLS
from app.api.protocols.foreign import RefusedRequest
from app.http.application import Application

REFUSED = {
    row.path for one in PROTOCOLS for row in one.routes if row.request is RefusedRequest
}  # by their heads
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def paths(app: Application) -> list[str]:
    """Those of the table of routes, among which are all of the OpenAPI document."""
    found = {
        f"{route.path}/swagger-ui.css" if isinstance(route, Mount) else re.sub(r":\w+\}", "}", route.path)
        for route in app.routes
    }
    documented = app.openapi()["paths"]
    assert documented.keys() <= found
    assert len(documented) > 35
    return sorted(re.sub(r"\{(\w+)\}", _filled, path) for path in found)


def _filled(name: re.Match[str]) -> str:
    return "1" if name[1] == "version" else "text"
