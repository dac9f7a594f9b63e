"""Many callers at once over HTTP: everyone gets what they would get alone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2 as httpx
import hypothesis.strategies as st
import numpy as np
import strategies
import tiny
from hypothesis import HealthCheck, given, settings

from app.engine import Registry
from bundle import Features, Text

SAME = 1e-5  # float32 through another batch shape

MODELS = ("text", "shop-user", "shop-item")  # that are published
A_REQUEST = st.sampled_from(MODELS).flatmap(
    lambda name: st.tuples(st.just(name), st.lists(strategies.INPUTS[name], min_size=1, max_size=8))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(requests=st.lists(A_REQUEST, min_size=2, max_size=24))
async def test_together_is_the_same_as_alone(
    client: httpx.AsyncClient, registry: Registry, requests: list[tuple[str, list[Any]]]
) -> None:
    responses = await asyncio.gather(
        *[
            client.post("/encode", json={"model": name, "inputs": inputs, "now": tiny.NOW, "truncate": "end"})
            for name, inputs in requests
        ]
    )

    for (name, inputs), response in zip(requests, responses, strict=True):
        assert response.status_code == 200, response.text
        encoder = registry.find(name).encoder
        domain = [Text(one) if isinstance(one, str) else Features(one, tiny.NOW) for one in inputs]
        alone = np.concatenate([encoder.encode([one]) for one in domain])
        np.testing.assert_allclose(response.json()["embeddings"], alone, atol=SAME)


async def test_a_poisoned_request_does_not_harm_its_neighbours(serving: Any, only: Any, fake: Any) -> None:
    """The culprit's answer has its id and no word of the reason, which may hold the input."""

    def spoil(batch: Any) -> None:
        if any(tiny.WORDS.index("red") in one.arrays["input_ids"] for one in batch):
            raise RuntimeError("secret words: red")

    encoder = fake(spoil)
    async with serving(only(encoder), threads=1) as client:
        texts = ["hello", "a red lamp", "cat", "dog on the mat"] * 5

        responses = await asyncio.gather(*[client.post("/encode", json={"inputs": text}) for text in texts])

    for text, response in zip(texts, responses, strict=True):
        assert response.headers["x-request-id"]
        if "red" in text:
            error = response.json()["error"]
            assert (response.status_code, error["code"]) == (500, "encoder_failed")
            assert (error["param"], "secret" in response.text) == ("inputs[0]", False)
        else:
            expected = encoder._real.encode([Text(text)])
            np.testing.assert_allclose(response.json()["embeddings"], expected, atol=SAME)


async def test_vectors_that_are_not_finite_are_a_numerical_error(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake(lambda batch: np.full((len(batch), tiny.DIM), np.nan, dtype=np.float32))
    async with serving(only(encoder)) as client:
        response = await client.post("/encode", json={"inputs": ["hello"]})

    assert (response.status_code, response.json()["error"]["code"]) == (500, "numerical_error")
