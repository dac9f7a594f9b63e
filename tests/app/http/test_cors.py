"""Pages of other origins may read answers where a setting names them, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import httpx2 as httpx
import pytest
from routes import paths

from app.http.cors import LOCAL

PAGE = "https://shop.example"
ASKING = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}


def allowed(response: httpx.Response) -> str | None:
    return response.headers.get("access-control-allow-origin")


async def test_by_default_no_page_may_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/encode", json={"inputs": "hello"}, headers={"Origin": PAGE})
    preflight = await client.options("/encode", headers={"Origin": PAGE, **ASKING})

    assert (answer.status_code, allowed(answer)) == (200, None)
    assert (preflight.status_code, allowed(preflight)) == (405, None)


@pytest.mark.parametrize(
    ("origins", "origin", "expected"),
    [
        (PAGE, PAGE, PAGE),
        (f"https://other.example, {PAGE}/", PAGE, PAGE),
        (PAGE, "https://shop.example.evil", None),
        (PAGE, "http://shop.example", None),
        (PAGE, "null", None),
        ("*", "https://anybody.example", "*"),
    ],
)
async def test_an_origin_may_read_if_it_is_named(
    serving: Any, registry: Any, origins: str, origin: str, expected: str | None
) -> None:
    """Errors too, or the page could not tell its user what is wrong."""
    async with serving(registry, cors_origins=origins, api_key="ek_only") as client:
        preflight = await client.options("/encode", headers={"Origin": origin, **ASKING})
        headers = {"Origin": origin, "X-API-Key": "ek_only"}
        answer = await client.post("/encode", json={"inputs": "hello"}, headers=headers)
        refused = await client.post("/encode", json={"inputs": "hello"}, headers={"Origin": origin})

    assert (preflight.status_code, answer.status_code, refused.status_code) == (204, 200, 401)
    assert allowed(preflight) == allowed(answer) == allowed(refused) == expected
    assert preflight.headers["access-control-allow-headers"] == "content-type,x-api-key"
    assert "access-control-allow-credentials" not in answer.headers
    assert ("origin" in answer.headers.get("vary", "").lower()) == (origins != "*")


async def test_no_answer_is_taken_for_another_type(client: httpx.AsyncClient) -> None:
    answers = [await client.get(path) for path in ("/", "/health", "/nowhere", "/docs", "/metrics")]

    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


async def test_a_page_is_not_framed_and_loads_from_here_only(client: httpx.AsyncClient) -> None:
    """Of scripts it runs those of this server, and the one that stands in it as it was written."""
    page = await client.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    [script] = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert policy["default-src"] == "'self'"
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"""(src|href)=["']https?:""", page.text)


async def test_every_page_has_a_policy(client: httpx.AsyncClient) -> None:
    """Whatever is HTML; there is nothing else of the framework's, such as /redoc."""
    for path in paths(client.app):
        answer = await client.get(path)
        if "html" in answer.headers.get("content-type", ""):
            assert "content-security-policy" in answer.headers, path
    assert (await client.get("/redoc")).status_code == 404


@pytest.mark.parametrize(
    ("origin", "is_local"),
    [
        ("http://0.0.0.0", True),
        ("https://0.0.0.0:8443", True),
        ("http://localhost:3000", True),
        ("http://[::1]:1", True),
        ("file://", True),
        ("file://localhost", True),
        ("app://obsidian.md", True),
        ("vscode-file://vscode-app", True),
        ("http://0.0.0.0.evil.example", False),
        ("http://10.0.0.0", False),
        ("http://0.0.0.0:80@evil.example", False),
        ("file:", False),
        ("null", False),
    ],
)
def test_what_is_local_is_what_ollama_allows_by_default(origin: str, is_local: bool) -> None:
    assert LOCAL.allows(origin.encode()) is is_local
