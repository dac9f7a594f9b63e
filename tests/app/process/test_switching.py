"""Versions, aliases and history over HTTP, against real servers of one process and of two."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import tiny
from running import Server, server, until

from bundle import Draft, Store, publish, set_alias, switch_current

pytestmark = pytest.mark.e2e

WRITERS = 50
LOOKS = 16  # requests on connections of their own, so that every process answers some


class Client:
    """Asks one server."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url, self._headers = url, headers or {}

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        return httpx.request(
            method, f"{self.url}{path}", headers=headers, trust_env=False, timeout=60, **options
        )

    def encode(self, inputs: Any = "hello", headers: dict[str, str] | None = None, **fields: Any) -> Any:
        answer = self.ask("POST", "/encode", json={"inputs": inputs, **fields}, headers=headers or {})
        return answer.json() if answer.status_code == 200 else answer.json()["error"]

    def versions(self, **fields: Any) -> set[str]:
        """Of many answers."""
        return {self.encode(**fields).get("version", "none") for _ in range(LOOKS)}

    def put(self, alias: str, model: str = "text", headers: Any = None, **body: Any) -> httpx.Response:
        return self.ask("PUT", f"/models/{model}/aliases/{alias}", json=body, headers=headers or {})

    def load(self, what: str, model: str = "text", **parameters: Any) -> httpx.Response:
        body = {"parameters": parameters} if parameters else {}
        return self.ask("POST", f"/v2/repository/models/{model}/{what}", json=body)

    def index(self, ready: bool = False) -> dict[tuple[str, str], str]:
        found = self.ask("POST", "/v2/repository/index", json={"ready": ready}).json()
        return {(one["name"], one["version"]): one["state"] for one in found}


@pytest.fixture
def three(models: Path) -> Path:
    """Version 1 is current; 3 is of its space, 2 of another. The pair has two versions, 1 is current."""
    publish(models, [tiny.text_draft(seed=1)])
    publish(models, [replace(Draft.of(Store(models).read("text", "1")), description="the same")])
    publish(models, tiny.pair_drafts(seed=1))
    switch_current(models, "text", "1")
    switch_current(models, "shop-user", "1")
    return models


@contextmanager
def asked(models: Path, workers: int, **variables: str) -> Iterator[tuple[Client, Server]]:
    with server(models, ENCODERY_WORKERS=str(workers), **variables) as running:
        url = running.logged("ready")["url"]
        if workers > 1:
            running.logged("all workers serve")
        until(
            lambda: (
                not any(m["loading"] for m in httpx.get(f"{url}/health", trust_env=False).json()["models"])
            )
        )
        yield Client(url), running


both = pytest.mark.parametrize("workers", [1, 2])


@both
def test_current_is_switched_and_back_with_the_very_vectors_of_before(three: Path, workers: int) -> None:
    with asked(three, workers) as (client, _):
        before = client.encode(["hello world", "the cat"])
        there = client.put("current", version="2", new_space=True)
        assert (there.status_code, there.json()["versions"]) == (200, {"2": 100})
        assert client.versions() == {"2"}
        began_s = time.monotonic()
        assert client.put("current", version="1", new_space=True).status_code == 200
        assert time.monotonic() - began_s < 20
        assert client.versions() == {"1"}

        assert client.encode(["hello world", "the cat"]) == before
        assert Store(three).current("text") == "1"


@both
def test_another_space_is_refused_naming_both_unless_it_is_meant(three: Path, workers: int) -> None:
    spaces = [Store(three).manifest("text", version).space for version in ("1", "2")]
    with asked(three, workers) as (client, _):
        answer = client.put("current", version="2")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "space_change")
        assert all(space in answer.json()["error"]["message"] for space in spaces)
        assert client.versions() == {"1"}
        assert client.put("current", version="3").status_code == 200  # of the same space
        assert client.put("current", version="2", new_space=True).status_code == 200

        pinned = client.encode(space=spaces[0])
        assert (pinned["version"], pinned["space"]) == ("3", spaces[0])
        assert client.encode(space="sp_" + "0" * 32)["code"] == "space_mismatch"


