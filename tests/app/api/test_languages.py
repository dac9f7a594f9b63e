"""What is told of texts in languages that an encoder was not trained for, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx2 as httpx
import tiny

from app.engine import load_registry
from bundle import Store, publish

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
RUSSIAN = "Где моя посылка?"


async def test_every_protocol_tells_of_it(tmp_path: Path, serving: Serving) -> None:
    publish(tmp_path, [tiny.text_draft(languages=["en"], not_for="the law")])
    async with serving(load_registry(Store(tmp_path), versions_per_model=1), default_model="text") as client:
        own = await client.post("/encode", json={"inputs": ["hello world", RUSSIAN]})
        cohere = await client.post("/v2/embed", json={"texts": [RUSSIAN]})
        models = (await client.get("/models")).json()["models"]

    (warning,) = own.json()["warnings"]
    assert (warning["index"], warning["other_language"]) == (1, True)
    assert any("languages" in one for one in cohere.json()["meta"]["warnings"])
    assert (models[0]["languages"], models[0]["not_for"]) == (["en"], "the law")
