"""The real server on a Unix socket, behind TLS, and behind proxies."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from counting import children
from raw import PATIENCE_S, parsed
from running import Server, server, until
from sockets import post

from app.process.launcher import is_open
from app.settings import Settings
from app.shared.listener import CannotServe, bind_unix, listening

pytestmark = pytest.mark.e2e

BODY = b'{"inputs": "hello world"}'


def on_socket(path: Path) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(path)), base_url="http://local", timeout=PATIENCE_S
    )


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short: the system takes 107 bytes."""
    return tmp_path_factory.mktemp("s") / "e.sock"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_unix_socket_serves_and_is_removed_at_the_end(published: Path, place: Path, workers: str) -> None:
    """And all workers of a server listen on it, also those that take others' places."""
    with server(
        published, ENCODERY_SOCKET=str(place), ENCODERY_SOCKET_MODE="600", ENCODERY_WORKERS=workers
    ) as running:
        assert running.logged("listening")["url"] == f"http+unix://{place}"
        running.logged("ready", int(workers))
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        if workers == "2":
            running.logged("all workers serve")
            os.kill(children(running.process.pid)[0], signal.SIGKILL)
            running.logged("all workers serve", 2)
        with on_socket(place) as client:
            assert client.post("/encode", json={"inputs": ["hello"]}).status_code == 200
            assert client.get("/health/ready").status_code == 200
        running.process.send_signal(signal.SIGTERM)

        assert running.wait() == 0
        assert not place.exists()
        loud = [line["event"] for line in running.log if line.get("level") in ("warning", "error")]
        assert loud == ["worker ended"] * (int(workers) - 1)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_flags_come_before_a_unix_socket_in_the_environment(
    published: Path, place: Path, workers: str
) -> None:
    command = ["-m", "encodery", "serve", "--models-dir", str(published), "--port", "0"]
    with server(published, command, ENCODERY_SOCKET=str(place), ENCODERY_WORKERS=workers) as running:
        url = running.logged("ready")["url"]

        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/health/live", trust_env=False).status_code == 200
        assert not place.exists()


def test_a_unix_socket_and_an_address_are_not_both_given(place: Path) -> None:
    command = ["-m", "encodery", "serve", "--socket", str(place), "--port", "0"]
    with server(place.parent, command) as running:
        assert running.wait() == 2
        assert "give one or the other" in str(running.log)


def test_a_socket_that_was_left_behind_is_replaced_and_a_live_one_is_not(
    published: Path, place: Path
) -> None:
    with server(published, ENCODERY_SOCKET=str(place)) as killed:
        killed.logged("ready")
        with server(published, ENCODERY_SOCKET=str(place)) as second:
            assert second.wait() == 1
            assert "another server listens there" in str(second.log)
            assert str(place) in str(second.log)
        killed.process.kill()
        killed.wait()
        assert place.exists()
        with server(published, ENCODERY_SOCKET=str(place)) as third, on_socket(place) as client:
            third.logged("ready")
            assert client.get("/health/live").status_code == 200


def test_what_is_no_socket_is_left_alone(place: Path) -> None:
    place.write_text("mine")
    with pytest.raises(CannotServe, match="which is no socket; set ENCODERY_SOCKET"):
        bind_unix(place, 0o600)

    assert place.read_text() == "mine"


@pytest.mark.parametrize("path", ["none/e.sock", "x" * 200])
def test_a_path_that_cannot_be_is_told(tmp_path: Path, path: str) -> None:
    with pytest.raises(CannotServe, match="Cannot listen on the Unix socket"):
        bind_unix(tmp_path / path, 0o600)

    assert list(tmp_path.iterdir()) == []


def test_a_socket_of_another_server_is_not_removed(place: Path) -> None:
    with listening(Settings(socket=place)):
        place.unlink()
        with bind_unix(place, 0o600):
            pass
    assert place.exists()


def test_a_unix_socket_is_not_open_to_the_world(place: Path) -> None:
    assert not is_open(Settings(host="0.0.0.0", socket=place))


