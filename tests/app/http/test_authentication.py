"""Where there are keys, nothing but the probes answers without one, whatever is tried."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.routing import Mount

from app.api.page import FILES
from app.main import create_app
from app.settings import Settings
from app.shared.listener import CannotServe

OPTIONAL = "/health"  # answers less without a key
PAGE = {"/", *(f"/page/{name}" for name in FILES)}  # which asks for a key
OPEN = {OPTIONAL, *PAGE, "/ping", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"}
SECRETS = {"search": "ek_search", "shop": "ek_shop", "prometheus": "ek_prometheus"}
KEYS = """
[search]
sha256 = "{search}"
models = ["text"]

[shop]
sha256 = "{shop}"
models = ["shop-*"]
requests_per_s = 1000
max_in_work = 2

[prometheus]
sha256 = "{prometheus}"
scopes = ["metrics"]
"""


def write_keys(file: Path, content: str = KEYS) -> Path:
    file.write_text(
        content.format(**{name: hashlib.sha256(one.encode()).hexdigest() for name, one in SECRETS.items()})
    )
    return file


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[name]}"}


@pytest.fixture
async def client(serving: Any, registry: Any, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(registry, keys_file=write_keys(tmp_path / "keys.toml")) as client:
        yield client


def everything(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Every method and path of the app, its parameters filled in."""
    found = []
    for route in client.app.routes:
        path = route.path + "/x" if isinstance(route, Mount) else route.path
        path = path.replace(":path}", "}").format(name="text", model="text", version="1", alias="champion")
        found += [(method, path) for method in getattr(route, "methods", None) or {"GET"}]
    assert len(found) > 40
    return found


