"""The configuration of nginx, with a real nginx before real replicas."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import tiny
from running import Server, server
from shipped import tool

from bench.proxy import proxied

pytestmark = pytest.mark.deploy

REPLICAS = 3
BODY = json.dumps({"inputs": ["hello"]}).encode()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    tiny.publish_all(directory)
    return directory


@pytest.mark.parametrize("balance", ["least_conn", "affinity"])
def test_a_replica_that_goes_costs_no_request(models: Path, tmp_path: Path, balance: str) -> None:
    with _replicas(models) as replicas, _nginx(replicas, tmp_path, balance) as url:
        before = [_ask(url) for _ in range(12)]
        victim, _ = replicas[-1]
        victim.process.kill()
        victim.wait()
        after = [_ask(url) for _ in range(12)]

    assert before + after == [200] * 24


def test_a_stream_passes_as_it_comes(models: Path, tmp_path: Path) -> None:
    with _replicas(models, count=1) as replicas, _nginx(replicas, tmp_path, "least_conn") as url:
        request = urllib.request.Request(
            f"{url}/streamed/encode?model=text",
            b'"hello"\n' * 3,
            {"Content-Type": "application/x-ndjson", "Accept": "application/x-ndjson"},
        )
        with urllib.request.urlopen(request) as answer:
            lines = answer.read().splitlines()

    assert len(lines) >= 3
    assert all(json.loads(line) for line in lines)


def test_metrics_are_asked_of_each_replica_alone(models: Path, tmp_path: Path) -> None:
    with (
        _replicas(models, count=1) as replicas,
        _nginx(replicas, tmp_path, "least_conn") as url,
        pytest.raises(urllib.error.HTTPError) as refused,
    ):
        urllib.request.urlopen(f"{url}/metrics")

    assert refused.value.code == 404
    refused.value.close()


def _ask(url: str) -> int:
    request = urllib.request.Request(f"{url}/encode", BODY, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return int(answer.status)


@contextmanager
def _replicas(models: Path, count: int = REPLICAS) -> Iterator[list[tuple[Server, int]]]:
    """Servers that are ready, each with its port."""
    with ExitStack() as stack:
        started = [stack.enter_context(server(models, ENCODERY_THREADS="1")) for _ in range(count)]
        yield [(one, int(one.logged("ready")["url"].rsplit(":", 1)[1])) for one in started]


@contextmanager
def _nginx(replicas: list[tuple[Server, int]], directory: Path, balance: str) -> Iterator[str]:
    """An nginx before them, with the shipped configuration but for ports; its URL."""
    tool("nginx")
    with proxied([port for _, port in replicas], directory, affinity=balance == "affinity") as port:
        yield f"http://127.0.0.1:{port}"
