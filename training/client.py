"""A server as just another encoder: so that the figures that count are those of served vectors."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.inputs import Features, Input, Text
from training.task import Encode

ITEMS_PER_REQUEST = 256


class ServerError(Exception):
    """The server did not answer with vectors; the message is its own."""


def served(url: str, model: str) -> Encode:
    """An encode function that asks `POST {url}/encode` for base64-free raw float32 vectors."""

    def encode(inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
        parts = [
            _encode(f"{url.rstrip('/')}/encode", model, inputs[start : start + ITEMS_PER_REQUEST])
            for start in range(0, len(inputs), ITEMS_PER_REQUEST)
        ]
        return np.concatenate(parts)

    return encode


def _encode(url: str, model: str, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
    body: dict[str, Any] = {"model": model, "inputs": [_json(item) for item in inputs], "truncate": "end"}
    now = next((item.now for item in inputs if isinstance(item, Features) and item.now is not None), None)
    if now is not None:
        body["now"] = now
    request = urllib.request.Request(  # noqa: S310  # the URL is the user's own server
        url,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Accept": "application/octet-stream"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  # as above
            content = response.read()
    except urllib.error.HTTPError as error:
        raise ServerError(f"{error.code}: {error.read(4096).decode(errors='replace')}") from None
    except urllib.error.URLError as error:
        raise ServerError(f"no server answers there: {error.reason}") from None
    return np.frombuffer(content, dtype="<f4").reshape(len(inputs), -1).astype(np.float32)


def _json(item: Input) -> Any:
    return item.text if isinstance(item, Text) else dict(item.values)
