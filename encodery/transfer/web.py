"""Requests over HTTP, for the places that are asked so. Of the standard library: serving has no HTTP client.

A key goes to the host that it is for and to no other: redirects elsewhere are followed without it.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from encodery.transfer.errors import Interrupted, TransferError

TIMEOUT_S = 60.0
PIECE = 1 << 20  # bytes
MOST_BYTES = 4 << 20  # of an answer that is read whole: manifests, pointers, tokens
OK, PARTIAL, UNAUTHORIZED, NOT_FOUND, SERVER_ERRORS = 200, 206, 401, 404, 500
_SECRETS = ("Authorization", "X-amz-security-token")


@dataclass(frozen=True)
class Answer:
    """An answer that was read whole, whatever its status."""

    status: int
    headers: Message
    body: bytes


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917  # as urllib calls it
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            before, after = urlsplit(req.full_url), urlsplit(newurl)
            if before.scheme == "https" and after.scheme != "https":
                raise TransferError(f"{before.hostname} sends its callers to an address without https")
            if (before.hostname, before.port) != (after.hostname, after.port):
                for name in _SECRETS:
                    new.remove_header(name)
        return new


_opener = urllib.request.OpenerDirector()  # no files, no FTP
for _handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
    _Redirects,
):
    _opener.add_handler(_handler())


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | IO[bytes] | None = None,
) -> Answer:
    """The whole answer. Raises TransferError where there is none, or it is too large; Interrupted."""
    with _opened(url, method, headers or {}, body) as response:
        content = _read(response, MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise TransferError(
                f"{host_of(url)} sent more than {MOST_BYTES} bytes where a small file was expected"
            )
        return Answer(response.status, response.headers, content)


def stream(url: str, *, start: int = 0, headers: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """The bytes of a file from `start` on, in pieces. Raises TransferError; Interrupted if it ends early."""
    ranged = {"Range": f"bytes={start}-"} if start else {}
    with _opened(url, "GET", {**(headers or {}), **ranged}, None) as response:
        if response.status not in (OK, PARTIAL):
            raise refused(url, response.status)
        skipped = start if response.status == OK else 0  # it sends everything, whatever it was asked for
        while piece := _read(response, PIECE):
            yield piece[skipped:]
            skipped = max(0, skipped - len(piece))


def refused(url: str, status: int) -> TransferError:
    """The error for an answer with a status that was not expected."""
    why = {
        401: ", it wants a key or another one",
        403: ", the key may not do this",
        404: ", there is no such file",
    }
    told = f"{host_of(url)} answered {status}{why.get(status, '')}"
    return Interrupted(told) if status >= SERVER_ERRORS else TransferError(told)


def host_of(url: str) -> str:
    """The host of a URL, for messages: paths and queries may hold secrets."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _opened(
    url: str, method: str, headers: Mapping[str, str], body: bytes | IO[bytes] | None
) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - the opener knows HTTP alone
    try:
        return _opener.open(request, timeout=TIMEOUT_S)  # type: ignore[no-any-return]  # as typeshed has it
    except urllib.error.HTTPError as error:
        return error  # type: ignore[return-value]  # it is the response, too
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Interrupted(f"{host_of(url)} cannot be reached: {reason}") from None


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    try:
        return response.read(most)
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(f"the connection ended: {error}") from None
