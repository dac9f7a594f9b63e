"""Stands between a client and the server, passes everything on, and remembers what the client sent."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SHOWN = 160
POLL_S = 0.01  # by default a server takes half a second to stop
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}
NOTED = ("inference-header-content-length",)


class Recorder:
    """What came through.

    Attributes:
        url: where clients connect.
        requests: method, path and the beginning of the body, in order.
    """

    def __init__(self, upstream: str) -> None:
        self.requests: list[str] = []
        recorder, netloc = self, urlsplit(upstream).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass_on()

            def do_POST(self) -> None:
                self._pass_on()

            def do_DELETE(self) -> None:
                self._pass_on()

            def _pass_on(self) -> None:
                body = self._body()
                noted = [f" {name}: {self.headers[name]}" for name in NOTED if name in self.headers]
                recorder.requests.append(
                    f"{self.command} {self.path}{''.join(noted)} {_shown(body)}".rstrip()
                )
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
                connection = http.client.HTTPConnection(netloc, timeout=30)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", 0)))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False  # a client may keep its connection
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[POLL_S], daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _shown(body: bytes) -> str:
    text = body.decode("ascii", "backslashreplace")
    text = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)  # fit for a line
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


@contextmanager
def recorded(upstream: str) -> Iterator[Recorder]:
    recorder = Recorder(upstream)
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()