def made_certificate(directory: Path, name: str, *subject: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", f"/CN={name}", *subject]
    command = [*new, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return made_certificate(tmp_path_factory.mktemp("tls"), "one", "-nodes")


@pytest.fixture(scope="module")
def secured(published: Path, certificate: tuple[Path, Path]) -> Iterator[Server]:
    file, key = certificate
    with server(
        published,
        ENCODERY_TLS_CERTIFICATE=str(file),
        ENCODERY_TLS_KEY=str(key),
        ENCODERY_HEAD_TIMEOUT_S="2",
        ENCODERY_ANSWER_TIMEOUT_S="1",
    ) as running:
        running.logged("ready")
        yield running


def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


def connected(secured: Server) -> socket.socket:
    url = httpx.URL(secured.logged("ready")["url"])
    return socket.create_connection((url.host, url.port or 0), timeout=PATIENCE_S)


def test_answers_over_tls(secured: Server, certificate: tuple[Path, Path]) -> None:
    """With a certificate that a client checks; large bodies and answers, refusals and streams as well."""
    url = secured.logged("ready")["url"]
    with httpx.Client(base_url=url, verify=trusting(certificate), trust_env=False, timeout=60) as client:
        assert url.startswith("https://")
        for _ in range(3):
            assert client.post("/encode", json={"inputs": ["hello"]}).status_code == 200
        assert len(client.get("/docs/assets/swagger-ui-bundle.js").content) > 1_000_000
        assert client.post("/encode", json={"inputs": ["hello world"] * 2000}).status_code == 200
        assert client.post("/encode", content=b" " * 3_000_000).status_code == 413
        lines = client.post(
            "/encode", content=b'"a"\n"b"\n', headers={"Content-Type": "application/x-ndjson"}
        )
        assert lines.text.endswith('{"done":true,"lines":2}\n')


def test_the_end_of_a_client_over_tls_leaves_nothing_behind(
    secured: Server, certificate: tuple[Path, Path]
) -> None:
    """TLS as Python speaks it knows no half of an end: whoever says it has ended gets nothing more."""
    context, sent = trusting(certificate), post("/encode", BODY)
    for part in (b"", sent[:20], sent[:-5], sent, sent * 3):
        with context.wrap_socket(connected(secured), server_hostname="127.0.0.1") as client:
            client.sendall(part)
            try:
                raw = client.unwrap()  # says that it ends, and waits for the server's word
            except ssl.SSLError as error:  # an answer was quicker than the word
                if error.reason != "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
                    raise
                continue
            assert raw.recv(1) == b""
            raw.close()
    with context.wrap_socket(connected(secured), server_hostname="127.0.0.1") as client:
        client.sendall(sent.replace(b"Host: a", b"Host: a\r\nConnection: close"))
        assert parsed(client_read(client)).status == 200
    assert not [line for line in secured.log if line.get("level") in ("warning", "error")]


def client_read(client: ssl.SSLSocket) -> bytes:
    received = b""
    while block := client.recv(65536):
        received += block
    return received


def test_a_handshake_that_does_not_come_is_not_waited_for(secured: Server) -> None:
    """Nor one that speaks HTTP without TLS."""
    for sent in (b"", b"\x16\x03\x01", post("/encode", BODY)):
        with connected(secured) as client:
            client.sendall(sent)
            try:
                client_received = client.recv(100)
            except ConnectionResetError:
                client_received = b""
            assert not client_received.startswith(b"HTTP")


def test_an_answer_that_nobody_reads_is_not_kept_over_tls(
    secured: Server, certificate: tuple[Path, Path]
) -> None:
    with trusting(certificate).wrap_socket(connected(secured), server_hostname="127.0.0.1") as client:
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 400)
        before = open_files(secured)

        until(lambda: open_files(secured) < before)


def open_files(running: Server) -> int:
    return len(os.listdir(f"/proc/{running.process.pid}/fd"))


def test_a_renewed_certificate_is_taken_at_sighup(
    published: Path, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """A bad one is not: the one from before stays."""
    file, key = tmp_path / "c.pem", tmp_path / "c.key"

    def install(found: tuple[Path, Path]) -> None:
        file.write_bytes(found[0].read_bytes())
        key.write_bytes(found[1].read_bytes())

    def shown(running: Server) -> str:
        with connected(running) as client:
            return ssl.get_server_certificate(client.getpeername(), timeout=PATIENCE_S)

    install(certificate)
    with server(published, ENCODERY_TLS_CERTIFICATE=str(file), ENCODERY_TLS_KEY=str(key)) as running:
        running.logged("ready")
        renewed = made_certificate(tmp_path, "two", "-nodes")
        install(renewed)
        running.process.send_signal(signal.SIGHUP)
        running.logged("the certificate was read again")
        assert shown(running).split() == renewed[0].read_text().split()

        file.write_text("no certificate")
        running.process.send_signal(signal.SIGHUP)
        running.logged("the certificate from before stays")
        assert shown(running).split() == renewed[0].read_text().split()


def test_a_wrong_certificate_ends_the_start(
    published: Path, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    file, key = map(str, certificate)
    other = str(made_certificate(tmp_path, "other", "-nodes")[1])
    locked = made_certificate(tmp_path, "locked", "-passout", "pass:secret")
    (tmp_path / "nonsense.pem").write_text("nonsense")
    cases = [
        ({"CERTIFICATE": "/nowhere.pem"}, "ENCODERY_TLS_CERTIFICATE=/nowhere.pem: No such file"),
        ({"CERTIFICATE": file, "KEY": "/nowhere.key"}, "ENCODERY_TLS_KEY=/nowhere.key: No such file"),
        ({"CERTIFICATE": file, "KEY": other}, "is that of another certificate"),
        ({"CERTIFICATE": file}, "no private key"),
        ({"CERTIFICATE": str(tmp_path / "nonsense.pem"), "KEY": key}, "no certificate in PEM"),
        ({"CERTIFICATE": str(locked[0]), "KEY": str(locked[1])}, "has a password"),
        ({"KEY": key}, "needs a certificate"),
    ]
    for given, told in cases:
        with server(published, **{f"ENCODERY_TLS_{name}": path for name, path in given.items()}) as running:
            assert running.wait() == 1
            said = [line["event"] for line in running.log if "encodery: " in line["event"]]
            assert len(said) == 1
            assert told in said[0]