@both
def test_of_fifty_racing_writers_one_wins(three: Path, workers: int) -> None:
    with asked(three, workers) as (client, _):
        tag = client.ask("GET", "/models/text/aliases/current").headers["etag"]

        def write(number: int) -> int:
            version = "3" if number % 2 else "1"
            return client.put("current", version=version, headers={"If-Match": tag}).status_code

        with ThreadPoolExecutor(WRITERS) as pool:
            statuses = Counter(pool.map(write, range(WRITERS)))
        assert statuses == {200: 1, 412: WRITERS - 1}
        changes = client.ask("GET", "/models/text/history").json()["changes"]
        assert [one["outcome"] for one in changes if one["who"] == "loopback"] == ["done"]
        assert client.put("current", version="1", headers={"If-Match": "*"}).status_code == 200
        assert client.put("champion", version="1", headers={"If-Match": "*"}).status_code == 412
        assert client.put("champion", version="1", headers={"If-None-Match": "*"}).status_code == 200
        assert client.put("champion", version="3", headers={"If-None-Match": "*"}).status_code == 412


@both
def test_a_name_whose_file_is_broken_can_be_set_again_while_what_it_stood_for_serves(
    three: Path, workers: int
) -> None:
    with asked(three, workers) as (client, running):
        assert client.put("champion", version="3").status_code == 200
        broken = {"current": "current", "champion": ".aliases/champion"}
        for times, (alias, path) in enumerate(broken.items(), 1):
            (three / "text" / path).write_text("{")
            running.process.send_signal(signal.SIGHUP)
            running.logged("not reloaded: the models from before go on", times)
            told = client.ask("GET", f"/models/text/aliases/{alias}")
            assert (told.status_code, told.json()["error"]["code"]) == (409, "not_sound")
            assert client.put(alias, version="3").json()["error"]["code"] == "space_change"
            assert client.put(alias, version="3", new_space=True).status_code == 200
            assert client.versions(version=alias) == {"3"}
        (three / "text" / ".aliases" / "champion").write_text("{")
        assert client.ask("DELETE", "/models/text/aliases/champion").status_code == 200
        assert client.ask("DELETE", "/models/text/aliases/champion").status_code == 404


@both
def test_what_a_shell_changes_is_followed_by_all_within_the_poll(three: Path, workers: int) -> None:
    with asked(three, workers, ENCODERY_POLL_S="0.2") as (client, running):
        set_alias(three, "text", "current", {"3": 100})
        running.logged("reloaded")
        assert client.versions() == {"3"}
        pointer = (three / "text" / "current").read_bytes()
        (three / "text" / "current").write_text("{")
        running.logged("not reloaded: the models from before go on")
        assert client.versions() == {"3"}
        (three / "text" / "current").write_bytes(pointer)
        running.logged("reloaded", 2)
        set_alias(three, "text", "current", {"2": 100}, new_space=True)
        running.logged("reloaded", 3)
        assert client.versions() == {"2"}


@both
def test_a_version_that_is_not_sound_changes_nothing_and_history_says_why(three: Path, workers: int) -> None:
    path = three / "text" / "3" / "model.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with asked(three, workers, ENCODERY_VERSIONS_PER_MODEL="1") as (client, _):
        answer = client.put("current", version="3")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_sound")
        assert "SHA-256" in answer.json()["error"]["message"]
        assert client.versions() == {"1"}
        assert Store(three).current("text") == "1"
        newest = client.ask("GET", "/models/text/history").json()["changes"][0]

        assert (newest["outcome"], newest["before"], newest["after"]) == ("refused", {"1": 100}, {"3": 100})
        assert "SHA-256" in newest["reason"]
        assert newest["seconds"] > 0
        path.write_bytes(content)
        assert client.put("current", version="3").status_code == 200
        assert client.versions() == {"3"}


@both
def test_an_alias_works_wherever_a_version_does(three: Path, workers: int) -> None:
    with asked(three, workers) as (client, _):
        assert client.put("champion", version="2").status_code == 200
        assert client.versions(version="champion") == {"2"}
        assert client.encode(model="text/champion")["version"] == "2"
        assert client.encode(version="current")["version"] == "1"
        assert client.ask("GET", "/models/text/schema?version=champion").status_code == 200
        openai = client.ask("POST", "/v1/embeddings", json={"input": "a", "model": "text/champion"})
        assert openai.headers["X-Model-Version"] == "text/2"
        listed = client.ask("GET", "/models").json()["models"]
        text = {one["name"]: one for one in listed}["text"]
        assert text["aliases"] == {"champion": {"2": 100}}
        assert {one["version"]: one["names"] for one in text["versions"]} == {
            "1": ["current"],
            "2": ["champion"],
        }
        assert all(one["weight_bytes"] > 0 for one in text["versions"])
        assert workers > 1 or all(one["lately"] > 0 for one in text["versions"])
        assert client.ask("DELETE", "/models/text/aliases/champion").status_code == 200

        assert client.encode(version="champion")["code"] == "unknown_version"
        gone = client.ask("DELETE", "/models/text/aliases/champion")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
        gone = client.ask("DELETE", "/models/text/aliases/champion", headers={"If-Match": "*"})
        assert (gone.status_code, gone.json()["error"]["code"]) == (412, "alias_changed")
        assert client.ask("DELETE", "/models/text/aliases/current").status_code == 422


