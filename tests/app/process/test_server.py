"""The real server as a process of its own: start, answers over a socket, an orderly end."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx2 as httpx
import pytest
import tiny
from running import ROOT, START_S, Server, server, until

from bundle import Store, Text

pytestmark = pytest.mark.e2e


def test_serves_and_stops_in_order(published: Path) -> None:
    """The log: settings, models, URL. The vectors: the bundle's own. The end: status 0, nothing unusual."""
    with server(published, ENCODERY_MAX_ITEMS="7", ENCODERY_MAX_ITEM="8") as running:
        url = running.logged("ready")["url"]
        with httpx.Client(base_url=url, trust_env=False) as client:
            response = client.post("/encode", json={"inputs": tiny.TEXTS[:3]})
            assert client.get("/health/ready").status_code == 200
            assert "server" not in response.headers
        running.process.send_signal(signal.SIGTERM)

        assert running.wait() == 0
        expected = Store(published).load("text").encode([Text(text) for text in tiny.TEXTS[:3]])
        assert abs(expected - response.json()["embeddings"]).max() <= 1e-5
        events = [line["event"] for line in running.log]
        assert events == [
            "settings",
            "unknown variable, ignored",
            "listening",
            *["model"] * 3,
            "ready",
            "stopping",
        ]
        assert running.log[0]["max_items"] == 7
        assert running.log[1]["nearest"] == "ENCODERY_MAX_ITEMS"
        assert {line["name"] for line in running.log[3:6]} == {"text", "shop-user", "shop-item"}


def test_what_callers_do_wrong_is_counted_and_not_logged(published: Path) -> None:
    """Or whoever sends nonsense fast enough fills the disk."""
    with server(published) as running:
        url = running.logged("ready")["url"]
        before = len(running.log)
        with httpx.Client(base_url=url, trust_env=False) as client:
            for _ in range(20):
                statuses = [
                    client.post("/encode", json={"inputs": 1}).status_code,
                    client.post("/encode", content=b"{").status_code,
                    client.post("/encode", json={"inputs": "a", "model": "none"}).status_code,
                    client.get("/nowhere").status_code,
                    client.get("/encode").status_code,
                ]
            counted = client.get("/metrics").text
        after = len(running.log)

    assert statuses == [422, 400, 404, 404, 405]
    assert after == before
    for status in statuses[:3]:
        assert f'route="/encode",status="{status}"}} 20.0' in counted


def test_sigterm_finishes_what_was_accepted(published: Path) -> None:
    """A request whose body is still on its way when the signal comes is read, encoded and answered."""
    with server(published, ENCODERY_DRAIN_DELAY_S="0.2") as running:
        url = httpx.URL(running.logged("ready")["url"])
        body = b'{"inputs": "hello world"}'
        headers = ["Host: a", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        head = "\r\n".join(["POST /encode HTTP/1.1", *headers, "", ""])
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(head.encode() + body[:5])
            wait_until_read(url)
            running.process.send_signal(signal.SIGTERM)
            running.logged("stopping")
            time.sleep(0.3)
            connection.sendall(body[5:])
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"] == {"items": 1, "tokens": 2}
        assert running.wait() == 0


def test_half_a_request_does_not_keep_it_longer_than_the_grace(published: Path) -> None:
    """It is cut off then; left open, it kept the process for good where warnings are errors."""
    with server(published, ENCODERY_SHUTDOWN_GRACE_S="1") as running:
        url = httpx.URL(running.logged("ready")["url"])
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            wait_until_read(url)
            running.process.send_signal(signal.SIGTERM)

            assert running.wait() == 0


def wait_until_read(url: httpx.URL) -> None:
    """An answer on a later connection: by then the server has seen what the earlier one sent."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.get("/health/live")


HUNG = """
import sys, time
from pathlib import Path
from app.process import server
from app.shared import listener, log
from app.engine import Loaded, Model, Registry
from app.main import create_app
from app.settings import settings_from
from bundle import Store

encoder = Store(Path(sys.argv[1])).load("text")
encoder.run = lambda batch: time.sleep(600)
settings = settings_from(listen_port=0, threads=1, request_timeout_s=0.2, stall_limit_s=0.3)
log.set_up_log("json", "info")
with listener.bind(settings) as socket:
    models = {"text": Model("text", "1", {"1": Loaded(encoder)})}
    server.run(create_app(settings, Registry(models)), settings, socket)
"""


def test_a_forward_pass_that_hangs_neither_hides_nor_keeps_the_process(published: Path) -> None:
    """Callers get their 504, the liveness probe fails, and it ends, to be started again."""
    with server(published, command=["-c", HUNG, str(published)]) as running:
        url = running.logged("ready")["url"]
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.post("/encode", json={"inputs": "hello"}).status_code == 504
            until(lambda: client.get("/health/live").status_code == 503)

        assert running.wait() == 1
        assert "a forward pass hangs: ending, to be started again" in [line["event"] for line in running.log]


STANDS_STILL = """
import ctypes, signal, sys, time
from app.process import server
from app.shared import listener, log
from app.main import create_app
from app.generations import alone
from app.settings import settings_from

still = {"python": time.sleep, "native": ctypes.PyDLL(None).sleep}[sys.argv[2]]  # PyDLL keeps Python's lock
signal.signal(signal.SIGUSR1, lambda *_: still(600))
settings = settings_from(listen_port=0, models_dir=sys.argv[1], stall_limit_s=1)
log.set_up_log("json", "info")
with listener.bind(settings) as socket:
    with alone(settings) as controller:
        server.serve_on(socket, controller.seen())
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("python", "the event loop stands still: ending, to be started again"),
        ("native", "Timeout (0:00:02)!\n"),
    ],
)
def test_an_event_loop_that_stands_still_ends_the_process(published: Path, how: str, said: str) -> None:
    """Also where not even another thread of Python can run; and it says where it stood."""
    with server(published, command=["-c", STANDS_STILL, str(published), how]) as running:
        running.logged("ready")
        running.process.send_signal(signal.SIGUSR1)

        assert running.wait() == 1
        events = [line["event"] for line in running.log]
        assert said in events
        assert any("in <lambda>" in event for event in events)


