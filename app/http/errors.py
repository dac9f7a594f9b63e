"""What every error becomes: one table, one body. `app.http.pipeline` is where it becomes that.

    InputError (bundle), EngineError (engine)      what an input or the engine has to say
    RateLimited (access)                           the key has had what it may
    RequestError                                   what is wrong with the request around the inputs
    ├── MalformedRequest     400  no JSON, not UTF-8, nested too deeply
    ├── SuspectHead          400  headers that could hide another request
    ├── Unauthorized         401  no key, or nobody's
    ├── Forbidden            403  the key, or a page of another origin, may not do this
    ├── UnknownPath          404  there is nothing at this path
    ├── WrongMethod          405  the path takes another method
    ├── NotAcceptable        406  no answer in a media type the caller takes
    ├── BodyTimeout          408  the body did not arrive in time
    ├── Conflict             409  a change would break what is there, or could not be made
    ├── AliasChanged         412  an alias does not stand for what the caller has seen
    ├── PayloadTooLarge      413  more bytes than the limit
    ├── NoRoom               429  the bodies of others take all the memory for them
    ├── UnsupportedMediaType 415  another content type, or compressed in a way not read here
    └── InvalidRequest       422  a field is wrong, or a limit is passed

Anything that is not in the table is a bug: it is logged with the request's id, and the caller is told
nothing but that id. An answer names the place, the kind of value, the limit and the way out; it never
repeats what the caller sent, and is at most 4 KiB.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog
from fastapi import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app.access import RateLimited
from app.engine import errors as engine
from bundle import EncoderyError, InputError

MAX_MESSAGE_CHARS = 1000  # at most 4 bytes each, so that a body keeps within 4 KiB with the rest

log = structlog.get_logger("encodery")


class RequestError(EncoderyError):
    """What is wrong with the request around the inputs.

    Args:
        message: for people; the place, the limit and the way out.
        code: a stable word for programs.
        param: the place in the request.
    """

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param = code, param


class MalformedRequest(RequestError):
    """No JSON, not UTF-8, or nested too deeply."""


class SuspectHead(RequestError):
    """Headers that could hide another request: too many, too long, or not exactly one Host."""


class Unauthorized(RequestError):
    """No key of this server."""


class Forbidden(RequestError):
    """The key, or a page of another origin, may not do this."""


class UnknownPath(RequestError):
    """There is nothing at this path."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="not_found")


class WrongMethod(RequestError):
    """The path takes another method.

    Args:
        message: for people.
        allow: the methods that it takes, as the header of that name has them.
    """

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message, code="method_not_allowed")
        self.allow = allow


class NotAcceptable(RequestError):
    """No answer in a media type that the caller takes."""


class BodyTimeout(RequestError):
    """The body did not arrive in time."""


class Conflict(RequestError):
    """A change would break what is there, or could not be made; nothing has changed."""


class AliasChanged(RequestError):
    """An alias does not stand for what the caller has seen."""


class PayloadTooLarge(RequestError):
    """More bytes than the limit."""


class NoRoom(RequestError):
    """The bodies of other requests take all the memory that there is for them."""

    retry_after_s = 1.0


class UnsupportedMediaType(RequestError):
    """Another content type than JSON, or a body compressed in a way that is not read here."""


class InvalidRequest(RequestError):
    """A field is wrong, or a limit is passed."""


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """What an error becomes.

    Attributes:
        status: of HTTP.
        type: the family, for programs that do not know the code.
        retryable: the same request may succeed later; the answer has Retry-After where the error knows when.
        closes: the connection is closed, since an unread body is in the way.
    """

    status: int
    type: str
    retryable: bool = False
    closes: bool = False