@both
def test_towers_move_together(three: Path, workers: int) -> None:
    with asked(three, workers) as (client, _):
        client.put("champion", model="shop-user", version="2")
        for model in ("shop-user", "shop-item"):
            assert client.versions(model=model, inputs={}, version="champion") == {"2"}
        client.put("current", model="shop-item", version="2", new_space=True)
        spaces = {client.encode({}, model=model)["space"] for model in ("shop-user", "shop-item")}
        assert len(spaces) == 1
        assert client.load("unload", "shop-user", version="1").status_code == 200

        assert {key for key in client.index(ready=True) if key[0] != "text"} == {
            ("shop-user", "2"),
            ("shop-item", "2"),
        }


@both
def test_two_versions_share_an_alias_by_a_key_of_the_caller(three: Path, workers: int) -> None:
    """A key that came to the newer one stays with it while its share grows."""
    keys = [f"user-{number}" for number in range(60)]

    def of_newer() -> set[str]:
        headers = [{"X-Split-Key": key} for key in keys]
        versions = [client.encode(version="champion", headers=one)["version"] for one in headers]
        return {key for key, version in zip(keys, versions, strict=True) if version == "3"}

    with asked(three, workers) as (client, _):
        assert client.put("champion", versions={"1": 50, "2": 50}).status_code == 409
        assert client.put("champion", versions={"1": 80, "3": 20}).status_code == 200
        few = of_newer()
        assert of_newer() == few
        client.put("champion", versions={"1": 30, "3": 70})
        many = of_newer()

        assert 0 < len(few) < len(many) < len(keys)
        assert few < many
        assert client.versions(version="champion") == {"3"}  # without a key, the larger share


@both
def test_versions_are_loaded_and_unloaded_by_request(three: Path, workers: int) -> None:
    with asked(three, workers, ENCODERY_VERSIONS_PER_MODEL="1") as (client, _):
        assert client.index()["text", "2"] == "UNAVAILABLE"
        assert client.encode(version="2")["code"] == "unknown_version"
        assert client.load("load", version="2").status_code == 200
        assert client.versions(version="2") == {"2"}
        assert client.index()["text", "2"] == "READY"
        assert client.load("unload", version="2").status_code == 200
        assert client.versions(version="2") == {"none"}
        assert client.load("unload", version="1").status_code == 409  # it is current
        assert client.load("unload").status_code == 409  # readiness needs it
        assert client.load("unload", "shop-user").status_code == 200
        assert client.encode({}, model="shop-item")["code"] == "model_unloaded"
        assert client.ask("GET", "/health/ready").status_code == 200
        assert client.load("load", "shop-item").status_code == 200

        assert client.encode({}, model="shop-user")["version"] == "1"
        assert client.load("load", version="9").status_code == 404
        assert client.load("load", "absent").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"parameters": {"file:1/model.onnx": "AAAA"}},
        {"parameters": {"config": "{}"}},
        {"parameters": {"version": "../.."}},
        {"parameters": {"version": ""}},
        {"parameters": {"version": ["1"]}},
    ],
)
def test_no_file_and_no_path_comes_with_a_request(published_server: Client, body: Any) -> None:
    answer = published_server.ask("POST", "/v2/repository/models/text/load", json=body)

    assert answer.status_code in (400, 404)
    assert set(answer.json()) == {"error"}


@pytest.fixture(scope="module")
def published_server(published: Path) -> Iterator[Client]:
    with asked(published, 1) as (client, _):
        yield client


