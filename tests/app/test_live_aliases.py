"""A file of aliases: exact and by pattern, on every protocol, read again while the server runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from running import Server

from app.aliases import AliasTable
from app.live_aliases import AliasesError, LiveAliases, parse_file
from app.main import create_app
from app.settings import Settings
from app.shared.listener import CannotServe

FILE = """
"text-embedding-3-small" = "text"
"text-embedding-*" = "text/1"
"bge-*-en*" = "text"
"shop" = "shop-user"
"""
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "aliases.toml"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("exact", "one"),
        ("a-b", "two"),  # the first pattern that fits
        ("a-", "two"),
        ("x-b", "three"),
        ("e5-large-en", "four"),
        ("e5-en", None),
        ("anything", None),
        ("a-*", "two"),
        ("", None),
    ],
)
def test_a_name_is_found_as_written_or_by_the_first_pattern(name: str, target: str | None) -> None:
    table = AliasTable({"a-*": "two", "*-b": "three", "exact": "one", "e5-*-en": "four"})

    assert table.get(name) == target
    assert (name in table) is (name in ("exact", "a-*"))
    assert list(table) == ["a-*", "*-b", "exact", "e5-*-en"]


@given(parts=st.lists(st.text(max_size=4), min_size=2, max_size=5), between=st.data())
def test_whatever_stands_for_the_stars_is_found(parts: list[str], between: st.DataObject) -> None:
    parts = [part.replace("*", "") for part in parts]
    gaps = [between.draw(st.text(max_size=3)) for _ in parts]
    name = "".join(part + gap for part, gap in zip(parts, [*gaps[:-1], ""], strict=True))

    assert AliasTable({"*".join(parts): "text"}).get(name) == "text"


def test_many_stars_cost_no_more_than_the_name_is_long() -> None:
    """A regular expression would go back for years."""
    table = AliasTable({"*a" * 30 + "b": "text"})

    assert table.get("a" * 1_000_000) is None


@pytest.mark.parametrize("name", ["text-embedding-3-small", "text-embedding-ada-002", "bge-small-en-v1.5"])
async def test_every_protocol_that_names_a_model_follows_it(
    serving: Any, registry: Any, file: Path, name: str
) -> None:
    asked: dict[str, dict[str, Any]] = {
        "/encode": {"inputs": "hello", "model": name},
        "/score": {"query": "hello", "candidates": ["world"], "model": name},
        "/v1/embeddings": {"input": "hello", "model": name},
        "/api/embed": {"input": "hello", "model": name},
        "/api/embeddings": {"prompt": "hello", "model": f"{name}:latest"},
        "/v2/embed": {"texts": ["hello"], "model": name},
        f"/v2/models/{name}/infer": {"inputs": [TENSOR]},
    }
    async with serving(registry, aliases_file=file) as client:
        for path, body in asked.items():
            answer = await client.post(path, json=body)

            assert (answer.status_code, answer.headers.get("x-model-version")) == (200, "text/1"), path
        openai = await client.post("/v1/embeddings", json=asked["/v1/embeddings"])
        one = (await client.get(f"/v1/models/{name}")).json()

    assert openai.json()["model"] == "text"  # which model served
    assert (one["id"], one["root"]) == (name, "text/1")


async def test_lists_show_names_and_models_shows_patterns(serving: Any, registry: Any, file: Path) -> None:
    async with serving(registry, aliases_file=file, model_aliases={"ada": "text"}) as client:
        ours = (await client.get("/models")).json()
        openai = {one["id"] for one in (await client.get("/v1/models")).json()["data"]}
        tags = {one["name"] for one in (await client.get("/api/tags")).json()["models"]}
        kserve = (await client.get("/v2/models")).json()["models"]

    assert list(ours["aliases"]) == ["ada", "text-embedding-3-small", "text-embedding-*", "bge-*-en*", "shop"]
    assert {one["id"] for one in ours["data"]} == openai
    assert {"ada", "shop", "text-embedding-3-small"} <= openai
    assert not any("*" in name for name in openai | tags | set(kserve))
    assert {"text", "ada", "shop"} <= set(kserve)


async def test_without_a_file_no_other_name_is_known(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "hello", "model": "text-embedding-3-small"})

    assert answer.status_code == 404
    assert (await client.get("/models")).json()["aliases"] == {}


@pytest.mark.parametrize("name", ["text", "text/1", "text:latest", "shop-user"])
async def test_a_pattern_for_all_takes_no_models_own_name(
    serving: Any, registry: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / "all.toml").write_text('"*" = "shop-item"\n')
    async with serving(registry, aliases_file=tmp_path / "all.toml") as client:
        own = await client.get(f"/v1/models/{name}")
        gone = await client.get("/v1/models/text/9")
        other = await client.get("/v1/models/whatever:3")

    assert own.json()["root"].startswith(name.partition("/")[0].partition(":")[0])
    assert gone.status_code == 404  # a version that is not loaded, of a model that is
    assert other.json()["root"] == "shop-item/1"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('"a" = "text"\n"b" = 5\n', "line 2: write name=model or name=model/version"),
        ('"a" = "text"\n\n# more\n"text-*" = "Text!"\n', "line 4: write name=model"),
        ('"a b" = "text"\n', "line 1: a name has 1 to 64 characters"),
        ('bge-v1.5 = "text"\n', "line 1: a name with dots stands in quotes"),
        ('# ours\n[aliases]\na = "text"\n', "line 2: this is a table"),
        ('[[a]]\nb = "text"\n', "line 1: write name=model"),
        ('a = {b = "text"}\n', "line 1: this is a table"),
        ('[a.b]\nc = "text"\n', "line 1: this is a table"),
        ('a = "text"\na = "text"\n', r"says the same twice \(at line 2"),
        ('a = "text\n', r"no TOML in UTF-8 \(at line 1"),
        ("".join(f'm{n} = "text"\n' for n in range(1001)), "1001 aliases, the limit is 1000"),
    ],
)
def test_a_wrong_file_is_named_with_its_line_and_the_way_out(content: str, told: str) -> None:
    with pytest.raises(AliasesError, match=f"aliases.toml.*{told}"):
        parse_file(content.encode(), "aliases.toml")


def test_a_wrong_file_stops_the_start(tmp_path: Path) -> None:
    for content in ("a = 5", None):
        file = tmp_path / "aliases.toml"
        file.unlink(missing_ok=True)
        if content:
            file.write_text(content)
        with pytest.raises(CannotServe, match=r"The aliases cannot be used: .*aliases.toml"):
            create_app(Settings(aliases_file=file))


async def test_the_file_is_read_again_and_a_wrong_one_changes_nothing(file: Path) -> None:
    aliases, changes = (
        LiveAliases(Settings(aliases_file=file, model_aliases={"ada": "text"})),
        asyncio.Event(),
    )
    watching = asyncio.create_task(aliases.watch(changes.set))
    try:
        file.write_text('"new-*" = "text"\nada = "shop-user"\n')
        await asyncio.wait_for(changes.wait(), 30)
        assert dict(aliases.table) == {"ada": "text", "new-*": "text"}  # the setting's comes first

        changes.clear()
        file.write_text("new = 5")
        await asyncio.sleep(1.5)
        assert not changes.is_set()
        assert aliases.table.get("new-one") == "text"
    finally:
        watching.cancel()


def test_who_wrote_an_alias_that_has_no_effect_is_told_why(file: Path) -> None:
    """At every reading, and of a pattern, too."""
    file.write_text('text = "shop-user"\n"a-*" = "absent"\nold = "text/7"\ngood = "text/2"\nany = "text"\n')
    aliases = LiveAliases(Settings(aliases_file=file))
    with structlog.testing.capture_logs() as told:
        for _ in range(2):
            aliases.tell_useless({"text": ["1", "2"], "shop-user": ["1"]})

    reasons = {one["name"]: one["reason"].partition(";")[0] for one in told}
    assert reasons == {
        "text": "a model has this name",
        "a-*": "its model is not there",
        "old": "its version is not loaded",
    }
    assert len(told) == len(reasons)


def test_a_process_that_takes_anothers_place_goes_on_with_the_copy(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.toml"
    settings = Settings(aliases_file=file)
    before = LiveAliases(settings, copy).table
    file.write_text("[")

    assert dict(LiveAliases(settings, copy).table) == dict(before)


@pytest.mark.e2e
def test_a_running_server_follows_the_file(published: Path, tmp_path: Path) -> None:
    file = tmp_path / "aliases.toml"
    file.write_text('old = "text"\nnowhere = "absent"\n')
    server = Server(published, ENCODERY_ALIASES_FILE=str(file))
    try:
        url = server.logged("ready")["url"]
        useless = server.logged("alias without effect")
        file.write_text('"new-*" = "text"\n')
        server.process.send_signal(1)  # SIGHUP
        server.logged("reloaded")
        body = {"input": "hello", "model": "new-name"}
        statuses = set()
        for _ in range(100):
            statuses.add(httpx.post(f"{url}/v1/embeddings", json=body, trust_env=False).status_code)
            if 200 in statuses:
                break
            asyncio.run(asyncio.sleep(0.05))
        old = httpx.post(f"{url}/v1/embeddings", json=body | {"model": "old"}, trust_env=False)
    finally:
        server.process.terminate()
        server.wait()

    assert useless["name"] == "nowhere"
    assert statuses <= {404, 200}
    assert 200 in statuses
    assert old.status_code == 404
