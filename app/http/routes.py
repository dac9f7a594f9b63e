"""Which route a request is for, in one table; and how the modules of `app.api` declare theirs.

    routes = RouteGroup()

    @routes.post("/encode", admission=admit, summary=..., openapi_extra=..., responses=...)
    async def encode(context: Context, request: Request) -> Response: ...

    @routes.get("/health", summary=...)
    async def health(context: Ctx) -> Health: ...

A POST route is called directly: FastAPI's dependencies and layers cost about 0.2 ms of CPU a request, more
than all the rest of a request for a small encoder. A GET route is FastAPI's. FastAPI documents both.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal, TypeAlias, cast

from fastapi import APIRouter, FastAPI, Request, Response
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, Mount
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Scope

from app.access import Scope as KeyScope
from app.http import errors
from app.http.context import Context
from app.http.framework import by_fastapi
from app.http.hints import is_under, kinship, nearest_path

UNMATCHED = "unmatched"  # what the metrics call all paths at which there is nothing

Handler: TypeAlias = Callable[[Context, Request], Awaitable[Response]]
ErrorAnswer: TypeAlias = Callable[[BaseException], Response]
Admission: TypeAlias = Callable[[Context, Request], None]
Access: TypeAlias = Literal["open", "optional", "any"] | KeyScope


@dataclass(frozen=True, slots=True)
class Route:
    """The destination of a request.

    Attributes:
        path: as it was declared; what the metrics call the route.
        handler: answers, or raises.
        error: turns what was raised into an answer, in the shape of the route's protocol.
        admission: raises by the head of a request what its body would meet; None where nothing is encoded.
        access: the scope that a key needs; `any` for any key, `open` for none, `optional` for one that may
            be left out, so that less is told.
    """

    path: str
    handler: Handler
    error: ErrorAnswer = errors.answer
    admission: Admission | None = None
    access: Access = "any"


class RouteGroup:
    """The routes that answer errors in one shape: those of a protocol, or of a module.

    Args:
        error: turns what a handler raises into an answer.
        root: the path under which errors have that shape where there is nothing, too.
        absent: what is told at paths of the protocol that are not had, by patterns of the shell.

    Attributes:
        router: declares the routes to FastAPI.
        direct: those that are called without FastAPI, by method and path.
        access: what a key needs for those that are called by FastAPI, by path.
    """

    def __init__(
        self,
        error: ErrorAnswer = errors.answer,
        root: str | None = None,
        absent: Mapping[str, str] | None = None,
    ) -> None:
        self.error, self.root, self.absent = error, root, dict(absent or {})
        self.router = APIRouter()
        self.direct: dict[tuple[str, str], Route] = {}
        self.access: dict[str, Access] = {}

    def get(
        self, path: str, *, access: Access = "any", **documentation: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a function as FastAPI calls it; `documentation` is what FastAPI's `get` takes."""
        self.access[path] = access
        return self.router.get(path, **documentation)

    def post(
        self,
        path: str,
        *,
        method: str = "POST",
        access: Access = "encode",
        admission: Admission | None = None,
        error: ErrorAnswer | None = None,
        **documentation: Any,
    ) -> Callable[[Handler], Handler]:
        """Register a handler for POST, or another method whose requests have a body.

        `documentation` is what FastAPI's `post` takes.
        Its errors are answered as the group's are, or by an `error` of its own.
        """

        def register(handler: Handler) -> Handler:
            self.direct[method, path] = Route(path, handler, error or self.error, admission, access)
            self.router.add_api_route(
                path,
                _called_directly,
                methods=[method],
                response_class=Response,
                name=handler.__name__,
                description=inspect.getdoc(handler),
                **documentation,
            )
            return handler

        return register

    def mount(self, path: str, files: ASGIApp) -> None:
        """Serve files under a path."""
        self.router.mount(path, files)


async def _called_directly() -> None:
    """Stand for a direct route in FastAPI's document; FastAPI is never asked to call it."""


