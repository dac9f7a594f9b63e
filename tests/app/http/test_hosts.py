"""Under which names a server is asked, and by which pages, where only its own machine can reach it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import sockets

from app.http.hosts import is_local
from app.main import create_app
from app.settings import Settings

BODY = b'{"model": "text", "input": "hello"}'
JSON = "Content-Type: application/json"
LOCAL = [
    "localhost", "localhost:8000", "LOCALHOST.", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "[::1]",
    "192.168.1.7", "encodery", "encodery:8000", "box.local", "api.localhost:80", "host.docker.internal",
    "nas.home.arpa", "",
]  # fmt: skip
FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.nip.example",
    "a.localhost.com",
]


async def answered(
    registry: Any, name: str, *lines: str, path: str = "/api/embed", settings: dict[str, Any]
) -> Any:
    """Status and error of a request under a name, to a real server on 127.0.0.1."""
    app = create_app(Settings(**settings), registry)
    async with app.router.lifespan_context(app), sockets.listening(app) as (port, _):
        return await _asked(port, name, path, lines)


async def _asked(port: int, host: str, path: str, lines: tuple[str, ...]) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    method = "GET" if path == "/api/tags" else "POST"
    head = sockets.head(
        path, *lines, "Connection: close", length=0 if method == "GET" else len(BODY), method=method
    )
    writer.write(head.replace(b"Host: a", f"Host: {host}".encode()) + (b"" if method == "GET" else BODY))
    status, headers = await sockets.read_head(reader)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    writer.close()
    await writer.wait_closed()
    return status, json.loads(body or b"null"), headers


@pytest.mark.parametrize("host", LOCAL)
def test_a_name_that_no_public_dns_gives_away_is_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_of_the_public_dns_is_not(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("host", "settings", "status"),
    [
        ("localhost:8000", {}, 200),
        ("127.0.0.1", {}, 200),
        ("evil.example", {}, 403),
        ("evil.example", {"host": "localhost"}, 403),
        ("evil.example", {"host": "0.0.0.0"}, 200),  # others are meant to reach it
        ("embed.example", {"trusted_proxies": "127.0.0.1"}, 200),
        ("embed.example:443", {"allowed_hosts": "embed.example"}, 200),
        ("EMBED.example.", {"allowed_hosts": "other, embed.Example"}, 200),
        ("a.embed.example", {"allowed_hosts": "*.embed.example"}, 200),
        ("embed.example", {"allowed_hosts": "*.embed.example"}, 403),
        ("evilembed.example", {"allowed_hosts": "*.embed.example,embed.example"}, 403),
        ("evil.example", {"allowed_hosts": "*"}, 200),
        ("evil.example", {"allowed_hosts": "embed.example", "host": "0.0.0.0"}, 403),
        ("10.1.2.3:8000", {"allowed_hosts": "embed.example", "host": "0.0.0.0"}, 200),  # of a probe
    ],
)
async def test_a_server_is_asked_under_its_names(
    registry: Any, host: str, settings: dict[str, Any], status: int
) -> None:
    found, body, _ = await answered(registry, host, JSON, settings=settings)

    assert found == status
    if status == 403:
        assert "ENCODERY_ALLOWED_HOSTS" in body["error"]
        assert "example" not in body["error"]


@pytest.mark.parametrize("path", ["/api/embed", "/api/tags"])
@pytest.mark.parametrize(
    ("origin", "settings", "status"),
    [
        ("https://shop.example", {}, 403),
        ("null", {}, 403),
        ("chrome-extension://abc", {}, 403),
        ("http://localhost:3000", {}, 200),
        ("app://obsidian.md", {}, 200),
        ("https://shop.example", {"cors_origins": "https://*.example"}, 200),
        ("https://shop.example", {"host": "0.0.0.0"}, 200),  # its browser asked before, or does not send it
    ],
)
async def test_a_server_for_this_machine_is_not_for_pages_of_others(
    registry: Any, path: str, origin: str, settings: dict[str, Any], status: int
) -> None:
    """Not even by GET, and not as JSON, for which a browser would have asked before."""
    found, body, _ = await answered(
        registry, "localhost", JSON, f"Origin: {origin}", path=path, settings=settings
    )

    assert found == status
    if status == 403:
        assert "ENCODERY_CORS_ORIGINS" in body["error"]


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("http://localhost", True),
        ("http://localhost:3000", True),
        ("https://127.0.0.1:8443", True),
        ("http://[::1]:5173", True),
        ("app://obsidian.md", True),
        ("tauri://localhost", True),
        ("vscode-webview://0a1b", True),
        ("http://localhost.evil.example", False),
        ("http://evil.example:3000", False),
        ("https://app.example", False),
        ("null", False),
    ],
)
async def test_pages_and_programs_of_this_machine_may_be_allowed_by_one_word(
    serving: Any, registry: Any, origin: str, may: bool
) -> None:
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with serving(registry, cors_origins="local") as client:
        preflight = await client.options("/api/embed", headers=asking)
        answer = await client.get("/api/tags", headers={"Origin": origin})

    for one in (preflight, answer):
        assert one.headers.get("access-control-allow-origin") == (origin if may else None)
    assert preflight.status_code == 204
