"""A server as an encoder: real HTTP to a server of a few lines; the real one is for the end-to-end test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from bundle.preprocess.features import Features
from bundle.preprocess.text import Text
from training.client import CHARS_PER_REQUEST, ITEMS_PER_REQUEST, served
from training.errors import ServerError


class Answers(BaseHTTPRequestHandler):
    """The vector of a text is its length and 1; of features, the request's `now` and 2."""

    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        if body["model"] == "absent":
            self._send(404, b'{"error": "no such model"}')
        elif body["model"] == "odd":
            self._send(200, b"12345")
        else:
            rows = [[len(x), 1] if isinstance(x, str) else [body["now"], 2] for x in body["inputs"]]
            self._send(200, np.array(rows, dtype="<f4").tobytes())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_vectors_come_in_the_order_of_the_inputs_over_many_requests(server: Server) -> None:
    texts = ["x" * (i % 300) for i in range(ITEMS_PER_REQUEST + 10)]
    vectors = served(server.url + "/", "text")([Text(text) for text in texts])

    assert vectors.dtype == np.float32
    assert vectors[:, 0].tolist() == [len(text) for text in texts]
    assert [len(body["inputs"]) for body in server.bodies] == [ITEMS_PER_REQUEST, 10]
    assert all(body["truncate"] == "end" and "now" not in body for body in server.bodies)


def test_long_inputs_go_in_several_requests(server: Server) -> None:
    long = "x" * (CHARS_PER_REQUEST // 3)
    vectors = served(server.url, "text")([Text(long)] * 5 + [Text("x" * CHARS_PER_REQUEST)])

    assert [len(body["inputs"]) for body in server.bodies] == [2, 2, 1, 1]
    assert vectors[:, 0].tolist() == [len(long)] * 5 + [CHARS_PER_REQUEST]


def test_each_input_is_encoded_as_of_its_own_time(server: Server) -> None:
    times = [100.0, 100.0, 200.0, 100.0]
    vectors = served(server.url, "user")([Features({"a": 1}, now) for now in times])

    assert vectors[:, 0].tolist() == times
    assert [len(body["inputs"]) for body in server.bodies] == [2, 1, 1]


def test_nothing_is_not_asked_for(server: Server) -> None:
    assert served(server.url, "text")([]).shape == (0, 0)
    assert server.bodies == []


def test_the_servers_own_words_are_passed_on(server: Server) -> None:
    with pytest.raises(ServerError, match=r'404: \{"error": "no such model"\}'):
        served(server.url, "absent")([Text("a")])


def test_an_answer_that_is_no_vectors_is_refused(server: Server) -> None:
    with pytest.raises(ServerError, match="answered 5 bytes, which are no 2 vectors"):
        served(server.url, "odd")([Text("a"), Text("b")])


def test_a_server_that_is_not_there_is_named() -> None:
    with Server() as server:
        url = server.url
    with pytest.raises(ServerError, match=f"no server answers at {url}/encode: .*refused"):
        served(url, "text")([Text("a")])


@pytest.mark.parametrize("url", ["localhost:8000", "file:///etc/passwd", ""])
def test_only_urls_of_servers_are_taken(url: str) -> None:
    with pytest.raises(ServerError, match="must begin with http"):
        served(url, "text")
