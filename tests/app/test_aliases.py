"""Other names for models: a setting that every route follows, that lists show, and that no key gets round."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.aliases import parse_aliases
from app.settings import SettingsError, settings_from

ALIASES = {
    "text-embedding-3-small": "text",
    "BAAI/bge-small-en": "text/1",
    "all-minilm:l6": "text",
    "buyer": "shop-user",
    "product": "shop-item/1",
    "gone": "absent",
}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}


@pytest.fixture
async def client(serving: Any, registry: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(registry, model_aliases=ALIASES) as client:
        yield client


@pytest.mark.parametrize("name", ["text-embedding-3-small", "BAAI/bge-small-en", "all-minilm:l6"])
async def test_a_field_that_names_a_model_takes_an_alias(client: httpx.AsyncClient, name: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/encode": {"inputs": "hello"},
        "/score": {"query": "hello", "candidates": ["world"], "candidates_model": name},
        "/v1/embeddings": {"input": "hello"},
        "/embeddings": {"input": "hello"},
        "/api/embed": {"input": "hello"},
        "/api/embeddings": {"prompt": "hello"},
        "/v1/embed": {"texts": ["hello"]},
        "/v2/embed": {"texts": ["hello"], "input_type": "search_query"},
    }
    for path, body in bodies.items():
        answer = await client.post(path, json=body | {"model": name})

        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["x-model-version"] == "text/1"
    assert (await client.post("/api/show", json={"model": name})).status_code == 200
    assert (await client.get(f"/v1/models/{name}")).json()["id"] == name


@pytest.mark.parametrize("path", ["/models/buyer", "/models/buyer/schema", "/v2/models/buyer",
    "/v2/models/buyer/ready", "/v2/models/buyer/versions/1", "/model-version?model=buyer"])  # fmt: skip
async def test_a_path_that_names_a_model_takes_an_alias(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_the_other_protocols_follow_an_alias(
    client: httpx.AsyncClient, serving: Any, registry: Any
) -> None:
    infer = await client.post("/v2/models/text-embedding-3-small/infer", json={"inputs": [TENSOR]})
    stream = await client.post(
        "/encode?model=buyer",
        content=b'{"country": "GB"}\n',
        headers={"Content-Type": "application/x-ndjson"},
    )
    async with serving(registry, model_aliases={"mine": "text"}, default_model="mine") as other:
        tei = await other.post("/embed", json={"inputs": "hello"})
        ready, listed = await other.get("/health/ready"), (await other.get("/models")).json()

    assert infer.json()["model_name"] == "text"
    assert stream.headers["x-model-version"] == "shop-user/1"
    assert (tei.headers["x-model-version"], ready.status_code, listed["default"]) == ("text/1", 200, "text")


async def test_lists_show_the_aliases_that_lead_somewhere(client: httpx.AsyncClient) -> None:
    openai = (await client.get("/v1/models")).json()["data"]
    ollama = {one["name"] for one in (await client.get("/api/tags")).json()["models"]}
    ours = (await client.get("/models")).json()
    led = ALIASES.keys() - {"gone"}

    assert {one["id"]: one["root"] for one in openai} == {
        "text": "text/1", "shop-user": "shop-user/1", "shop-item": "shop-item/1",
        "text-embedding-3-small": "text/1", "BAAI/bge-small-en": "text/1", "all-minilm:l6": "text/1",
        "buyer": "shop-user/1", "product": "shop-item/1",
    }  # fmt: skip
    assert {"all-minilm:l6", "buyer:latest", "text-embedding-3-small:latest"} <= ollama
    assert ours["aliases"].keys() == led


async def test_an_error_names_the_aliases_and_one_that_leads_nowhere_is_unknown(
    client: httpx.AsyncClient,
) -> None:
    near = await client.post("/encode", json={"model": "text-embeding-3-small", "inputs": "hello"})
    gone = await client.post("/v1/embeddings", json={"model": "gone", "input": "hello"})

    assert "did you mean 'text-embedding-3-small'?" in near.json()["error"]["message"]
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_key_reaches_by_an_alias_what_it_reaches_by_name(
    serving: Any, registry: Any, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.toml"
    digest = hashlib.sha256(b"shop").hexdigest()
    keys.write_text(f'[shop]\nsha256 = "{digest}"\nmodels = ["shop-*", "text-embedding-*"]\n')
    async with serving(registry, model_aliases=ALIASES, keys_file=keys) as client:
        client.headers["Authorization"] = "Bearer shop"
        mine = await client.post("/encode", json={"model": "buyer", "inputs": {"country": "DE"}})
        other = await client.post("/encode", json={"model": "text-embedding-3-small", "inputs": "hello"})
        listed = (await client.get("/models")).json()["aliases"]

    assert (mine.status_code, other.status_code) == (
        200,
        404,
    )  # the pattern is of models, not of their aliases
    assert "embedding" not in other.text
    assert listed == {"buyer": "shop-user", "product": "shop-item/1"}


async def test_a_models_own_name_comes_before_an_alias(serving: Any, registry: Any) -> None:
    async with serving(registry, model_aliases={"text": "shop-user"}) as client:
        answer = await client.post("/encode", json={"model": "text", "inputs": "hello"})

    assert answer.headers["x-model-version"] == "text/1"


def test_aliases_come_from_a_variable_or_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "encodery.toml"
    file.write_text('[model_aliases]\nada = "text/2"\n"BAAI/bge-m3" = "text"\n')
    monkeypatch.setenv("ENCODERY_CONFIG", str(file))
    table = settings_from()
    monkeypatch.setenv("ENCODERY_MODEL_ALIASES", " a/b = text , c:d=shop-user/3,")
    variable = settings_from()

    assert table.model_aliases == {"ada": "text/2", "BAAI/bge-m3": "text"}
    assert variable.model_aliases == {"a/b": "text", "c:d": "shop-user/3"}
    for settings in (table, variable):  # as a worker gets them
        assert parse_aliases(settings.environment()["ENCODERY_MODEL_ALIASES"]) == settings.model_aliases


@pytest.mark.parametrize("wrong", ["ada", "ada=", "=text", "a=text,a=text", "a b=text", "a=Text",
    "a=text/2/3",
    "a=../x", "a=\n", "a" * 65 + "=text"])  # fmt: skip
def test_what_is_no_alias_is_told_at_start(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("ENCODERY_MODEL_ALIASES", wrong)

    with pytest.raises(SettingsError, match="ENCODERY_MODEL_ALIASES"):
        settings_from()
