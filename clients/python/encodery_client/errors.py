"""The errors of this package, for a caller who wants to catch them.

    EncoderyClientError
    ├── RequestRefused      4xx: the request is wrong; `code`, `param` and `index` say where
    │   ├── SpaceChanged    412, or an answer of another space: vectors that must not be mixed
    │   └── AliasChanged    412: an alias was changed since its tag was read
    ├── Overloaded          429 or 503, still so after the last try; `retry_after_s`
    ├── ServerFailed        any other 5xx
    ├── ServerUnreachable   no connection, or it broke, still so after the last try
    ├── DeadlineExceeded    no answer within the caller's `timeout_s`, or the server's own limit
    └── UnexpectedAnswer    something answered, but it does not speak our protocol

Messages are the server's own sentences, with positions counted over all inputs of the call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_INDEX = re.compile(r"inputs\[(\d+)\]")


class EncoderyClientError(Exception):
    """Base of everything that this package raises on purpose."""


class RequestRefused(EncoderyClientError):
    """The server will not take this request, however often it is sent.

    Attributes:
        status: of HTTP.
        code: a stable word for programs, for example `too_long`.
        param: the place in the request, for example `inputs[3].price`.
        index: the position among all inputs of the call; None when it is not about one of them.
        request_id: as in the server's log.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.request_id = status, code, param, request_id
        found = _INDEX.match(param or "")
        self.index = int(found[1]) if found else None


class SpaceChanged(RequestRefused):
    """The server no longer gives vectors of the space that this client is pinned to.

    Vectors made from here on could not be compared with those made before. Encode the index anew, then
    call `unpin()`.
    """


class AliasChanged(RequestRefused):
    """Somebody else changed the alias since its tag was read; read it again, and decide again."""


class Overloaded(EncoderyClientError):
    """The server was busy or not ready at every try."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServerFailed(EncoderyClientError):
    """The server erred; its log has the reason."""


class ServerUnreachable(EncoderyClientError):
    """There is no connection, or it broke."""


class DeadlineExceeded(EncoderyClientError):
    """The time allowed was over before there were vectors."""


class UnexpectedAnswer(EncoderyClientError):
    """The answer is not an Encodery server's, or a proxy in between changed it."""


_REFUSALS = {"space_mismatch": SpaceChanged, "alias_changed": AliasChanged}


def error_from(
    status: int, headers: Mapping[str, str], content: bytes, *, offset: int
) -> EncoderyClientError:
    """Make the error that an answer other than 2xx stands for; positions are moved on by `offset`."""
    detail = _detail(content)
    request_id = headers.get("x-request-id")
    message = _moved(str(detail.get("message") or f"HTTP status {status}"), offset)
    param = _moved(detail["param"], offset) if isinstance(detail.get("param"), str) else None
    if 400 <= status < 500 and status not in (408, 429):
        kind = _REFUSALS.get(str(detail.get("code")), RequestRefused)
        return kind(message, status=status, code=detail.get("code"), param=param, request_id=request_id)
    where = f"{message} (request {request_id})" if request_id else message
    if status in (429, 503):
        return Overloaded(where, retry_after_s(headers))
    if status in (408, 504):
        return DeadlineExceeded(where)
    return ServerFailed(where)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read the header Retry-After, where it is a number of seconds."""
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None


def _detail(content: bytes) -> dict[str, Any]:
    try:
        detail = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return detail if isinstance(detail, dict) else {"message": detail}


def _moved(text: str, offset: int) -> str:
    return _INDEX.sub(lambda match: f"inputs[{int(match[1]) + offset}]", text)