TABLE: Mapping[type[EncoderyError], ErrorSpec] = {
    MalformedRequest: ErrorSpec(400, "invalid_request_error"),
    SuspectHead: ErrorSpec(400, "invalid_request_error", closes=True),
    Unauthorized: ErrorSpec(401, "authentication_error", closes=True),
    Forbidden: ErrorSpec(403, "permission_error", closes=True),
    RateLimited: ErrorSpec(429, "rate_limit_error", retryable=True, closes=True),
    UnknownPath: ErrorSpec(404, "invalid_request_error"),
    WrongMethod: ErrorSpec(405, "invalid_request_error"),
    NotAcceptable: ErrorSpec(406, "invalid_request_error"),
    BodyTimeout: ErrorSpec(408, "invalid_request_error", closes=True),
    Conflict: ErrorSpec(409, "conflict_error"),
    AliasChanged: ErrorSpec(412, "conflict_error"),
    PayloadTooLarge: ErrorSpec(413, "invalid_request_error", closes=True),
    NoRoom: ErrorSpec(429, "overloaded_error", retryable=True, closes=True),
    UnsupportedMediaType: ErrorSpec(415, "invalid_request_error", closes=True),
    InvalidRequest: ErrorSpec(422, "invalid_request_error"),
    InputError: ErrorSpec(422, "invalid_request_error"),
    engine.UnknownModel: ErrorSpec(404, "not_found_error"),
    engine.UnknownVersion: ErrorSpec(404, "not_found_error"),
    engine.SpaceMismatch: ErrorSpec(412, "space_mismatch_error"),
    engine.Overloaded: ErrorSpec(429, "overloaded_error", retryable=True),
    engine.Loading: ErrorSpec(503, "unavailable_error", retryable=True),
    engine.NotReady: ErrorSpec(503, "unavailable_error", retryable=True),
    engine.Unloaded: ErrorSpec(404, "not_found_error"),
    engine.Draining: ErrorSpec(503, "unavailable_error", retryable=True),
    engine.TooMuchWork: ErrorSpec(422, "invalid_request_error"),
    engine.DeadlineExceeded: ErrorSpec(504, "timeout_error"),
    engine.NumericalError: ErrorSpec(500, "server_error"),
    engine.EncoderFailed: ErrorSpec(500, "server_error"),
    engine.EncoderHangs: ErrorSpec(504, "timeout_error"),
}

_FRAMEWORK = {
    404: ("not_found", "there is nothing at this path; /docs lists what there is"),
    405: ("method_not_allowed", "this path takes another method; the Allow header names it"),
}


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: str
    code: str
    message: str
    param: str | None


class ErrorBody(BaseModel):
    """Every answer that is not 2xx."""

    error: ErrorDetail


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it goes out, before a protocol gives it its shape."""

    status: int
    detail: ErrorDetail
    headers: Mapping[str, str]


def failure(error: BaseException) -> Failure:
    """What any error becomes. Logs those that are the server's fault."""
    if isinstance(error, HTTPException):  # raised by the framework, for a file that is not there
        code, message = _FRAMEWORK.get(error.status_code, ("http_error", "the request cannot be served"))
        detail = ErrorDetail(type="invalid_request_error", code=code, message=message, param=None)
        return Failure(error.status_code, detail, dict(error.headers or {}))
    spec = next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), None)
    if spec is None:
        log.error("bug", **_trace(error))
        message = "an error of the server; its log has the reason under this answer's X-Request-ID"
        return Failure(
            500, ErrorDetail(type="server_error", code="internal", message=message, param=None), {}
        )
    if spec.status == 500:
        log.error("encoder failed", code=_get(error, "code"), **_trace(error.__cause__ or error))
    detail = ErrorDetail(
        type=spec.type, code=_get(error, "code"), message=str(error), param=_get(error, "param")
    )
    headers = {"Connection": "close"} if spec.closes else {}
    if isinstance(error, WrongMethod):
        headers["Allow"] = error.allow
    if spec.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if (after_s := _get(error, "retry_after_s")) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(after_s)))
    return Failure(spec.status, detail, headers)


def answer(error: BaseException) -> Response:
    """The answer to any error, in our own shape."""
    found = failure(error)
    return respond(found.status, {"error": shortened(found.detail).model_dump()}, found.headers)


def documented(*kinds: type[EncoderyError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that raises these; whose head is refused learns it on any route."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in dict.fromkeys((*kinds, SuspectHead)):
        spec, meaning = TABLE[kind], (kind.__doc__ or "").splitlines()[0].rstrip(".")
        if spec.status in responses:
            meaning = f"{responses[spec.status]['description']}; or: {meaning}"
        responses[spec.status] = {"model": ErrorBody, "description": meaning}
        if spec.retryable:
            responses[spec.status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return responses


def _trace(error: BaseException) -> dict[str, Any]:
    """Tell where it happened, without its message: that may hold what the caller sent."""
    frames = [
        f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)
    ]
    return {"error": type(error).__name__, "at": frames}


def _get(error: BaseException, name: str) -> Any:
    return getattr(error, name, None)


def shortened(detail: ErrorDetail) -> ErrorDetail:
    """Cut the message so that the body keeps within its limit."""
    if len(detail.message) <= MAX_MESSAGE_CHARS:
        return detail
    return detail.model_copy(update={"message": detail.message[: MAX_MESSAGE_CHARS - 3] + "..."})


def respond(status: int, body: Any, headers: Mapping[str, str]) -> Response:
    """An answer with this body in JSON."""
    return Response(orjson.dumps(body), status, headers=dict(headers), media_type="application/json")
