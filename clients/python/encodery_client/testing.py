"""A fake server for tests of code that uses this package: no network, no model, vectors that repeat.

    server = FakeServer(dim=8)
    client = Client("http://fake", transport=server.transport)
    vectors = client.encode(["a", "b"])      # the same input gives the same vector, always
    server.fail_next(429, retry_after_s=0)   # then it is busy once
    server.space = "sp_other"                # then it has another model

Vectors are seeded by the input's JSON, of unit length, and say nothing about meaning. Dimensions, output
types, prompts and their spaces are those of a real server, with 1 as the limit of int8. Sparse vectors count
words, which is what a document's do, nearly.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2 as httpx
import numpy as np

from encodery_client.answers import SparseVector
from encodery_client.wire import DTYPES, RAW, Output, Vectors


class FakeServer:
    """Answers as an Encodery server with one model.

    Attributes:
        transport: for `Client` and `AsyncClient` alike.
        requests: the bodies that came to /encode and /score, parsed.
        headers: of those requests.
        kind: of its model's inputs.
        space: of the vectors; change it to play a server with a new model.
        prompts: name to text, of its model.
        warnings: of every answer in JSON, as the server writes them: {"index": 0, "unknown": ["text"]}.
    """

    def __init__(
        self,
        *,
        dim: int = 8,
        model: str = "fake",
        version: str = "1",
        space: str = "sp_fake",
        prompts: Mapping[str, str] | None = None,
        kind: str = "text",
    ) -> None:
        self.dim, self.model, self.version, self.space = dim, model, version, space
        self.prompts, self.kind = dict(prompts or {}), kind
        self.warnings: Sequence[Mapping[str, Any]] = ()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self.transport = httpx.MockTransport(self._handle)
        self._planned: dict[int, httpx.Response | Exception] = {}

    def fail_next(
        self,
        status: int,
        *,
        code: str = "fake",
        message: str = "as asked",
        param: str | None = None,
        retry_after_s: int | None = None,
        after: int = 0,
    ) -> None:
        """Answer a request to come with an error: the next one that is free, `after` others."""
        detail = {"type": "fake_error", "code": code, "message": message, "param": param}
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self._plan(httpx.Response(status, json={"error": detail}, headers=headers), after)

    def break_next(self, *, after: int = 0) -> None:
        """Break the connection of a request to come."""
        self._plan(httpx.ConnectError("broken, as asked"), after)

    def _plan(self, failure: httpx.Response | Exception, after: int) -> None:
        number = len(self.requests) + after
        while number in self._planned:
            number += 1
        self._planned[number] = failure

    def vectors(
        self, inputs: list[Any], *, dimensions: int | None = None, output: Output = "float32"
    ) -> Vectors:
        """Make its vectors of inputs with their prompts before them. float32 [n, dim], or as `output`."""
        rows = [self._vector(json.dumps(item, sort_keys=True).encode()) for item in inputs]
        full = np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)
        short = full[:, :dimensions]
        return _quantized(short / np.linalg.norm(short, axis=1, keepdims=True), output)

    def sparse(self, inputs: list[Any]) -> list[SparseVector]:
        """Make its sparse vectors of texts: how often each word is there."""
        counted = [Counter(zlib.crc32(word.encode()) for word in str(item).split()) for item in inputs]
        rows = [sorted(words.items()) for words in counted]
        return [
            SparseVector(
                np.array([index for index, _ in row], np.uint32), np.array([count for _, count in row], "f4")
            )
            for row in rows
        ]

    def _vector(self, content: bytes) -> Vectors:
        seed = int.from_bytes(hashlib.sha256(self.space.encode() + b"\0" + content).digest()[:8], "big")
        vector = np.random.default_rng(seed).normal(size=self.dim).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        model = {"name": self.model, "current": self.version}
        facts = {"kind": self.kind, "space": self.space, "dim": self.dim}
        if request.url.path == "/models":
            return httpx.Response(200, json={"default": self.model, "models": [model | facts]})
        if request.url.path == f"/models/{self.model}":
            manifest = {"name": self.model, "version": self.version, "prompts": self.prompts, **facts}
            manifest |= {"metric": "cosine", "normalized": True}
            return httpx.Response(200, json=model | {"versions": [manifest]})
        if request.url.path == f"/models/{self.model}/schema":
            return httpx.Response(200, json={"title": self.model, "examples": ["hello world"]})
        if request.url.path not in ("/encode", "/score"):
            return _error(404, "not_found", "there is nothing at this path")
        failure = self._planned.pop(len(self.requests), None)
        self.requests.append(json.loads(request.content))
        self.headers.append(request.headers)
        if isinstance(failure, Exception):
            raise failure
        if failure is None and request.url.path == "/score":
            return self._score(self.requests[-1])
        return failure or self._encode(self.requests[-1], request.headers.get("accept") == RAW)

    def _score(self, body: dict[str, Any]) -> httpx.Response:
        """Rank by the inner products of its vectors."""
        if body.get("space", self.space) != self.space:
            return _error(
                412, "space_mismatch", f"loaded versions and their spaces: {self.version}: {self.space}"
            )
        sent = [np.frombuffer(base64.b64decode(row), "<f4") for row in body.get("vectors", ())]
        rows = np.stack(sent) if sent else self.vectors(body["candidates"])
        scores = rows @ self.vectors([body["query"]])[0]
        best = np.argsort(-scores, kind="stable")[: body.get("top_k", 10)]
        of_candidates = (None, None) if sent else (self.model, self.version)
        return httpx.Response(
            200,
            json={
                "model": self.model,
                "version": self.version,
                "candidates_model": of_candidates[0],
                "candidates_version": of_candidates[1],
                "space": self.space,
                "metric": "cosine",
                "candidates": len(rows),
                "results": [{"index": int(row), "score": float(scores[row])} for row in best],
                "warnings": list(self.warnings),
            },
        )

    def _encode(self, body: dict[str, Any], raw: bool) -> httpx.Response:
        output, dimensions = body.get("output", "float32"), body.get("dimensions", self.dim)
        space = self.space + (f"@{dimensions}" if dimensions != self.dim else "")
        space += "" if "float" in output else f"+{output}"
        if body.get("space", space) != space:
            return _error(412, "space_mismatch", f"loaded versions and their spaces: {self.version}: {space}")
        if "binary" in output and dimensions % 8:
            return _error(422, "invalid_output", f"{output} packs eight dimensions into a byte")
        prompt = self.prompts.get(body.get("prompt", ""), "")
        if body.get("prompt") and not prompt:
            return _error(422, "unknown_prompt", "the model has no prompt of that name")
        inputs = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        read = [prompt + item if isinstance(item, str) else item for item in inputs]
        headers = {"X-Model-Version": f"{self.model}/{self.version}", "X-Embedding-Space": space}
        if raw and output == "sparse":
            return _error(406, "not_acceptable", "the answer can be had as application/json")
        if raw:
            vectors = self.vectors(read, dimensions=dimensions, output=output)
            headers |= {"Content-Type": RAW, "X-Embedding-Type": vectors.dtype.name}
            return httpx.Response(200, content=vectors.tobytes(), headers=headers)
        return httpx.Response(
            200,
            json={
                "model": self.model,
                "version": self.version,
                "space": space,
                "dim": dimensions,
                "usage": {"items": len(inputs), "tokens": sum(len(str(item).split()) for item in read)},
                "warnings": list(self.warnings),
                "embeddings": self._rows(read, body),
            },
            headers=headers,
        )

    def _rows(self, read: list[Any], body: Mapping[str, Any]) -> list[Any]:
        """The embeddings of an answer in JSON."""
        as_base64 = body.get("encoding") == "base64"
        written: Callable[[Vectors], Any] = _base64 if as_base64 else lambda row: row.tolist()
        if body.get("output") == "sparse":
            return [
                {"indices": written(row.indices), "values": written(row.values)} for row in self.sparse(read)
            ]
        output, dimensions = body.get("output", "float32"), body.get("dimensions")
        return [written(row) for row in self.vectors(read, dimensions=dimensions, output=output)]


def _base64(row: Vectors) -> str:
    return base64.b64encode(row.tobytes()).decode()


def _quantized(vectors: Vectors, output: Output) -> Vectors:
    """Quantize by the server's rules, with 1 as the limit of int8."""
    if "float" in output:
        return vectors.astype(DTYPES[output])
    if "binary" in output:
        packed = np.packbits(vectors > 0, axis=1)
        return packed if output == "ubinary" else np.asarray(packed.astype(np.int16) - 128, np.int8)
    levels = np.rint(vectors * 127).astype(np.int16)
    return np.asarray(levels, np.int8) if output == "int8" else np.asarray(levels + 128, np.uint8)


def _error(status: int, code: str, message: str) -> httpx.Response:
    detail = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
    return httpx.Response(status, json={"error": detail})