def test_without_a_private_cache_nothing_is_left_behind(published: Path, tmp_path: Path) -> None:
    """However it ends: what was prepared is removed as soon as it is loaded."""
    temporary, shared = tmp_path / "tmp", tmp_path / "cache"
    for directory in (temporary, shared):
        directory.mkdir()
    shared.chmod(0o777)
    with server(published, TMPDIR=str(temporary), ENCODERY_CACHE_DIR=str(shared)) as running:
        assert "chmod" in running.logged("nothing is kept for the next start")["reason"]
        url = running.logged("ready")["url"]
        until(lambda: not list(temporary.iterdir()))
        assert not list(shared.iterdir())
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.post("/encode", json={"inputs": "hello"}).status_code == 200


def test_goes_on_answering_unready_for_the_drain_delay(published: Path) -> None:
    """However long it is; whoever sends a second signal need not wait for its end."""
    with server(published, ENCODERY_DRAIN_DELAY_S="600") as running:
        url = running.logged("ready")["url"]
        running.process.send_signal(signal.SIGTERM)
        running.logged("stopping")
        with httpx.Client(base_url=url, trust_env=False) as client:
            ready = client.get("/health/ready")
            encoded = client.post("/encode", json={"inputs": "hello"})
        running.process.send_signal(signal.SIGINT)

        assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])
        assert encoded.status_code == 200
        assert running.wait() == 0


def test_a_second_server_on_the_same_port_says_so(published: Path) -> None:
    with server(published) as first:
        port = httpx.URL(first.logged("ready")["url"]).port
        command = [
            sys.executable,
            "-m",
            "encodery",
            "serve",
            "--port",
            str(port),
            "--models-dir",
            str(published),
        ]
        second = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=START_S, check=False
        )

    assert second.returncode == 1
    assert f"127.0.0.1:{port}" in second.stderr.splitlines()[-1]
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("is_there", [False, True])
def test_without_any_model_it_does_not_start(tmp_path: Path, is_there: bool) -> None:
    directory = tmp_path / "models"
    if is_there:
        directory.mkdir()

    running = Server(directory)

    assert running.wait() == 1
    assert running.log[-1]["event"].startswith("encodery: ")
    assert str(directory) in running.log[-1]["event"]


def test_an_unsound_bundle_is_named_and_the_rest_serves(models: Path) -> None:
    (models / "shop-user" / "1" / "model.onnx").write_bytes(b"")
    with server(models) as running:
        url = running.logged("ready")["url"]
        refused = running.logged("refused")
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.post("/encode", json={"inputs": "hello"}).status_code == 200
            assert client.get("/health/ready").status_code == 200  # it is a side model

    assert (refused["name"], refused["version"]) == ("shop-user", "1")
    assert "model.onnx" in refused["reason"]


def test_neither_log_nor_answer_repeats_what_was_sent(published: Path) -> None:
    """Not even at debug, in any field, with characters that would forge a line."""
    canary = "c4n4ry\r\n\x1b[31m{}"
    with server(published, ENCODERY_LOG_LEVEL="debug") as running:
        url = running.logged("ready")["url"]
        with httpx.Client(base_url=url, trust_env=False) as client:
            answers = [
                client.post("/encode", json=body).text
                for body in (
                    {"inputs": canary},
                    {"inputs": [canary, 1]},
                    {"inputs": "a", "model": canary},
                    {"inputs": "a", canary: 1},
                    {"inputs": "a", "space": canary},
                    {"model": "shop-user", "inputs": {canary: canary}},
                    {"model": "shop-user", "inputs": {"history": [{"id": canary, "time": canary}]}},
                )
            ]
            answers.append(client.get("/models/c4n4ry").text)
            answers.append(client.get("/c4n4ry?x=c4n4ry").text)
            answers.append(client.get("/metrics").text)
        running.process.send_signal(signal.SIGTERM)
        running.wait()

    assert "c4n4ry" not in "".join(answers)
    assert "c4n4ry" not in str(running.log)
    assert sum(line["event"] == "request" for line in running.log) == 10


def test_a_connection_that_is_kept_is_answered_once_more_and_told_that_it_closes(published: Path) -> None:
    """Closing it without a word would lose a request that is on its way."""
    with server(published) as running:
        url = httpx.URL(running.logged("ready")["url"])
        with closing(http.client.HTTPConnection(url.host, url.port)) as connection:

            def ask() -> tuple[int, str | None]:
                connection.request(
                    "POST", "/encode", b'{"inputs": "a"}', {"Content-Type": "application/json"}
                )
                with connection.getresponse() as response:
                    response.read()
                    return response.status, response.headers["Connection"]

            assert ask() == (200, None)
            kept = connection.sock
            running.process.send_signal(signal.SIGTERM)
            running.logged("stopping")
            assert connection.sock is kept
            assert ask() == (200, "close")

        assert running.wait() == 0
