"""POST /score over HTTP: the same ranking as by hand, whichever way candidates come."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import strategies
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.api.ranking import top
from app.api.score_form import ScoreResponse
from app.engine import Registry
from app.http.errors import ErrorBody
from bundle import Features

USER: dict[str, Any] = {"history": ["A1", "C2"], "country": "GB"}
ITEMS: list[dict[str, Any]] = [
    *({"id": name} for name in tiny.ITEMS),
    {"id": "new", "title": "blue lamp", "price": 0},
    {"title": "red lamp", "price": 2.5},
]
CLOSE = 1e-5  # float32 through another batch shape


async def score(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/score", json={"model": "shop-user", "now": tiny.NOW} | body)


def by_hand(registry: Registry, items: list[dict[str, Any]]) -> np.ndarray:
    (user,) = registry.find("shop-user").encoder.encode([Features(USER, tiny.NOW)])
    return registry.find("shop-item").encoder.encode([Features(one, tiny.NOW) for one in items]) @ user


async def test_the_best_items_for_a_user_are_those_of_the_inner_products(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    response = await score(client, query=USER, candidates=ITEMS, top_k=5)

    answer = ScoreResponse.model_validate_json(response.content)
    expected = by_hand(registry, ITEMS)
    best = np.argsort(-expected, kind="stable")[:5]
    assert [one.index for one in answer.results] == best.tolist()
    np.testing.assert_allclose([one.score for one in answer.results], expected[best], atol=CLOSE)
    assert (answer.model, answer.candidates_model, answer.candidates) == ("shop-user", "shop-item", 8)
    assert response.headers["X-Embedding-Space"] == answer.space


async def test_texts_are_ranked_for_a_query_by_their_own_model(client: httpx.AsyncClient) -> None:
    answer = (
        await score(client, model="text", query="a red lamp", candidates=["dog", "a red lamp", "cat"])
    ).json()

    assert answer["candidates_model"] == "text"
    assert answer["results"][0]["index"] == 1
    assert answer["results"][0]["score"] == pytest.approx(1.0, abs=CLOSE)


async def test_more_candidates_than_a_block_give_the_same_ranking(
    registry: Registry, serving: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    whole = (await score(client, query=USER, candidates=ITEMS, top_k=8)).json()

    async with serving(registry, max_items=3) as small:
        in_blocks = (await score(small, query=USER, candidates=ITEMS, top_k=8)).json()

    assert [one["index"] for one in in_blocks["results"]] == [one["index"] for one in whole["results"]]


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_kept_vectors_score_as_the_items_do(client: httpx.AsyncClient, encoding: str) -> None:
    kept = (
        await client.post(
            "/encode",
            json={"model": "shop-item", "inputs": ITEMS, "encoding": encoding, "now": tiny.NOW},
        )
    ).json()

    of_items = (await score(client, query=USER, candidates=ITEMS)).json()
    of_vectors = (await score(client, query=USER, vectors=kept["embeddings"], space=kept["space"])).json()

    assert of_vectors["candidates_model"] is None
    for one, other in zip(of_vectors["results"], of_items["results"], strict=True):
        assert one["index"] == other["index"]
        assert one["score"] == pytest.approx(other["score"], abs=CLOSE)


async def test_shorter_vectors_are_scored_in_their_own_space(client: httpx.AsyncClient) -> None:
    dim = tiny.DIM // 2
    answer = (await score(client, query=USER, candidates=ITEMS, dimensions=dim)).json()

    assert answer["space"].endswith(f"@{dim}")


async def test_warnings_say_which_candidate_training_had_not_seen(client: httpx.AsyncClient) -> None:
    candidates = [{"id": "A1"}, {"id": "new"}, {}]
    answer = (await score(client, query={"history": ["gone"]}, candidates=candidates)).json()

    assert {
        "param": "query",
        "unknown": ["history"],
        "unknown_entries": [0],
        "empty_history": True,
    } in answer["warnings"]
    assert {"param": "candidates[1]", "unknown": ["id"], "empty_item": True} in answer["warnings"]
    assert {"param": "candidates[2]", "empty_item": True} in answer["warnings"]
    assert len(answer["warnings"]) == 3


async def test_only_answered_candidates_are_warned_of(client: httpx.AsyncClient) -> None:
    answer = (
        await score(client, query=USER, candidates=[{"id": f"new{n}"} for n in range(50)], top_k=2)
    ).json()

    assert len(answer["results"]) == len(answer["warnings"]) == 2


def vector(value: float = 0.0, dim: int = tiny.DIM) -> list[float]:
    return [value] * dim


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"query": USER}, 422, "missing_field", "candidates"),
        ({"candidates": ITEMS}, 422, "missing_field", "query"),
        ({"query": USER, "candidates": []}, 422, "empty_inputs", "candidates"),
        ({"query": USER, "candidates": ITEMS, "top_k": 0}, 422, "invalid_value", "top_k"),
        ({"query": USER, "candidates": ITEMS, "topk": 3}, 422, "unknown_field", None),
        ({"query": USER, "candidates": ITEMS, "vectors": [vector()]}, 422, "missing_field", "candidates"),
        ({"query": USER, "vectors": [vector()]}, 422, "missing_field", "space"),
        ({"query": USER, "vectors": [vector()], "space": "sp_other"}, 412, "space_mismatch", "space"),
        ({"query": {"histroy": []}, "candidates": ITEMS}, 422, "unknown_field", "query"),
        ({"query": [USER], "candidates": ITEMS}, 422, "wrong_kind", "query"),
        (
            {"query": USER, "candidates": [ITEMS[0], {"price": "x"}]},
            422,
            "wrong_type",
            "candidates[1].price",
        ),
        ({"query": USER, "candidates": [ITEMS[0], 1.5]}, 422, "wrong_kind", "candidates[1]"),
        ({"query": USER, "candidates": [["A1"]]}, 422, "wrong_kind", "candidates[0]"),
        ({"query": USER, "candidates": ITEMS, "dimensions": 7}, 422, "invalid_dimensions", "dimensions"),
        ({"query": USER, "candidates": ["x"], "candidates_model": "text"}, 412, "space_mismatch", "space"),
        (
            {"query": USER, "candidates": ITEMS, "candidates_model": "?"},
            404,
            "unknown_model",
            "candidates_model",
        ),
        ({"query": USER, "candidates": ITEMS, "now": "soon"}, 422, "invalid_time", "now"),
    ],
)
async def test_what_cannot_be_scored_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    response = await score(client, **body)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)


@pytest.mark.parametrize(
    "bad", [vector(dim=3), vector(1e300), ["x"] * tiny.DIM, [True] * tiny.DIM, "no base64!", "AAAA", 7, None]
)
async def test_a_bad_vector_is_refused_by_its_place(
    client: httpx.AsyncClient, registry: Registry, bad: Any
) -> None:
    space = registry.find("shop-item").manifest.space

    response = await score(client, query=USER, vectors=[vector(), bad], space=space)

    assert response.status_code == 422
    assert response.json()["error"]["param"] == "vectors[1]"


async def test_an_error_in_a_later_block_names_its_place_in_the_request(
    registry: Registry, serving: Callable[..., Any]
) -> None:
    async with serving(registry, max_items=3) as small:
        response = await score(small, query=USER, candidates=[*ITEMS[:5], {"prize": 1}])

    assert response.json()["error"]["param"] == "candidates[5]"


async def test_too_many_candidates_are_refused(registry: Registry, serving: Callable[..., Any]) -> None:
    async with serving(registry, max_candidates=7) as small:
        response = await score(small, query=USER, candidates=ITEMS)

    assert response.json()["error"]["code"] == "too_many_inputs"
    assert "ENCODERY_MAX_CANDIDATES" in response.json()["error"]["message"]


async def test_the_limit_of_the_body_is_its_own(registry: Registry, serving: Callable[..., Any]) -> None:
    encoded = base64.b64encode(np.zeros(tiny.DIM, "<f4").tobytes()).decode()
    body = {"query": USER, "vectors": [encoded] * 50, "space": registry.find("shop-item").manifest.space}

    async with serving(registry, max_body_bytes=1000) as roomy:
        assert (await score(roomy, **body)).status_code == 200
    async with serving(registry, max_score_body_bytes=1000) as tight:
        response = await score(tight, **body)
    assert response.status_code == 413
    assert "ENCODERY_MAX_SCORE_BODY_BYTES" in response.json()["error"]["message"]


async def test_scoring_that_takes_too_long_is_ended(
    registry: Registry, fake: Callable[..., Any], only: Callable[..., Registry], serving: Callable[..., Any]
) -> None:
    held = fake()
    held.hold()
    async with serving(only(held), request_timeout_s=0.1) as slow:
        response = await slow.post("/score", json={"query": "cat", "candidates": ["dog"]})
    held.gate.set()

    assert response.status_code == 504


ANY_REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "query": strategies.JSON | strategies.feature_objects(["history", "country"]),
        "candidates": st.lists(strategies.feature_objects(["id", "title", "price"]), max_size=3)
        | strategies.JSON,
        "vectors": st.lists(st.lists(strategies.NUMBERS, max_size=9) | strategies.JSON, max_size=3),
        "model": st.sampled_from(["shop-user", "text"]) | strategies.JSON,
        "candidates_model": st.sampled_from(["shop-item", "text"]) | strategies.JSON,
        "top_k": st.integers(-1, 5) | strategies.JSON,
        "space": strategies.JSON,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(body=ANY_REQUEST)
async def test_any_json_whatsoever_gets_an_answer(client: httpx.AsyncClient, body: Any) -> None:
    content = json.dumps(body, skipkeys=True).encode()

    response = await client.post("/score", content=content, headers={"Content-Type": "application/json"})

    if response.status_code == 200:
        ScoreResponse.model_validate_json(response.content)
    else:
        assert 400 <= response.status_code < 500
        ErrorBody.model_validate_json(response.content)


@given(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.integers(-5, 5).map(float)),
    st.integers(1, 50),
)
def test_the_top_is_the_start_of_a_stable_sort(scores: np.ndarray, count: int) -> None:
    assert top(scores, count) == np.argsort(-scores, kind="stable")[:count].tolist()