class Routes:
    """The table of an app's routes, which are declared to it here.

    Args:
        app: has its own for the OpenAPI document.
        groups: all others.
    """

    def __init__(self, app: FastAPI, groups: Sequence[RouteGroup]) -> None:
        self._literal: dict[str, dict[str, Route]] = {}
        self._templated: list[tuple[BaseRoute, Route]] = []
        self._declared: dict[str, list[str]] = {}  # methods by path, and how each path answers errors
        self._errors: dict[str, ErrorAnswer] = {}
        self._absent = [(*told, group.error) for group in groups for told in group.absent.items()]
        self._roots = {group.root: group.error for group in groups if group.root is not None}
        own = RouteGroup()
        own.router.routes.extend(app.router.routes)
        for group in (own, *groups):
            for declared in group.router.routes:
                self._add(app, declared, group)
        app.router.routes.extend(declared for group in groups for declared in group.router.routes)

    def _add(self, app: FastAPI, declared: BaseRoute, group: RouteGroup) -> None:
        path = _path(declared)
        access = group.access.get(path, "any")
        indirect = Route(path, partial(by_fastapi, app, declared), group.error, access=access)
        shown = path.replace(":path}", "}")
        self._declared.setdefault(shown, []).extend(sorted(_methods(declared)))
        self._errors[shown] = group.error
        for method in _methods(declared):
            route = group.direct.get((method, path), indirect)
            if isinstance(declared, Mount) or "{" in path:
                self._templated.append((declared, route))
            else:
                self._literal.setdefault(path, {})[method] = route

    def find(self, scope: Scope) -> Route:
        """Return the route of a request, or one that raises 404 or 405; put a path's parameters into `scope`.

        HEAD goes where GET goes.
        """
        path: str = get_route_path(scope) if scope.get("root_path") else scope["path"]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if (by_method := self._literal.get(path)) is None:
            return self._find_templated(scope, path, method)
        return by_method.get(method) or _wrong_method(by_method.values(), by_method)

    def _find_templated(self, scope: Scope, path: str, method: str) -> Route:
        others: dict[str, Route] = {}
        sought = {**scope, "method": method}
        for declared, route in self._templated:
            match, found = declared.matches(sought)
            if match is Match.FULL:
                scope.update(found)
                return route
            if match is Match.PARTIAL:
                others |= dict.fromkeys(_methods(declared), route)
        if others:
            return _wrong_method(others.values(), others)
        return self._unmatched(path)

    def _unmatched(self, path: str) -> Route:
        """Return a route that raises 404 with the path that was meant, in the shape of its kin."""
        for pattern, why, answer in self._absent:
            if fnmatchcase(path, pattern):
                return Route(UNMATCHED, _raising(errors.UnknownPath(why)), answer)
        meant = nearest_path(path, self._declared)
        hint = f"did you mean {' or '.join(self._declared[meant])} {meant}? " if meant else ""
        told = f"there is nothing at this path; {hint}/docs lists what there is"
        error = errors.UnknownPath(told)
        return Route(UNMATCHED, _raising(error), self._answer_of(path, meant))

    def _answer_of(self, path: str, meant: str | None) -> ErrorAnswer:
        """Return how the kin of a path that is not there answers errors: what was meant, or is above it."""
        root = next((one for one in self._roots if is_under(path, one)), None)
        if root is not None:
            return self._errors[meant] if meant and is_under(meant, root) else self._roots[root]
        kin = meant or max(self._declared, key=lambda one: kinship(path, one))
        return self._errors[kin] if kinship(path, kin)[0] else errors.answer


def _wrong_method(routes: Iterable[Route], methods: Iterable[str]) -> Route:
    """Return a route that raises 405 in the shape of the path's other routes."""
    one, takes = next(iter(routes)), sorted(methods)
    allowed = {*takes} | ({"HEAD"} if "GET" in takes else set())
    error = errors.WrongMethod(
        f"this path takes {' or '.join(takes)} and no other method; /docs shows an example to try",
        allow=", ".join(sorted(allowed)),
    )
    return Route(one.path, _raising(error), one.error)


def _raising(error: Exception) -> Handler:
    async def handler(context: Context, request: Request) -> Response:
        raise error

    return handler


def _path(declared: BaseRoute) -> str:
    return cast("StarletteRoute | Mount", declared).path


def _methods(declared: BaseRoute) -> set[str]:
    """Return the methods without HEAD, which goes where GET goes; of files, that is all there is."""
    return (getattr(declared, "methods", None) or {"GET"}) - {"HEAD"}
