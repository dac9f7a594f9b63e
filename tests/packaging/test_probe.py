"""The health check asks where the settings say that the server listens."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Ready(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return ""  # of a Unix socket there is none


class Loading(Ready):
    status = 503


class OnUnix(socketserver.UnixStreamServer):
    pass


class OnSix(http.server.HTTPServer):
    address_family = socket.AF_INET6


def probe(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "encodery.probe"],
        cwd=ROOT,
        env={"http_proxy": "http://127.0.0.1:9", "PATH": os.environ["PATH"]} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[Any]:
    with server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(("handler", "status"), [(Ready, 0), (Loading, 1)])
def test_it_follows_readiness(handler: type[Ready], status: int) -> None:
    with running(http.server.HTTPServer(("127.0.0.1", 0), handler)) as server:
        done = probe(ENCODERY_LISTEN_PORT=str(server.server_port))

    assert done.returncode == status
    assert done.stderr == ("" if status == 0 else "not ready: 503\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_a_server_on_every_interface_is_asked_on_loopback(host: str) -> None:
    with running(http.server.HTTPServer(("127.0.0.1", 0), Ready)) as server:
        assert probe(ENCODERY_HOST=host, ENCODERY_LISTEN_PORT=str(server.server_port)).returncode == 0


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_it_knows_the_newer_addresses() -> None:
    try:
        server = OnSix(("::1", 0), Ready)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running(server):
        assert probe(ENCODERY_HOST="::", ENCODERY_LISTEN_PORT=str(server.server_port)).returncode == 0


def test_it_asks_a_unix_socket_that_a_file_names(tmp_path: Path) -> None:
    """A variable comes before the file, and an empty one does not."""
    place, file = tmp_path / "e.sock", tmp_path / "encodery.toml"
    file.write_text(f'socket = "{place}"\nlisten_port = 9\n')
    with running(OnUnix(str(place), Ready)):
        assert probe(ENCODERY_CONFIG=str(file), ENCODERY_SOCKET="").returncode == 0
        assert probe(ENCODERY_CONFIG=str(file), ENCODERY_SOCKET=str(tmp_path / "none")).returncode == 1


def test_it_speaks_tls_to_a_server_of_any_name(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop.example"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.HTTPServer(("127.0.0.1", 0), Ready)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        port = str(server.server_port)
        assert probe(ENCODERY_LISTEN_PORT=port, ENCODERY_TLS_CERTIFICATE=str(certificate)).returncode == 0
        assert probe(ENCODERY_LISTEN_PORT=port).returncode == 1


def test_where_nobody_listens_it_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = probe(ENCODERY_LISTEN_PORT=str(free.getsockname()[1]))

    assert done.returncode == 1
    assert "not ready: " in done.stderr
    assert "Traceback" not in done.stderr