@pytest.mark.parametrize(
    ("alias", "body", "status"),
    [
        ("champion", {}, 422),
        ("champion", {"version": "1", "versions": {"1": 100}}, 422),
        ("champion", {"version": "9"}, 404),
        ("champion", {"versions": {"1": 60, "2": 60}}, 422),
        ("latest", {"version": "1"}, 422),
        ("7", {"version": "1"}, 422),
        ("..%2fx", {"version": "1"}, 404),
        ("current", {"versions": {}}, 422),
        ("champion", {"version": 1}, 422),
        ("champion", {"verson": "1"}, 422),
    ],
)
def test_what_cannot_be_an_alias_is_told(
    published_server: Client, alias: str, body: Any, status: int
) -> None:
    assert published_server.ask("PUT", f"/models/text/aliases/{alias}", json=body).status_code == status
    assert published_server.ask("GET", "/models").json()["models"][2]["aliases"] == {}


@pytest.mark.parametrize("tag", ["", '""', 'W/""', '""""'])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_empty_tag_is_none_that_an_alias_could_have(
    published_server: Client, method: str, tag: str
) -> None:
    """As where the variable of a script is empty: nothing may be created by it."""
    options: dict[str, Any] = {"json": {"version": "1"}} if method == "PUT" else {}
    answer = published_server.ask(
        method, "/models/text/aliases/champion", headers={"If-Match": tag}, **options
    )

    assert answer.status_code == 422
    assert "If-Match is empty" in answer.json()["error"]["message"]
    assert published_server.ask("GET", "/models/text/aliases/champion").status_code == 404


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.5", ""])
def test_a_parameter_of_the_query_that_is_wrong_is_told_without_its_value(
    published_server: Client, limit: str
) -> None:
    answer = published_server.ask("GET", f"/models/text/history?limit={limit}")

    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "limit")


def test_changes_need_a_key_with_the_scope_and_only_its_models(three: Path, tmp_path: Path) -> None:
    from app.access.keys import new_secret

    secrets = {name: new_secret() for name in ("reader", "deploy")}
    file = tmp_path / "keys.toml"
    file.write_text(
        f'[reader]\nsha256 = "{secrets["reader"][1]}"\n'
        f'[deploy]\nsha256 = "{secrets["deploy"][1]}"\nscopes = ["encode", "admin"]\nmodels = ["text"]\n'
    )
    with server(three, ENCODERY_KEYS_FILE=str(file)) as running:
        url = running.logged("ready")["url"]
        reader, deploy = (Client(url, {"X-API-Key": secrets[name][0]}) for name in ("reader", "deploy"))
        assert Client(url).put("champion", version="1").status_code == 401
        assert reader.put("champion", version="1").status_code == 403
        assert reader.load("load", version="1").status_code == 403
        assert deploy.put("champion", version="1").status_code == 200
        assert deploy.put("champion", model="shop-user", version="1").status_code == 404
        history = reader.ask("GET", "/models/text/history").json()["changes"]

        assert (history[0]["who"], history[0]["alias"]) == ("key deploy", "champion")


def test_without_keys_nobody_changes_anything_but_on_this_machine(three: Path) -> None:
    with server(three, ENCODERY_HOST="0.0.0.0") as running:
        url = str(running.logged("ready")["url"]).replace("0.0.0.0", "127.0.0.1")
        client = Client(url)

        assert client.put("champion", version="1").json()["error"]["code"] == "admin_only"
        assert client.load("load", version="1").status_code == 403
        assert client.versions() == {"1"}


def test_a_worker_in_a_dead_ones_place_answers_by_the_same(three: Path) -> None:
    """Versions that were asked for, aliases, and what is current."""
    with asked(three, 2, ENCODERY_VERSIONS_PER_MODEL="1") as (client, running):
        client.load("load", version="2")
        client.put("champion", version="3")
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
        for pid in children.split():
            if b"app.process.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)
                break
        running.logged("all workers serve", 2)

        assert client.versions() == {"1"}
        assert client.versions(version="2") == {"2"}
        assert client.versions(version="champion") == {"3"}


def test_series_of_what_is_unloaded_end(three: Path) -> None:
    for workers in (1, 2):
        with asked(three, workers) as (client, _):
            client.load("load", version="2")
            client.versions(version="2")

            def told(client: Client = client) -> set[str]:
                lines = client.ask("GET", "/metrics").text.splitlines()
                return {line for line in lines if 'model="text"' in line and 'version="2"' in line}

            until(lambda told=told: any("encodery_items_total" in line for line in told()))
            client.load("unload", version="2")
            until(lambda told=told: not told())
