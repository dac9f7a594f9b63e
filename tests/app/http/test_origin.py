"""What a foreign page could send without asking is taken by no route; everybody else's requests are."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest
from routes import paths

from app.main import create_app
from app.settings import Settings

OWN, FOREIGN = "http://encodery.test", "https://shop.example"
APP = create_app(Settings())
POSTS = [path for path in paths(APP) if "post" in APP.openapi()["paths"].get(path, {})]
UNASKED = [
    None,
    "",
    "text/plain",
    "text/plain; charset=utf-8",
    "TEXT/Plain;application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=a",
]
BODY = b'{"inputs": "hello world", "input": "hello world"}'


async def sent(client: httpx.AsyncClient, path: str, origin: str | None, kind: str | None) -> httpx.Response:
    given = {"Origin": origin, "Content-Type": kind}
    headers = {name: value for name, value in given.items() if value is not None}
    return await client.post(path, content=BODY, headers=headers)


def is_foreign(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and "ENCODERY_CORS_ORIGINS" in answer.text


@pytest.mark.parametrize("path", POSTS)
async def test_no_route_takes_what_a_foreign_page_sends_unasked(client: httpx.AsyncClient, path: str) -> None:
    for kind in UNASKED:
        for origin in (FOREIGN, "null", "https://encodery.test.evil"):
            answer = await sent(client, path, origin, kind)
            assert is_foreign(answer), (kind, origin)
            assert "example" not in answer.text


@pytest.mark.parametrize("path", POSTS)
async def test_who_sends_no_origin_is_no_page(client: httpx.AsyncClient, path: str) -> None:
    """`curl -d` says that its JSON is a form: what that is answered is the route's affair."""
    for kind in UNASKED:
        assert not is_foreign(await sent(client, path, None, kind))
        assert not is_foreign(await sent(client, path, OWN, kind))


@pytest.mark.parametrize("path", POSTS)
async def test_json_of_a_foreign_page_was_asked_for(client: httpx.AsyncClient, path: str) -> None:
    """By a preflight, which is refused; a program may send both headers."""
    assert not is_foreign(await sent(client, path, FOREIGN, "application/json"))
    assert (await client.options(path, headers={"Origin": FOREIGN})).status_code == 405


async def test_an_origin_that_is_named_may(serving: Any, registry: Any) -> None:
    for origins in (FOREIGN, "*"):
        async with serving(registry, cors_origins=origins) as client:
            assert (await sent(client, "/encode", FOREIGN, None)).status_code == 422  # of the field `input`
            assert (await sent(client, "/api/embed", FOREIGN, "text/plain")).status_code != 403
            if origins != "*":
                assert is_foreign(await sent(client, "/encode", "https://other.example", None))


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("a.example", "https://a.example", True),  # behind a proxy with TLS
        ("a.example:443", "https://a.example", True),
        ("A.example", "http://a.example:80", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8000", "http://127.0.0.1:3000", False),
        ("127.0.0.1:8000", "http://localhost:8000", False),
        ("a.example", "chrome-extension://a.example", False),
        ("a.example", "http://[", False),
        ("", "null", False),
    ],
)
async def test_a_page_of_this_host_is_no_foreign_one(
    client: httpx.AsyncClient, host: str, origin: str, own: bool
) -> None:
    answer = await client.post(
        "/encode", content=BODY, headers={"Host": host or "x", "Origin": origin, "Content-Type": "text/plain"}
    )

    assert is_foreign(answer) is not own
