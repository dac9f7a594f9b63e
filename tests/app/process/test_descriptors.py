"""A real server with few descriptors, and more clients than that which ask for nothing."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2 as httpx
import pytest
from raw import PATIENCE_S, request
from running import ROOT, Server, server

LIMIT, CLIENTS, PROBES = 128, 300, 20
SERVE = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv.pop(1)),) * 2)
runpy.run_module("encodery", run_name="__main__", alter_sys=True)
"""
HALF_BODY = (
    b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
)
WHOLE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def running(published: Path) -> Iterator[Server]:
    place = ["serve", "--port", "0", "--models-dir", str(published)]
    with server(published, ["-c", SERVE, str(LIMIT), *place]) as started:
        started.logged("ready")
        yield started


def connected(url: httpx.URL) -> socket.socket:
    return socket.create_connection((url.host, url.port or 0), timeout=PATIENCE_S)


def send(sent: bytes) -> Callable[[socket.socket], None]:
    return lambda client: client.sendall(sent)


def keep_alive(client: socket.socket) -> None:
    """One request, and its answer."""
    client.sendall(WHOLE)
    assert client.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "begin",
    [send(b""), send(WHOLE[:20]), keep_alive, send(HALF_BODY)],
    ids=["nothing sent", "half a head", "kept alive", "half a body"],
)
def test_health_answers_on_a_new_connection(running: Server, begin: Callable[[socket.socket], None]) -> None:
    url = httpx.URL(running.logged("ready")["url"])
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            begin(stack.enter_context(connected(url)))
        assert len(list(Path(f"/proc/{running.process.pid}/fd").iterdir())) < LIMIT
        for _ in range(PROBES):
            for path in ("/health/live", "/health/ready"):
                with connected(url) as client:
                    client.sendall(request("GET", path))
                    assert client.recv(65536).startswith(b"HTTP/1.1 200"), path

    line = running.logged("descriptors run out: the connections that waited longest are closed")
    assert line["limit"] == LIMIT
    assert line["level"] == "warning"


def test_a_burst_does_not_lose_who_comes_after_it(running: Server) -> None:
    """More connections at once than are kept free: the loop drops some of these; the next is let in."""
    url = httpx.URL(running.logged("ready")["url"])
    with ExitStack() as stack:
        for _ in range(2 * LIMIT):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((url.host, url.port or 0))
        with connected(url) as last, connected(url) as later:
            for client in (last, later):
                client.sendall(request("GET", "/health/ready"))
                assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_nothing_is_tried_again_and_again(running: Server) -> None:
    """The server is idle while its descriptors are taken."""
    url = httpx.URL(running.logged("ready")["url"])
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(connected(url))
        before = cpu_s(running)
        time.sleep(1.0)
        after = cpu_s(running)

    assert after - before < 0.5


def cpu_s(running: Server) -> float:
    """Of user and system, so far: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_limit_is_raised_to_what_the_system_allows() -> None:
    """And told at debug; 65,536 is enough for anybody."""
    soft, hard = 256, min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    program = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from app.shared.log import set_up_log\n"
        "from app.shared.descriptors import raise_limit_of_descriptors\n"
        "set_up_log('json', 'debug')\n"
        "raise_limit_of_descriptors()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == str((hard, hard))
    assert f'"limit": {hard}' in done.stderr
