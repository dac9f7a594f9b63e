"""GET / is a page for people and a line for others; its files are served as they lie there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.api.page import ASSETS, FILES

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"  # as browsers say it


async def page(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.get("/", headers={"Accept": BROWSER, **headers})


@pytest.mark.parametrize(
    "accept", ["text/html", BROWSER, "TEXT/HTML; charset=utf-8", "text/plain;q=0.5, text/html;q=0.1"]
)
async def test_who_accepts_html_gets_the_page(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/", headers={"Accept": accept})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!doctype html>")
    assert "{" not in answer.text


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "text/*", "text/html;q=0", "text/html;q=much", "", ",;,=", "a" * 999],
)
async def test_others_get_a_line(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/", headers={"Accept": accept})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert len(answer.text.splitlines()) == 1
    assert answer.headers["vary"] == "Accept"


async def test_head_has_the_headers_of_the_page(client: httpx.AsyncClient) -> None:
    get, head = await page(client), await client.head("/", headers={"Accept": BROWSER})

    assert (head.status_code, head.content) == (200, b"")
    assert {*head.headers} == {*get.headers}
    assert head.headers["content-length"] == str(len(get.content))


async def test_the_page_runs_files_of_this_server_and_nothing_that_stands_in_it(
    client: httpx.AsyncClient,
) -> None:
    answer = await page(client)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))

    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", answer.text)


async def test_what_is_known_is_asked_for_and_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await page(client)
    again = await page(client, **{"If-None-Match": first.headers["etag"]})
    script = await client.get("/page/main.js")
    same = await client.get("/page/main.js", headers={"If-None-Match": script.headers["etag"]})

    assert (again.status_code, again.content, same.status_code, same.content) == (304, b"", 304, b"")
    assert {one.headers["cache-control"] for one in (first, again, script)} == {"no-cache"}


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_there_and_names_no_other_host(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/page/{name}")
    kinds = {"js": "text/javascript", "css": "text/css"}

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])
    assert not re.search(r"""(from|import|src=|href=|url\(|fetch\()\s*\(?["'`]?(https?:)?//""", answer.text)


def test_every_import_is_of_a_file_that_is_there() -> None:
    imports = [
        (path, found)
        for path in ASSETS.rglob("*.js")
        for found in re.findall(r"""(?:from |new URL\()"(\.{1,2}/[\w./]+\.js)\"""", path.read_text())
    ]

    assert len(imports) > 40
    assert [(path.name, found) for path, found in imports if not (path.parent / found).is_file()] == []


def test_the_page_is_small() -> None:
    """It is read by whoever starts a server on a train."""
    assert sum(path.stat().st_size for path in ASSETS.rglob("*.*")) < 120_000


async def test_where_there_are_keys_the_page_is_open_and_tells_nothing(serving: Any, registry: Any) -> None:
    async with serving(registry, api_key="ek_only") as client:
        answers = [await page(client), *[await client.get(f"/page/{name}") for name in FILES]]
        absent = await client.get("/page/absent.js")
        models = await client.get("/models")

    assert {answer.status_code for answer in answers} == {200}
    assert (absent.status_code, models.status_code) == (401, 401)
    assert not any("ek_only" in answer.text for answer in answers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_files_are_only_read(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/page/main.js")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_the_card_of_a_version_is_as_it_was_published(
    serving: Any, registry: Any, models: Path
) -> None:
    path = models / "text" / "1" / "README.md"
    async with serving(registry, models_dir=models) as client:
        card = await client.get("/models/text/card")
        versions = [(await client.get(f"/models/text/card?version={one}")).status_code for one in (1, 9)]
        path.write_text("something else")
        changed = await client.get("/models/text/card")

    assert (card.status_code, card.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
    assert card.text.strip()
    assert versions == [200, 404]
    assert (changed.status_code, changed.json()["error"]["code"]) == (404, "not_found")
    assert "something else" not in changed.text
