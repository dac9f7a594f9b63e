"""What is told of words that are read otherwise than they are written, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx2 as httpx
import numpy as np
import tiny

from app.engine import load_registry
from bundle import Store, publish
from bundle.preprocess.text import TextPreprocessor

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


async def test_every_protocol_tells_of_it(tmp_path: Path, serving: Serving) -> None:
    tokenizer = tiny.word_piece_json()
    words = TextPreprocessor(tokenizer, 16).vocabulary
    table = np.random.default_rng(0).normal(size=(words, tiny.DIM)).astype(np.float32)
    publish(tmp_path, [tiny.text_draft(preprocessor=tokenizer, table=table, respell=1)])
    async with serving(load_registry(Store(tmp_path), versions_per_model=1), default_model="text") as client:
        own = (await client.post("/encode", json={"inputs": ["the cat", "th ecat"]})).json()
        cohere = (await client.post("/v2/embed", json={"texts": ["teh cat"]})).json()
        tokens = (await client.post("/tokenize", json={"inputs": ["teh cat"]})).json()

    assert own["warnings"] == [{"index": 1, "respelt": 2}]
    assert own["embeddings"][0] == own["embeddings"][1]
    assert any("misspelt" in one for one in cohere["meta"]["warnings"])
    assert [one["id"] for one in tokens[0]] == [tiny.WORDS.index("the"), tiny.WORDS.index("cat")]
