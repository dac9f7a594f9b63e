"""A real server from its first moment on: what it says while models load, and whom bad bundles harm."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import mutants
import pytest
import tiny
from running import Server, server, until

from bundle import publish, switch_current

pytestmark = pytest.mark.e2e

LIMIT_S = "2"  # for a proof: the tiny bundles take a hundredth


def get(url: str, path: str) -> Any:
    return httpx.get(f"{url}{path}", trust_env=False, timeout=30).json()


def encode(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/encode", json={"inputs": "hello", **body}, trust_env=False, timeout=30)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killers_stop_nobody(models: Path, workers: str) -> None:
    """A panic, an abort, two that never end, one that wants all memory: each is told, the others serve."""
    mutants.publish_killers(models)
    with server(models, ENCODERY_PROOF_LIMIT_S=LIMIT_S, ENCODERY_WORKERS=workers) as running:
        url = running.logged("ready")["url"]
        refused = {one["name"]: one["reason"] for one in get(url, "/health")["refused"]}
        listed = {row["name"]: row for row in get(url, "/models")["models"]}
        metrics = httpx.get(f"{url}/metrics", trust_env=False).text

        assert set(refused) == set(mutants.KILLERS)
        assert encode(url).status_code == 200
        assert encode(url, model="shop-user", inputs={}).status_code == 200
        assert get(url, "/health/ready") == {"ok": True, "reasons": []}
        for name in mutants.KILLERS:
            answer = encode(url, model=name)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_ready")
            assert listed[name]["refused"][0]["reason"] == refused[name]
            assert f'encodery_model_refused{{model="{name}",version="1"}} 1.0' in metrics
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == 0


def test_it_answers_while_it_loads(models: Path) -> None:
    """The default model serves while another one is still being proven, and the other's callers are told."""
    tiny.publish(models, [tiny.text_draft("loops")])
    mutants.sealed_again(models / "loops" / "1", mutants.KILLERS["loops"]())
    with server(models, ENCODERY_PROOF_LIMIT_S="30") as running:
        url = running.logged("listening")["url"]
        assert httpx.get(f"{url}/health/live", trust_env=False).status_code == 200
        until(lambda: get(url, "/health")["ready"])
        loading = {model["name"]: model["loading"] for model in get(url, "/health")["models"]}
        default, other = encode(url), encode(url, model="loops")
        began_s = time.monotonic()
        running.process.send_signal(signal.SIGTERM)

        assert loading["loops"] == ["1"]
        assert default.status_code == 200
        assert (other.status_code, other.json()["error"]["code"]) == (503, "model_loading")
        assert int(other.headers["retry-after"]) >= 1
        assert running.wait() == 0
        assert time.monotonic() - began_s < 20  # the child is not waited for


def test_when_all_is_refused_it_ends_and_says_why(tmp_path: Path) -> None:
    tiny.publish(tmp_path, [tiny.text_draft()])
    mutants.sealed_again(tmp_path / "text" / "1", mutants.KILLERS["aborts"]())
    running = Server(tmp_path)

    assert running.wait() == 1
    events = [line["event"] for line in running.log]
    assert events[-2:] == ["no model could be loaded; the lines before say why", "stopping"]
    assert "refused" in events


def test_one_process_reloads_in_place_and_loses_no_request(models: Path) -> None:
    with server(models) as running:
        url = running.logged("ready")["url"]
        publish(models, [tiny.text_draft(seed=1)])
        running.process.send_signal(signal.SIGHUP)
        statuses, versions = set(), []
        while not versions or versions[-1] != "2":
            answer = encode(url)
            statuses.add(answer.status_code)
            versions.append(answer.json().get("version"))
        running.logged("reloaded")
        metrics = httpx.get(f"{url}/metrics", trust_env=False).text

        assert statuses == {200}
        assert versions == sorted(versions)
        assert encode(url, version="1").status_code == 200
        assert 'encodery_model_loaded{model="text",space="' in metrics
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reload_is_all_or_nothing(models: Path, workers: str) -> None:
    """One model would be better, another one worse: both stay, and the log says why."""
    with server(models, ENCODERY_WORKERS=workers) as running:
        url = running.logged("ready")["url"]
        if workers != "1":
            running.logged("all workers serve")
        publish(models, [tiny.text_draft(seed=1)])
        publish(models, tiny.pair_drafts(seed=1))
        path = models / "shop-user" / "2" / "model.onnx"
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        running.process.send_signal(signal.SIGHUP)
        told = running.logged("not reloaded: the models from before go on")

        assert "SHA-256" in told["refused"]["shop-user"]
        assert {encode(url).json()["version"] for _ in range(8)} == {"1"}
        assert get(url, "/health/ready") == {"ok": True, "reasons": []}
        path.write_bytes(content)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: encode(url).json().get("version") == "2")


def test_a_worker_in_a_dead_ones_place_serves_the_same_versions(models: Path) -> None:
    """Also when another one is current by then, and the version that the others serve is not the newest."""
    with server(models, ENCODERY_WORKERS="2", ENCODERY_VERSIONS_PER_MODEL="1") as running:
        url = running.logged("ready")["url"]
        running.logged("all workers serve")
        publish(models, [tiny.text_draft(seed=1)])
        switch_current(models, "text", "2")
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        for pid in children.read_text().split():
            if b"app.process.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)
                break
        running.logged("all workers serve", 2)

        assert {encode(url).json()["version"] for _ in range(40)} == {"1"}


def test_the_only_model_is_the_default_one(tmp_path: Path) -> None:
    tiny.publish(tmp_path, [tiny.text_draft("mine")])
    with server(tmp_path) as running:
        url = running.logged("ready")["url"]

        assert encode(url).json()["model"] == "mine"
        assert get(url, "/health/ready")["ok"]


def test_among_several_none_is_guessed(tmp_path: Path) -> None:
    tiny.publish(tmp_path, tiny.pair_drafts())
    with server(tmp_path) as running:
        url = running.logged("ready")["url"]
        assert running.logged("no default model: requests must name one; set ENCODERY_DEFAULT_MODEL")

        assert get(url, "/health/ready")["ok"]
        assert encode(url).status_code == 404
        assert "name one of: shop-item, shop-user" in encode(url).json()["error"]["message"]


@pytest.mark.parametrize("name", ["ENCODERY_DEFAULT_MODEL", "ENCODERY_REQUIRED_MODELS"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_is_asked_for_and_not_there_ends_the_start(
    published: Path, name: str, workers: str
) -> None:
    running = Server(published, ENCODERY_WORKERS=workers, **{name: "absent"})

    assert running.wait() == 1
    assert f"{name} names absent; there are shop-item, shop-user, text" in running.log[-1]["event"]
