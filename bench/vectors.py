"""Checks that a competitor does the same work: compares its vectors of a few texts with ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http.client import HTTPException
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

from bench.servers import Running, Unavailable
from bench.texts import texts

COUNT = 16
LEAST = 0.999  # cosine; float32 in another order of operations is far over it
WAIT_S = 60.0


def check(competitor: Running, ours: Running, model: str) -> None:
    """Raise Unavailable if the competitor's vectors are not those that our model gives."""
    some = texts(COUNT)
    wanted = _encoded(ours, some, model)
    try:
        least = float(np.min(np.sum(_encoded(competitor, some, model) * wanted, axis=1)))
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise Unavailable(f"it does not answer as expected: {error!r:.200}") from None
    if not least >= LEAST:
        raise Unavailable(f"its vectors are not those of {model}: cosine {least:.3f}")


def _encoded(server: Running, inputs: Sequence[str], model: str) -> NDArray[np.float32]:
    """Encode by HTTP; normalise to length one."""
    openai = server.server.path == "/embeddings"
    body = {"input": inputs} if openai else {"inputs": inputs, "model": model}
    request = Request(
        f"http://127.0.0.1:{server.port}{server.server.path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=WAIT_S) as response:
        answer = json.load(response)
    rows = [one["embedding"] for one in answer["data"]] if openai else answer["embeddings"]
    vectors = np.asarray(rows, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
