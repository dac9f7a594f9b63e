"""Who asks: a secret in the head of a request, found before its body is read.

    Authorization: Bearer SECRET | X-API-Key: SECRET | api-key: SECRET

Without keys everybody may ask for everything. What a route needs is declared where it is registered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import Request

from app.access import CALLER, NOBODY, Caller
from app.http.context import Context
from app.http.errors import Forbidden, Unauthorized
from app.http.hosts import is_local_alone
from app.http.routes import Route, Routes

_BEARER = b"bearer "


def check_key(context: Context, route: Route, request: Request) -> None:
    """Let in who may ask for the route, and remember who it is.

    Raises:
        Unauthorized: there is no key, or it is nobody's.
        Forbidden: the key may not do this.
        RateLimited: it has had what it may.
    """
    gate = context.gate
    if gate is None or route.access == "open":
        CALLER.set(NOBODY)
        if route.access == "admin" and not is_local_alone(context.settings, request):
            raise Forbidden(
                "without keys this is open on a server that listens to this machine alone; elsewhere it "
                "needs a key with the scope admin (ENCODERY_KEYS_FILE)",
                code="admin_only",
            )
        return
    shown = list(dict.fromkeys(_secrets(request.scope["headers"])))
    if not shown and route.access == "optional":
        CALLER.set(NOBODY)
        return
    caller = gate.find(shown)
    CALLER.set(caller or NOBODY)
    try:
        _check(caller, route)
    except (Unauthorized, Forbidden) as error:
        client, name = request.client, caller.key.name if caller else ""
        address = client.host if client else "local"
        gate.refusals.note(client=address, caller=name, reason=error.code, route=route.path)
        raise
    if caller is not None and caller.rates is not None:
        caller.rates.admit()


def check_key_again(context: Context) -> None:
    """Raise Unauthorized for a caller whose key was taken away while his request is answered."""
    if context.gate is not None and not context.gate.still_has(CALLER.get()):
        raise Unauthorized("the key was taken away", code="invalid_api_key")


def _check(caller: Caller | None, route: Route) -> None:
    if caller is None:
        raise Unauthorized(
            "send a key of this server, in the header Authorization: Bearer KEY, or in X-API-Key",
            code="invalid_api_key",
        )
    if route.access not in ("any", "optional") and not caller.key.may(route.access):
        raise Forbidden(
            f"this path needs the scope {route.access}, which the key has not", code="missing_scope"
        )


def _secrets(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for name, value in headers:
        if name in (b"x-api-key", b"api-key"):
            yield value.strip()
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            yield value[len(_BEARER) :].strip()


_SCHEMES: Mapping[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_REFUSALS: Mapping[str, str] = {
    "401": "No key of this server",
    "403": "The key may not do this",
    "429": "The key has had what it may",
}


def declare_keys(document: dict[str, Any], table: Routes) -> None:
    """Say in the API's document which operations need a key, where, and what is answered without one."""
    document.setdefault("components", {})["securitySchemes"] = dict(_SCHEMES)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = {"type": "http", "method": method.upper(), "path": path}
            if (access := table.find(scope).access) != "open":
                none: list[dict[str, Any]] = [{}] if access == "optional" else []
                operation["security"] = [*({name: []} for name in _SCHEMES), *none]
                for status, meaning in _REFUSALS.items():
                    if "4XX" not in operation["responses"]:
                        operation["responses"].setdefault(status, {"description": meaning})
