"""Numbers for the ids of the bundled shop, whose stock codes are texts: on every route their decimal text."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jsonschema
import numpy as np
import pytest

from app.engine import Registry, load_registry
from bundle import Store

MODELS = Path(__file__).parents[3] / "models"
KNOWN = 22423
USER = "retail-user"


@pytest.fixture(scope="module")
def shop() -> Registry:
    registry = load_registry(Store(MODELS), versions_per_model=1)
    return Registry({name: registry.models[name] for name in (USER, "retail-item")})


@pytest.fixture
async def client(shop: Registry, serving: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(shop, default_model=USER) as client:
        yield client


async def encoded(client: httpx.AsyncClient, model: str, *inputs: Any) -> tuple[Any, Any]:
    answer = await client.post("/encode", json={"model": model, "inputs": list(inputs)})
    assert answer.status_code == 200, answer.text
    return answer.json()["embeddings"], answer.json()["warnings"]


async def test_a_number_gives_the_vector_of_its_text(client: httpx.AsyncClient) -> None:
    (number, text), warnings = await encoded(client, "retail-item", {"id": KNOWN}, {"id": str(KNOWN)})
    (numbers, texts), unknown = await encoded(
        client, USER, {"history": [KNOWN, {"id": 22699}]}, {"history": [str(KNOWN), {"id": "22699"}]}
    )

    assert (number, numbers) == (text, texts)
    assert warnings == unknown == []


@pytest.mark.parametrize("wrong", ["1e3", "22423.0", "true", "[22423]", "123456789012345678901234567890"])
async def test_no_other_number_is_an_id_in_a_body_or_in_a_line(client: httpx.AsyncClient, wrong: str) -> None:
    body = f'{{"model": "retail-item", "inputs": [{{}}, {{"id": {wrong}}}]}}'
    answer = await client.post("/encode", content=body, headers={"Content-Type": "application/json"})
    lines = await client.post(
        "/encode?model=retail-item",
        content=f'{{"id": {wrong}}}\n{{"id": {KNOWN}}}\n',
        headers={"Content-Type": "application/x-ndjson"},
    )

    assert answer.json()["error"]["param"] == "inputs[1].id"
    bad, good, _ = map(json.loads, lines.text.splitlines())
    assert (bad["error"]["code"], bad["error"]["param"]) == ("wrong_type", "id")
    assert "embedding" in good


TENSORS = "/v2/models/retail-item/infer"


def tensor(datatype: str, *data: float) -> dict[str, Any]:
    return {"inputs": [{"name": "id", "shape": [len(data)], "datatype": datatype, "data": data}]}


@pytest.mark.parametrize("datatype", ["INT64", "UINT16", "INT32"])
async def test_tensors_of_integers_are_ids(client: httpx.AsyncClient, datatype: str) -> None:
    answer = await client.post(TENSORS, json=tensor(datatype, KNOWN, 22699))
    expected, _ = await encoded(client, "retail-item", {"id": str(KNOWN)}, {"id": "22699"})

    np.testing.assert_allclose(answer.json()["outputs"][0]["data"], np.ravel(expected), rtol=1e-6)


@pytest.mark.parametrize("body", [tensor("FP64", KNOWN), tensor("FP32", 22423.0), tensor("BOOL", True)])
async def test_tensors_of_other_numbers_are_not(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post(TENSORS, json=body)

    assert answer.status_code == 400
    assert "inputs[0].id: expected a string or an integer" in answer.json()["error"]


async def test_candidates_may_be_bare_ids(client: httpx.AsyncClient) -> None:
    async def ranked(*candidates: Any) -> Any:
        query = {"history": ["22697"]}
        answer = await client.post("/score", json={"query": query, "candidates": list(candidates)})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"], answer.json()["warnings"]

    bare = await ranked("22423", 22699, 71053, {"id": "22720"}, "gone")
    whole = await ranked(*({"id": one} for one in ("22423", "22699", "71053", "22720", "gone")))

    assert bare == whole
    assert bare[1] == [{"param": "candidates[4]", "unknown": ["id"], "empty_item": True}]


@pytest.mark.parametrize("wrong", [22423.0, True, None, ["22423"]])
async def test_no_other_candidate_is_an_id(client: httpx.AsyncClient, wrong: Any) -> None:
    answer = await client.post("/score", json={"query": {}, "candidates": ["22423", wrong]})

    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "candidates[1]"


async def test_the_query_is_never_a_bare_id(client: httpx.AsyncClient) -> None:
    answer = await client.post("/score", json={"query": "22423", "candidates": ["22423"]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_kind")


async def test_the_schemas_take_what_the_routes_take(client: httpx.AsyncClient) -> None:
    item = (await client.get("/models/retail-item/schema")).json()
    user = (await client.get(f"/models/{USER}/schema")).json()
    score = (await client.get("/openapi.json")).json()["paths"]["/score"]["post"]["requestBody"]

    jsonschema.validate({"id": KNOWN}, item)
    jsonschema.validate({"history": [KNOWN, {"id": KNOWN}]}, user)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"id": 0.5}, item)
    body = {"query": {}, "candidates": [KNOWN, "22699", {"id": "22720"}]}
    jsonschema.validate(body, score["content"]["application/json"]["schema"])
