"""The largest valid requests of each sort, within the limits that a server has by default."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bench import texts
from bundle import Store

ITEMS, CANDIDATES = 2048, 10_000  # of a request
TEXT, EACH = 16_384, 488  # characters of the longest text, and of as many as there may be: 1,000,000 in all
IDS = 120  # of a text, so that all are no more than may wait
EXPLAINED = 500  # characters of a text that is explained: what no text encoder has to cut
SCORE_BYTES = 15_500_000  # of vectors
NUMBER_BYTES = 5.5  # of one in JSON, with two digits


@dataclass(frozen=True)
class Request:
    """One request."""

    path: str
    body: bytes
    media_type: str = "application/json"


Requests: TypeAlias = dict[str, Request]


def requests(models: Path) -> Requests:
    """By name."""
    words, catalogue = " ".join(texts.texts(ITEMS)), texts.items(models)
    return {
        **_of_texts(words),
        **_of_protocols(words, Store(models).current("text")),
        **_of_users(words, catalogue),
        **_of_candidates(words, catalogue),
        **_of_vectors(models),
    }


def _of_texts(words: str) -> Requests:
    many = [f"{number} {words}"[:EACH] for number in range(ITEMS)]
    emoji = "\U0001f600\U0001f468\u200d" * 3000
    return {
        "2,048 texts": encode(inputs=many, truncate="end"),
        "2,048 equal texts": encode(inputs=many[:1] * ITEMS, truncate="end"),
        "61 long texts": encode(inputs=[f"{number} {words}"[:TEXT] for number in range(61)], truncate="end"),
        "61 long words": encode(
            inputs=[str(number).ljust(TEXT, "a") for number in range(61)], truncate="end"
        ),
        "61 texts of emoji": encode(
            inputs=[f"{number}{emoji}"[:8000] for number in range(61)], truncate="end"
        ),
        "2,048 texts, as OpenAI": _post("/v1/embeddings", {"model": "text", "input": many}),
        "2,048 lines": Request(
            "/encode?truncate=end", "\n".join(map(json.dumps, many)).encode(), "application/x-ndjson"
        ),
    }


def _of_protocols(words: str, version: str) -> Requests:
    """One for every route of a protocol that takes inputs."""
    many = [f"{number} {words}"[:EACH] for number in range(ITEMS)]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [ITEMS], "data": many}
    bodies: dict[str, Any] = {
        "/": {"inputs": many, "truncate": True},
        "/embed": {"inputs": many, "truncate": True},
        "/invocations": {"inputs": many, "truncate": True},
        "/vertex": {"instances": [{"inputs": text, "truncate": True} for text in many]},
        "/embeddings": {"model": "text", "input": many},
        "/tokenize": {"inputs": many},
        "/decode": {"ids": [[number] * IDS for number in range(ITEMS)]},
        "/similarity": {"inputs": {"source_sentence": many[0], "sentences": many[1:]}},
        "/api/embed": {"model": "text", "input": many},
        "/api/embeddings": {"model": "text", "prompt": words[:TEXT]},
        "/v1/embed": {"model": "text", "texts": many, "input_type": "search_document"},
        "/v2/embed": {"model": "text", "texts": many, "input_type": "search_document"},
        "/v2/models/text/infer": {"inputs": [tensor]},
        f"/v2/models/text/versions/{version}/infer": {"inputs": [tensor]},
    }
    return {f"the most at {path}": _post(path, body) for path, body in bodies.items()}


def _of_users(words: str, catalogue: Sequence[str]) -> Requests:
    users = partial(texts.users, items=catalogue)
    of_ids = [{"history": catalogue[at : at + 512], "country": str(at)} for at in range(170)]
    of_nothing = [{"history": [""] * 40_000, "country": str(at)} for at in range(8)]
    new = [{"id": f"new {at}", "description": words[at : at + 100], "price": 1.5} for at in range(6000)]
    item = {"price": 1.5}
    return {
        "2,048 users, 8 entries each": _of("user", users(ITEMS, history=8)),
        "780 users, 20 entries each": _of("user", users(780, history=20)),
        "31 users, 512 entries each": _of("user", users(31, history=512)),
        "31 equal users": _of("user", list(users(1, history=512)) * 31),
        "170 users, 512 ids each": _of("user", of_ids),
        "8 users, 40,000 empty ids each": _of("user", of_nothing),
        "30 users, 200 new items each": _of(
            "user", [{"history": new[at : at + 200]} for at in range(0, len(new), 200)]
        ),
        "2,048 items": _of(
            "item", [item | {"id": str(at), "description": words[at : at + 430]} for at in range(ITEMS)]
        ),
        "7 items, 131 kB of words each": _of("item", [{"description": words[at:131_000]} for at in range(7)]),
        "7 items, 65,000 marks each": _of(
            "item", [{"id": str(at), "description": "a" + "\u0316\u0301" * 32_600} for at in range(7)]
        ),
    }


def _of_candidates(words: str, catalogue: Sequence[str]) -> Requests:
    numbers = range(CANDIDATES)
    items = [{"id": str(number), "description": words[number : number + 40]} for number in numbers]
    [user] = texts.users(1, catalogue, history=512)
    explained = {"query": f"dog {words}"[:EXPLAINED], "candidates": [f"cat {words}"[:EXPLAINED]] * 4}
    return {
        "10,000 texts to rank": score(
            query="dog", candidates=[f"{number} {words}"[:98] for number in numbers], truncate="end"
        ),
        "five texts to explain": _post("/explain", explained),
        "the same, as KServe V1 asks": _post("/v1/models/text:explain", {"instances": [explained]}),
        "10,000 items to rank": score(model="retail-user", query=user, candidates=items),
    }


def _of_vectors(models: Path) -> Requests:
    store = Store(models)
    manifest = store.load("text", store.current("text")).manifest
    count = min(CANDIDATES, round(SCORE_BYTES / (NUMBER_BYTES * manifest.dim)))
    rows = np.random.default_rng(0).standard_normal((count, manifest.dim)).astype(np.float32)
    kept = {"query": "hello", "space": manifest.space}
    return {
        "15 MB of vectors to rank": score(**kept, vectors=rows.astype(float).round(2).tolist()),
        "15 MB of vectors to adapt": _post(
            "/adapt", {"space": manifest.space, "vectors": rows.astype(float).round(2).tolist()}
        ),
        "the same in base64": score(**kept, vectors=[base64.b64encode(row).decode() for row in rows]),
    }


def _of(side: str, inputs: Sequence[Any]) -> Request:
    return _post("/encode", {"model": f"retail-{side}", "inputs": inputs})


def encode(**fields: Any) -> Request:
    """POST /encode."""
    return _post("/encode", fields)


def score(**fields: Any) -> Request:
    """POST /score."""
    return _post("/score", fields)


def _post(path: str, fields: Any) -> Request:
    return Request(path, json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode())
