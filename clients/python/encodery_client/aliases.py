"""What names of versions stand for: requests that change it, and their answers. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from encodery_client.errors import UnexpectedAnswer, error_from
from encodery_client.wire import JSON

CHANGE_S = 300.0  # a version is proven and loaded by every process before the answer


@dataclass(frozen=True)
class Alias:
    """What an alias stands for.

    Attributes:
        shares: version to its share in percent; empty once it is removed.
        tag: for `if_match`; another one after every change.
    """

    model: str
    alias: str
    shares: Mapping[str, int]
    tag: str


def reading(model: str, alias: str, timeout_s: float) -> dict[str, Any]:
    """Return the arguments of httpx's `request` to read one."""
    return {"method": "GET", "url": _path(model, alias), "timeout": timeout_s}


def setting(
    model: str,
    alias: str,
    stands_for: str | Mapping[str, int],
    *,
    new_space: bool,
    if_match: str | None,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the arguments of httpx's `request` to set one."""
    named = {"version": stands_for} if isinstance(stands_for, str) else {"versions": dict(stands_for)}
    return {
        "method": "PUT",
        "url": _path(model, alias),
        "content": json.dumps(named | {"new_space": new_space}).encode(),
        "headers": {"Content-Type": JSON, **_condition(if_match)},
        "timeout": timeout_s,
    }


def removing(model: str, alias: str, *, if_match: str | None, timeout_s: float) -> dict[str, Any]:
    """Return the arguments of httpx's `request` to remove one."""
    url = _path(model, alias)
    return {"method": "DELETE", "url": url, "headers": _condition(if_match), "timeout": timeout_s}


def read_alias(response: httpx.Response) -> Alias:
    """Read an answer. Raises EncoderyClientError."""
    if response.status_code != 200:
        raise error_from(response.status_code, response.headers, response.content, offset=0)
    try:
        content = response.json()
        shares = {str(version): int(share) for version, share in content["versions"].items()}
        tag = response.headers.get("etag", "").strip('"')
        return Alias(content["model"], content["alias"], shares, tag)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise UnexpectedAnswer(f"{response.request.url} gave no alias") from error


def _path(model: str, alias: str) -> str:
    return f"/models/{quote(model, safe='')}/aliases/{quote(alias, safe='')}"


def _condition(if_match: str | None) -> dict[str, str]:
    if if_match is None:
        return {}
    return {"If-Match": if_match if if_match == "*" else f'"{if_match}"'}
