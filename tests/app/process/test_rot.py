"""Files of a version that change after it was proven: what serves stays whole, and somebody is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from running import Server, server, until

pytestmark = pytest.mark.e2e

STAYS = "not reloaded: the models from before go on"


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])


ROTS = [
    ("model.onnx", cut, "bytes, published were"),
    ("tokenizer.json", flip, "SHA-256"),
    ("golden.json", Path.unlink, "is missing"),
]


@contextmanager
def ready(models: Path, workers: int, **variables: str) -> Iterator[tuple[Server, str]]:
    with server(models, ENCODERY_WORKERS=str(workers), **variables) as running:
        url = running.logged("ready")["url"]
        if workers > 1:
            running.logged("all workers serve")
        yield running, url


def statuses(url: str, model: str = "text", times: int = 40) -> set[int]:
    """Of many connections, so that every worker answers some."""
    body = {"inputs": "hello" if model == "text" else {}, "model": model}
    return {httpx.post(f"{url}/encode", json=body, trust_env=False).status_code for _ in range(times)}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("file", "rot", "said"), ROTS)
def test_a_reload_leaves_what_serves_and_names_the_file_that_rotted(
    models: Path, workers: int, file: str, rot: Callable[[Path], None], said: str
) -> None:
    """Twice: what the first reload found is not taken for what is served."""
    with ready(models, workers) as (running, url):
        rot(models / "text" / "1" / file)
        for times in (1, 2):
            running.process.send_signal(signal.SIGHUP)
            told = running.logged(STAYS, times)["refused"]

            assert list(told) == ["text"]
            assert file in told["text"]
            assert said in told["text"]
            assert statuses(url) == {200}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_version_that_was_repaired_is_reloaded(models: Path, workers: int) -> None:
    path = models / "text" / "1" / "model.onnx"
    content = path.read_bytes()
    with ready(models, workers) as (running, url):
        cut(path)
        running.process.send_signal(signal.SIGHUP)
        running.logged(STAYS)
        path.write_bytes(content)
        running.process.send_signal(signal.SIGHUP)
        running.logged("reloaded")

        assert statuses(url) == {200}


def test_a_replacement_that_lacks_a_model_does_not_join_until_it_has_it(models: Path) -> None:
    path = models / "shop-user" / "1" / "model.onnx"
    content = path.read_bytes()
    with ready(models, 2) as (running, url):
        flip(path)
        os.kill(_workers_of(running)[0], signal.SIGKILL)
        told = running.logged("not joining: others serve what cannot be loaded here")

        assert told["lost"] == ["shop-user"]
        running.logged("worker ended", 2)
        events = [line["event"] for line in running.log]
        assert events.count("not joining: others serve what cannot be loaded here") == 1
        assert not any("Traceback" in event or event == "bug" for event in events)
        assert statuses(url, "shop-user") == {200}
        path.write_bytes(content)
        running.logged("all workers serve", 2)
        assert statuses(url, "shop-user") == {200}


def test_when_nobody_is_left_that_has_it_the_rest_is_served_by_all(models: Path) -> None:
    with ready(models, 2) as (running, url):
        cut(models / "shop-user" / "1" / "model.onnx")
        for pid in _workers_of(running):
            os.kill(pid, signal.SIGKILL)
        running.logged("all workers serve", 2)

        assert statuses(url) == {200}
        assert statuses(url, "shop-user") == {503}


def test_a_proof_that_was_kept_says_nothing_of_files_that_rotted_since(models: Path, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    with ready(models, 2, ENCODERY_CACHE_DIR=kept) as (running, url):
        until(lambda: statuses(url, "shop-user", 1) == {200})
        running.process.send_signal(signal.SIGTERM)
        running.wait()
    cut(models / "shop-user" / "1" / "model.onnx")

    with ready(models, 2, ENCODERY_CACHE_DIR=kept) as (_, url):
        assert statuses(url) == {200}
        assert statuses(url, "shop-user") == {503}


def _workers_of(running: Server) -> list[int]:
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    return [
        int(pid) for pid in children if b"app.process.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
