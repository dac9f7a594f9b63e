"""Row S2: what callers send, and their keys, are in no log, error, metric, audit or list of processes."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from raw import Answer, ask, request
from running import ROOT, Server, server
from starlette.routing import Mount

from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.e2e

WORD = "c4n4ry"
KEY, ADMIN, WRONG = f"ek_{WORD}0good", f"ek_{WORD}0admin", f"ek_{WORD}0wrong"
DRESS = (
    "{}",
    "{}\r\nX-Injected: {}\r\n\r\n",
    "\x1b[31m{}\x1b[0m\x07",
    "\u202e{}\u0000",
    "%0d%0a{}",
    "${{{}}}",
)
NUMBERS = itertools.count()
FIELDS = (
    *("inputs", "input", "texts", "text", "prompt", "query", "candidates", "vectors", "ids", "model", "name"),
    *("version", "space", "dimensions", "truncate", "encoding", "output", "now", "prompt_name", "input_type"),
    *("embedding_types", "output_dimension", "parameters", "outputs", "id", "images", "user", "options"),
    *("top_k", "candidates_model", "encoding_format", "normalize", "ready", "documents", "instances"),
)
HEADERS = (
    *("X-Request-ID", "X-Priority", "X-Request-Timeout-Ms", "X-Expected-Space", "Accept", "Content-Type"),
    *("User-Agent", "Referer", "Origin", "X-Forwarded-For", "Forwarded", "Cookie", "Authorization"),
    *("Content-Encoding", "Inference-Header-Content-Length", "Range", "If-None-Match", "Accept-Language"),
)


def canary(dress: str = "{}") -> str:
    """A word that nobody else has, in some dress."""
    word = f"{WORD}{next(NUMBERS)}x"
    return dress.format(*[word] * dress.count("{}"))


def values(dress: str) -> list[Any]:
    """A field's value of every type that holds it."""
    return [
        canary(dress),
        [canary(dress)],
        {"id": canary(dress), canary(dress): canary(dress)},
        {"history": [{"id": canary(dress), "time": canary(dress)}], "country": canary(dress)},
        [{"name": canary(dress), "shape": [1], "datatype": "BYTES", "data": [canary(dress)]}],
        [{"content": [{"type": "text", "text": canary(dress)}]}],
        {"source_sentence": canary(dress), "sentences": [canary(dress)]},
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The file of keys, and of the audit."""
    home = tmp_path_factory.mktemp("canaries")
    keys, audit = home / "keys.toml", home / "audit.jsonl"
    keys.write_text(f'[search]\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n')
    return keys, audit


@pytest.fixture(scope="module")
def running(published: Path, files: tuple[Path, Path]) -> Iterator[Server]:
    keys, audit = files
    with server(
        published,
        ENCODERY_WORKERS="2",
        ENCODERY_LOG_LEVEL="debug",
        ENCODERY_API_KEY=ADMIN,
        ENCODERY_KEYS_FILE=str(keys),
        ENCODERY_AUDIT_FILE=str(audit),
        ENCODERY_RESULT_CACHE_BYTES="1000000",
    ) as started:
        started.logged("all workers serve")
        yield started


@pytest.fixture(scope="module")
def paths() -> list[tuple[str, str]]:
    """Every method and path, its parameters filled in by models that are there."""
    found = []
    for route in create_app(Settings(api_key=ADMIN)).routes:
        path = route.path + "/swagger-ui.css" if isinstance(route, Mount) else route.path
        filled = re.sub(r"\{(\w+)(:\w+)?\}", lambda one: "1" if one[1] == "version" else "text", path)
        found += [(method, filled) for method in getattr(route, "methods", None) or {"GET"}]
    assert len(found) > 40
    return found


def check(answer: Answer, told: Any) -> None:
    """No key in any answer, and nothing that was sent in one that is an error."""
    everything = answer.body + answer.rest + json.dumps(answer.headers).encode()
    assert not any(key.encode() in everything for key in (KEY, ADMIN, WRONG)), told
    if answer.status >= 400:
        assert WORD.encode() not in everything, (told, answer)
    assert "x-injected" not in answer.headers, told


def send(url: str, method: str, target: str, *lines: str, body: Any = b"", key: str = KEY) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if not any(line.lower().startswith("content-type:") for line in lines):
        lines = (*lines, "Content-Type: application/json")
    if not any(line.lower().startswith("authorization:") for line in lines):
        lines = (*lines, f"Authorization: Bearer {key}")
    check(ask(url, request(method, target, *lines, body=content)), (method, target, lines, content[:200]))


def test_nothing_that_was_sent_is_kept(
    running: Server, files: tuple[Path, Path], paths: list[tuple[str, str]], effort: Any, figure: Any
) -> None:
    """All of it at once, since what is looked through afterwards is one log."""
    url = running.logged("ready")["url"]
    posts = [path for method, path in paths if method == "POST"]
    for dress in effort(DRESS[:3], DRESS):
        in_head = re.sub(r"[\r\n\x00]|[^\x00-\xff]", "", dress)
        for path in posts:
            for value in values(dress):
                send(url, "POST", path, body=dict.fromkeys(FIELDS, value))
            for field in FIELDS:
                send(
                    url,
                    "POST",
                    path,
                    body={"model": "text", "input": "hello", "inputs": "hello", field: canary(dress)},
                )
            send(url, "POST", path, body=canary(dress).encode())
        for method, path in paths:
            for header in HEADERS:
                no_id = "no id: " if header == "X-Request-ID" else ""  # one that can be is kept, as told
                send(url, method, path, f"{header}: {no_id}{canary(in_head)}", body={"inputs": "hello"})
            send(url, method, f"{path}?{canary()}={canary()}", body={"inputs": "hello"})
            send(url, method, f"{path}/{canary()}")
            send(url, canary().upper().replace("X", ""), path)
            send(url, method, path, key=WRONG)
            send(url, method, path, key=ADMIN)
    multipart(url)
    odd_http(url)

    kept = {
        "log": "\n".join(json.dumps(line) for line in running.log),
        "audit": files[1].read_text(),
        "processes": "\n".join(commands(running.process.pid)),
        "pages": "".join(
            ask(url, request("GET", page, f"X-API-Key: {ADMIN}")).body.decode()
            for page in ("/metrics", "/docs", "/openapi.json", "/health", "/models")
        ),
    }
    assert "request" in kept["log"]
    assert "access.refused" in kept["audit"]
    assert kept["processes"].count("app.process.worker") == 2
    assert "encodery_requests_total" in kept["pages"]
    hits = {where: text.lower().count(WORD) for where, text in kept.items()}
    figure("S2", "canaries", next(NUMBERS))
    figure("S2", "canaries found", sum(hits.values()), at_most=0)
    assert not any(hits.values()), {
        where: re.findall(rf".{{0,80}}{WORD}.{{0,80}}", text, re.IGNORECASE)[:3]
        for where, text in kept.items()
    }
    assert "\x1b" not in "".join(kept.values())


def multipart(url: str) -> None:
    """Names of files and of fields."""
    part = f'--b\r\nContent-Disposition: form-data; name="{canary()}"; filename="{canary()}"\r\n'
    body = f"{part}Content-Type: image/{canary()}\r\n\r\n{canary()}\r\n--b--\r\n".encode()
    for content_type in ("multipart/form-data; boundary=b", f"multipart/form-data; boundary={canary()}"):
        send(url, "POST", "/encode", f"Content-Type: {content_type}", body=body)


def odd_http(url: str) -> None:
    """What is no request."""
    for sent in (
        f"GET /{canary()} HTTP/9.9\r\nHost: a\r\n\r\n",
        f"{canary()}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{canary()}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {canary()}\r\nHost: {canary()}\r\n\r\n",
        f"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: {canary()}\r\n\r\n",
        f"POST /encode HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{canary()}\r\n",
        f"CONNECT {canary()}:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        check(ask(url, sent.encode()), sent)


def commands(pid: int) -> Iterator[str]:
    """The command lines of a process and its children."""
    yield Path(f"/proc/{pid}/cmdline").read_text()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield Path(f"/proc/{child}/cmdline").read_text()


def test_vectors_are_in_no_line_of_the_log(running: Server) -> None:
    url = running.logged("ready")["url"]
    body = {"inputs": ["the red lamp on a mat", "hello blue dog"]}
    answer = ask(url, request("POST", "/encode", f"X-API-Key: {KEY}", body=json.dumps(body).encode()))
    # Six digits: four are found by chance in the fractions of a timestamp.
    numbers = [f"{abs(number):.6f}" for row in answer.json["embeddings"] for number in row]
    logged = "\n".join(json.dumps(line) for line in running.log)

    assert len(numbers) == 16
    assert not any(number in logged for number in numbers)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_the_start_and_the_end_tell_no_key(published: Path, log_format: str) -> None:
    with server(published, ENCODERY_API_KEY=KEY, ENCODERY_LOG_FORMAT=log_format) as running:
        while not any("http://" in json.dumps(line) for line in list(running.log)):
            assert running.process.poll() is None, running.log
        running.process.send_signal(signal.SIGTERM)
        running.wait()

    assert WORD not in json.dumps(running.log)


@pytest.mark.parametrize(
    "variables",
    [
        {"ENCODERY_API_KEY": f"{KEY} with a blank"},
        {"ENCODERY_API_KEY": f"{KEY}\n"},
        {"ENCODERY_KEYS_FILE": "/nowhere", "ENCODERY_API_KEY": KEY},
        {"ENCODERY_APIKEY": KEY, "ENCODERY_WORKERS": "none"},
        {"ENCODERY_API_KEY": KEY, "ENCODERY_LISTEN_PORT": "99999999"},
    ],
    ids=["blank", "line break", "no file", "misspelt", "other mistake"],
)
@pytest.mark.parametrize("command", ["serve", "config"])
def test_a_mistake_in_the_settings_tells_no_key(
    published: Path, variables: dict[str, str], command: str
) -> None:
    options = ["--port", "0", "--models-dir", str(published)] if command == "serve" else []
    if command == "serve" and "ENCODERY_LISTEN_PORT" in variables:
        options = options[2:]
    done = subprocess.run(
        [sys.executable, "-m", "encodery", command, *options],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode or command == "config"
    assert WORD not in done.stdout + done.stderr
