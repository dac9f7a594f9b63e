"""Real servers to fetch models from: a web server of a directory, which may cut answers, and a registry."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PASSWORD = "bWU6c2VjcmV0"  # me:secret
CHUNK = 1000


class Handler(BaseHTTPRequestHandler):
    """What both have: answers with a length, silently."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, format: str, *args: object) -> None:
        pass


class Files(Handler):
    """A directory, with ranges or without, each answer cut after some bytes or not."""

    root: Path
    knows_ranges = True
    cut_after = 0  # bytes of an answer; 0 for whole ones
    asked: list[tuple[str, str]]  # path and range
    changed: dict[str, bytes]  # what is sent in place of a file

    def do_GET(self) -> None:
        path = self.root / self.path.lstrip("/")
        ranged = self.headers.get("Range", "")
        self.asked.append((self.path, ranged))
        if not path.is_file():
            self.answer(404)
            return
        content = self.changed.get(path.name, path.read_bytes())
        start = int(ranged[6:-1]) if ranged and self.knows_ranges else 0
        rest = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.cut_after or None])
        if self.cut_after and len(rest) > self.cut_after:
            self.close_connection = True


class Registry(Handler):
    """The parts of the distribution API that a push and a pull need; a token is wanted for all of it."""

    blobs: dict[str, bytes]
    images: dict[tuple[str, str], bytes]
    token: str = "t0ken"

    def is_let_in(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.token}":
            return True
        realm = f"http://{self.headers['Host']}/token"
        self.answer(
            401, WWW_Authenticate=f'Bearer realm="{realm}",service="test",scope="repository:x:pull,push"'
        )
        return False

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/token":
            is_known = self.headers.get("Authorization") == f"Basic {PASSWORD}"
            self.answer(200 if is_known else 401, json.dumps({"token": self.token}).encode())
        elif self.is_let_in():
            if blob := re.fullmatch(r"/v2/.+/blobs/(sha256:\w+)", url.path):
                self.send_ranged(self.blobs.get(blob[1]))
            elif image := re.fullmatch(r"/v2/(.+)/manifests/([\w.-]+)", url.path):
                self.send_ranged(self.images.get((image[1], image[2])))
            else:
                self.answer(404)

    do_HEAD = do_GET

    def send_ranged(self, content: bytes | None) -> None:
        if content is None:
            self.answer(404)
            return
        ranged = self.headers.get("Range", "")
        self.answer(206 if ranged else 200, content[int(ranged[6:-1]) if ranged else 0 :])

    def do_POST(self) -> None:
        if self.is_let_in():
            self.body()
            self.answer(202, Location=f"{self.path}1?state=a")

    def do_PUT(self) -> None:
        if not self.is_let_in():
            return
        url, body = urlsplit(self.path), self.body()
        if image := re.fullmatch(r"/v2/(.+)/manifests/([\w.-]+)", url.path):
            missing = [one["digest"] for one in json.loads(body)["layers"] if one["digest"] not in self.blobs]
            if not missing:
                self.images[image[1], image[2]] = body
            self.answer(400 if missing else 201)
        else:
            [digest] = parse_qs(url.query)["digest"]
            is_right = digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
            if is_right:
                self.blobs[digest] = body
            self.answer(201 if is_right else 400)


@contextmanager
def running(handler: type[Handler], **attributes: object) -> Iterator[tuple[str, type[Handler]]]:
    """Host and port of such a server, and its class, whose attributes may be changed while it runs."""
    own = type(handler.__name__, (handler,), attributes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
