"""An encoder that joined the space of another one: asked for that space, and scored across the two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.engine import load_registry
from bundle import Store
from bundle.manifest import Joined, Manifest
from bundle.preprocess.text import Text
from bundle.publish import publish

QUERY, CANDIDATES = "a red lamp", ["dog", "a red lamp", "blue cat"]
CLOSE = 1e-5


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`large`, `quick`, which joined its space, and `other`, which did not."""
    root = tmp_path_factory.mktemp("models")
    (large,) = publish(root, [tiny.text_draft("large")])
    joins = Joined(name="large", version="1", space=large.space)
    publish(root, [tiny.text_draft("quick", seed=1, joins=joins)])
    publish(root, [tiny.text_draft("other", seed=2)])
    return root


@pytest.fixture
async def client(models: Path, serving: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(load_registry(Store(models), versions_per_model=1)) as client:
        yield client


def manifest(models: Path, name: str) -> Manifest:
    return Store(models).manifest(name, "1")


async def encoded(client: httpx.AsyncClient, model: str, **body: Any) -> httpx.Response:
    return await client.post("/encode", json={"model": model, "inputs": CANDIDATES} | body)


async def scored(client: httpx.AsyncClient, model: str, **body: Any) -> httpx.Response:
    return await client.post("/score", json={"model": model, "query": QUERY} | body)


def by_hand(models: Path, query: str, candidates: str) -> np.ndarray:
    vectors = Store(models).load(candidates).encode([Text(one) for one in CANDIDATES])
    return np.sort(vectors @ Store(models).load(query).encode([Text(QUERY)])[0])[::-1]


@pytest.mark.parametrize("cut", ["", f"@{tiny.DIM // 2}"])
async def test_vectors_are_given_for_either_space_and_named_as_asked(
    cut: str, client: httpx.AsyncClient, models: Path
) -> None:
    dimensions = {"dimensions": tiny.DIM // 2} if cut else {}
    quick, large = (f"{manifest(models, name).space}{cut}" for name in ("quick", "large"))
    answers = [await encoded(client, "quick", **dimensions, **space) for space in ({}, {"space": large})]
    vectors = [answer.json()["embeddings"] for answer in answers]

    assert [answer.json()["space"] for answer in answers] == [quick, large]
    assert [answer.headers["X-Embedding-Space"] for answer in answers] == [quick, large]
    np.testing.assert_array_equal(*vectors)


@pytest.mark.parametrize(("model", "of"), [("large", "quick"), ("other", "large"), ("quick", "other")])
async def test_a_space_that_an_encoder_did_not_join_is_refused(
    model: str, of: str, client: httpx.AsyncClient, models: Path
) -> None:
    answer = await encoded(client, model, space=manifest(models, of).space)

    assert answer.status_code == 412
    assert manifest(models, model).space in answer.json()["error"]["message"]


@pytest.mark.parametrize(("query", "candidates"), [("quick", "large"), ("large", "quick")])
async def test_queries_by_the_one_are_scored_on_candidates_by_the_other(
    query: str, candidates: str, client: httpx.AsyncClient, models: Path
) -> None:
    answer = await scored(client, query, candidates=CANDIDATES, candidates_model=candidates)
    found = answer.json()

    assert answer.status_code == 200, found
    np.testing.assert_allclose(
        [one["score"] for one in found["results"]], by_hand(models, query, candidates), atol=CLOSE
    )
    assert found["space"] == answer.headers["X-Embedding-Space"] == manifest(models, "large").space


async def test_kept_vectors_of_the_joined_space_are_scored(client: httpx.AsyncClient, models: Path) -> None:
    kept = (await encoded(client, "large")).json()
    found = (await scored(client, "quick", vectors=kept["embeddings"], space=kept["space"])).json()

    np.testing.assert_allclose(
        [one["score"] for one in found["results"]], by_hand(models, "quick", "large"), atol=CLOSE
    )
    assert found["space"] == kept["space"]


@pytest.mark.parametrize(
    "body", [{"candidates_model": "other"}, {"candidates_model": "large", "space": "own"}]
)
async def test_encoders_without_a_space_in_common_are_not_scored(
    body: dict[str, str], client: httpx.AsyncClient, models: Path
) -> None:
    """Nor where the request names the one space that the candidates' encoder is not of."""
    space = {"space": manifest(models, "quick").space} if "space" in body else {}
    answer = await scored(client, "quick", candidates=CANDIDATES, **(body | space))

    assert answer.status_code == 412


async def test_texts_of_who_joined_a_space_are_ranked_by_their_own_model(client: httpx.AsyncClient) -> None:
    found = (await scored(client, "quick", candidates=CANDIDATES)).json()

    assert found["candidates_model"] == "quick"


async def test_a_model_says_what_it_joined(client: httpx.AsyncClient, models: Path) -> None:
    quick, large = [(await client.get(f"/models/{name}")).json() for name in ("quick", "large")]

    assert quick["versions"][0]["joins"]["space"] == manifest(models, "large").space
    assert large["versions"][0].get("joins") is None