async def test_every_route_but_the_probes_wants_a_key(client: httpx.AsyncClient) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"X-API-Key": ""},
        {"Authorization": "Basic ek_search"},
    ):
        for method, path in everything(client):
            if path == OPTIONAL and method in ("GET", "HEAD"):
                continue
            answer = await client.request(method, path, headers=headers, json={"inputs": "hello"})
            expected = (
                answer.status_code != 401
                if path in OPEN and method in ("GET", "HEAD")
                else answer.status_code == 401
            )
            assert expected, (method, path, headers, answer.status_code)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer ek_search"},
        {"Authorization": "bearer  ek_search "},
        {"X-API-Key": "ek_search"},
        {"api-key": "ek_search"},
        {"Authorization": "Bearer ek_search", "X-API-Key": "ek_search"},
    ],
)
async def test_a_key_is_read_from_where_clients_put_it(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/encode", json={"inputs": "hello"}, headers=headers)

    assert answer.status_code == 200


async def test_two_different_keys_are_none(client: httpx.AsyncClient) -> None:
    """Whoever stands between could not tell which one counts."""
    headers = {"Authorization": "Bearer ek_search", "X-API-Key": "ek_shop"}

    assert (await client.post("/encode", json={"inputs": "hello"}, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "//encode",
        "/encode/",
        "/health/live/../../encode",
        "/health/live%2f..%2f..%2fencode",
        "/ENCODE",
        "/nowhere",
    ],
)
@pytest.mark.parametrize("host", ["encodery.test", "127.0.0.1", "localhost", "health"])
async def test_tricks_of_path_and_host_open_nothing(client: httpx.AsyncClient, path: str, host: str) -> None:
    answer = await client.post(
        path, json={"inputs": "hello"}, headers={"Host": host, "X-Forwarded-For": "127.0.0.1"}
    )

    assert answer.status_code == 401


async def test_a_key_has_its_scopes(client: httpx.AsyncClient) -> None:
    async def status(method: str, path: str, key: str) -> int:
        answer = await client.request(method, path, json={"inputs": "hello"}, headers=bearer(key))
        return answer.status_code

    assert await status("GET", "/metrics", "prometheus") == 200
    assert await status("GET", "/metrics", "search") == 403
    assert await status("POST", "/encode", "prometheus") == 403
    assert await status("POST", "/v1/embeddings", "prometheus") == 403
    assert await status("GET", "/models", "prometheus") == 200


async def test_a_key_sees_its_models_only(client: httpx.AsyncClient) -> None:
    named = (await client.get("/models", headers=bearer("search"))).json()
    other = await client.post("/encode", json={"model": "shop-user", "inputs": {}}, headers=bearer("search"))
    tags = (await client.get("/api/tags", headers=bearer("shop"))).json()

    assert [model["name"] for model in named["models"]] == ["text"]
    assert (other.status_code, other.json()["error"]["code"]) == (404, "unknown_model")
    assert "shop" not in other.json()["error"]["message"]
    assert {tag["name"].partition(":")[0] for tag in tags["models"]} == {"shop-user", "shop-item"}


async def test_a_refusal_has_the_shape_of_its_protocol(client: httpx.AsyncClient) -> None:
    ours = await client.post("/encode", json={"inputs": "hello"})
    tei = await client.post("/embed", json={"inputs": "hello"})
    ollama = await client.post("/api/embed", json={"model": "text", "input": "hello"})

    assert ours.json()["error"]["code"] == "invalid_api_key"
    assert ours.headers["www-authenticate"] == "Bearer"
    assert tei.json().keys() == {"error", "error_type"}
    assert ollama.json().keys() == {"error"}


async def test_a_refusal_does_not_wait_for_the_body(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await client.post("/encode", content=body(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 401


async def test_the_limit_of_a_key_is_named_and_says_when(serving: Any, registry: Any, tmp_path: Path) -> None:
    keys = KEYS.replace("requests_per_s = 1000", "requests_per_s = 0.01")
    async with serving(registry, keys_file=write_keys(tmp_path / "keys.toml", keys)) as client:
        body = {"model": "shop-user", "inputs": {}}
        first = await client.post("/encode", json=body, headers=bearer("shop"))
        second = await client.post("/encode", json=body, headers=bearer("shop"))
        other = await client.post("/encode", json={"inputs": "hello"}, headers=bearer("search"))

    assert (first.status_code, second.status_code, other.status_code) == (200, 429, 200)
    assert second.json()["error"]["code"] == "rate_limited"
    assert "requests_per_s" in second.json()["error"]["message"]
    assert 90 <= int(second.headers["retry-after"]) <= 100


async def test_answers_are_counted_for_each_key(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post("/encode", json={"inputs": "hello"}, headers=bearer("search"))
    await client.get("/metrics", headers=bearer("search"))
    await client.get("/models", headers={"X-API-Key": "ek_wrong"})
    await client.get("/health/ready", headers=bearer("shop"))
    text = (await client.get("/metrics", headers=bearer("prometheus"))).text

    counted = [line for line in text.splitlines() if line.startswith("encodery_key_requests_total{")]
    assert counted == [
        'encodery_key_requests_total{key="search",status="200"} 3.0',
        'encodery_key_requests_total{key="search",status="403"} 1.0',
    ]


async def test_inputs_in_work_are_bounded_per_key(serving: Any, only: Any, fake: Any, tmp_path: Path) -> None:
    encoder = fake(name="shop-user")
    file = write_keys(tmp_path / "keys.toml")
    async with serving(only(encoder), keys_file=file, default_model="shop-user", threads=1) as client:
        encoder.hold()
        first = asyncio.create_task(
            client.post("/encode", json={"inputs": [{}, {"country": "GB"}]}, headers=bearer("shop"))
        )
        await asyncio.to_thread(encoder.entered.wait)
        second = await client.post("/encode", json={"inputs": {}}, headers=bearer("shop"))
        encoder.gate.set()

        assert (await first).status_code == 200
    assert second.status_code == 429
    assert "max_in_work" in second.text


async def test_keys_that_changed_are_read_again_and_a_broken_file_changes_nothing(
    serving: Any, registry: Any, tmp_path: Path
) -> None:
    file = write_keys(tmp_path / "keys.toml")
    async with serving(registry, keys_file=file) as client:
        gate = client.app.state.context.gate

        async def status(name: str) -> int:
            gate.look()
            return (await client.get("/models", headers=bearer(name))).status_code

        assert (await status("search"), await status("shop")) == (200, 200)
        write_keys(file, '[search]\nsha256 = "{search}"\n')
        assert (await status("search"), await status("shop")) == (200, 401)
        write_keys(file, "[search]\nsha256 = 'nothing'\n")
        assert (await status("search"), await status("shop")) == (200, 401)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_health_without_a_key_is_a_status_and_no_word(client: httpx.AsyncClient, method: str) -> None:
    """A probe that was set up for another server asks there, and has no key."""
    ready = await client.request(method, "/health")
    client.app.state.context.is_draining = True
    unready = await client.request(method, "/health")

    assert (ready.status_code, ready.content) == (200, b"")
    assert (unready.status_code, unready.content) == (503, b"")


async def test_health_tells_a_key_what_it_may_see(client: httpx.AsyncClient) -> None:
    told = await client.get("/health", headers=bearer("shop"))
    wrong = await client.get("/health", headers={"X-API-Key": "ek_nobodys"})

    assert [model["name"] for model in told.json()["models"]] == ["shop-item", "shop-user"]
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_one_key_may_come_from_a_setting(serving: Any, registry: Any) -> None:
    async with serving(registry, api_key="ek_only") as client:
        refused = await client.get("/metrics")
        answer = await client.get("/metrics", headers={"X-API-Key": "ek_only"})

    assert (refused.status_code, answer.status_code) == (401, 200)


def test_a_file_of_keys_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match=r"keys\.toml"):
        create_app(Settings(keys_file=tmp_path / "keys.toml"))


async def test_the_document_says_what_needs_a_key_and_where_it_stands(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json", headers=bearer("search"))).json()
    operations = {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }

    assert {
        path for (path, _), operation in operations.items() if "security" not in operation
    } == OPEN - PAGE - {OPTIONAL}
    assert {} in operations[OPTIONAL, "get"]["security"]
    assert all(
        {"401", "403", "429"} & one["responses"].keys() or "4XX" in one["responses"]
        for one in operations.values()
        if "security" in one
    )
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"


async def test_the_page_is_promised_to_none_who_would_not_be_shown_it(
    client: httpx.AsyncClient, serving: Any, registry: Any
) -> None:
    assert (await client.get("/docs")).status_code == 401
    assert "to who shows a key" in (await client.get("/")).text
    async with serving(registry) as everybody:
        assert (await everybody.get("/docs")).status_code == 200
        assert "key" not in (await everybody.get("/")).text


async def test_the_document_of_an_open_server_speaks_of_no_keys(serving: Any, registry: Any) -> None:
    async with serving(registry) as client:
        assert "security" not in (await client.get("/openapi.json")).text


async def test_what_works_with_a_model_needs_the_scope_for_it(client: httpx.AsyncClient) -> None:
    """Taking texts apart is work, too."""
    for path in ("/tokenize", "/decode"):
        answer = await client.post(path, json={"inputs": "hello", "ids": [1]}, headers=bearer("prometheus"))
        assert answer.status_code == 403


async def test_no_secret_is_in_any_answer_or_setting(client: httpx.AsyncClient) -> None:
    answers = [
        await client.request(method, path, headers=bearer("search"), json={"inputs": "hello"})
        for method, path in everything(client)
    ]

    assert all("ek_" not in answer.text for answer in answers)
    assert "ek_hidden" not in json.dumps(Settings(api_key="ek_hidden").shown())
