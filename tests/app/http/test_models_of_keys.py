"""A key sees its own models, and nothing tells it of others: not even pages about those that it has."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.engine import Registry, load_registry
from bundle import Store

USERS = {"X-API-Key": "ek_users"}
EVERYTHING = {"X-API-Key": "ek_everything"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.toml"
    file.write_text(
        "".join(
            f'[{name}]\nsha256 = "{hashlib.sha256(f"ek_{name}".encode()).hexdigest()}"\nmodels = {models}\n'
            for name, models in {"users": '["shop-user"]', "everything": '["*"]'}.items()
        )
    )
    return file


@pytest.fixture
async def client(serving: Any, registry: Registry, keys: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(registry, keys_file=keys) as client:
        yield client


async def test_peers_are_told_to_who_may_ask_for_them(client: httpx.AsyncClient) -> None:
    async def peers(headers: dict[str, str]) -> list[str]:
        answer = await client.get("/models/shop-user", headers=headers)
        return [peer["name"] for version in answer.json()["versions"] for peer in version["peers"]]

    assert await peers(EVERYTHING) == ["shop-item"]
    assert await peers(USERS) == []


async def test_a_pair_of_which_one_is_not_there_is_told_by_the_right_field(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"model": "shop-user", "query": {}, "candidates": [{"id": "A1"}]}
    silent = await client.post("/score", headers=USERS, json=body)
    named = await client.post("/score", headers=USERS, json=body | {"candidates_model": "shop-item"})
    nobodys = await client.post("/score", headers=USERS, json=body | {"candidates_model": "shop-itom"})

    for answer in (silent, named, nobodys):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_model")
        assert answer.json()["error"]["param"] == "candidates_model"
        assert "shop-item" not in answer.text
    assert "the other encoder of shop-user" in silent.json()["error"]["message"]
    assert (await client.post("/score", headers=EVERYTHING, json=body)).status_code == 200


async def test_health_names_models_to_who_may_ask_for_them(serving: Any, models: Path, keys: Path) -> None:
    """Probes need no key, and name none."""
    (models / "text" / "1" / "golden.json").write_text("{}")
    async with serving(load_registry(Store(models), versions_per_model=2), keys_file=keys) as client:
        ready = await client.get("/health/ready")
        users = await client.get("/health", headers=USERS)
        everything = await client.get("/health", headers=EVERYTHING)

    assert (ready.status_code, ready.json()["reasons"]) == (503, ["model_not_ready"])
    assert users.json()["reasons"] == ["model_not_ready"]
    assert '"text"' not in users.text
    assert everything.json()["reasons"] == ["model_not_ready:text"]
