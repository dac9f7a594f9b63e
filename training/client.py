"""A server as an encoder, so that what is measured are served vectors."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.inputs import Input
from bundle.manifest import Manifest
from training.errors import ServerError as ServerError  # noqa: PLC0414  # raised by what `served` returns
from training.task import Encode

ITEMS_PER_REQUEST = 256
CHARS_PER_REQUEST = 500_000  # half of what a server takes by default; histories are long
TIMEOUT_S = 60


def served(url: str, model: str, *, version: str | None = None) -> Encode:
    """An encode function that asks `POST {url}/encode` for raw float32 vectors.

    Args:
        url: base URL of a running server.
        model: its name there.
        version: by default the current one.

    Raises:
        ServerError: the URL is none; later, that the server does not answer with vectors.
    """
    if not url.startswith(("http://", "https://")):
        raise ServerError(f"{url!r} is no URL of a server; it must begin with http:// or https://")

    options = {"model": model, "truncate": "end"} | ({"version": version} if version else {})

    def encode(inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
        address = f"{url.rstrip('/')}/encode"
        parts = [_encode(address, options, some) for some in _requests(inputs)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)

    return encode


def manifest_of(url: str, name: str, version: str | None = None) -> Manifest:
    """Ask a server for the manifest of the version that answers. Raises ServerError."""
    address = f"{url.rstrip('/')}/models/{urllib.parse.quote(name, safe='')}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:  # noqa: S310  # checked by `served`
            detail: dict[str, Any] = json.load(response)
        wanted = version or detail["current"]
        [found] = [one for one in detail["versions"] if one["version"] == wanted]
        return Manifest.model_validate_json(json.dumps(found))
    except urllib.error.HTTPError as error:
        with error:
            raise ServerError(f"{error.code}: {error.read(4096).decode(errors='replace')}") from None
    except OSError as error:
        raise ServerError(f"no server answers at {address}: {getattr(error, 'reason', error)}") from None
    except (ValueError, KeyError, TypeError):
        raise ServerError(f"{address} does not tell of version {version or 'current'}") from None


def _requests(inputs: Sequence[Input]) -> Iterator[list[Input]]:
    """Divide inputs in order into requests that a server takes; all of one have the same `now`."""
    for _, group in groupby(inputs, key=lambda one: one.now):
        some, size = list[Input](), 0
        for one in group:
            length = len(json.dumps(one.to_json()))
            if some and (len(some) == ITEMS_PER_REQUEST or size + length > CHARS_PER_REQUEST):
                yield some
                some, size = [], 0
            some.append(one)
            size += length
        yield some


def _encode(url: str, options: Mapping[str, str], inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
    """One request. float32 [n, dim]. Raises ServerError."""
    body: dict[str, Any] = {**options, "inputs": [one.to_json() for one in inputs]}
    if (now := inputs[0].now) is not None:
        body["now"] = now
    request = urllib.request.Request(  # noqa: S310  # the URL is the user's own server
        url,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Accept": "application/octet-stream"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310  # as above
            content = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise ServerError(f"{error.code}: {error.read(4096).decode(errors='replace')}") from None
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"no server answers at {url}: {getattr(error, 'reason', error)}") from None
    if not content or len(content) % (4 * len(inputs)):
        raise ServerError(f"{url} answered {len(content)} bytes, which are no {len(inputs)} vectors")
    return np.frombuffer(content, dtype="<f4").reshape(len(inputs), -1).astype(np.float32)
