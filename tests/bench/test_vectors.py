"""A competitor is compared with us only if it does the same work."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.servers import Running, Server, Unavailable
from bench.vectors import check

POLL_S = 0.01  # by default a server takes half a second to stop


def direction(text: str, turned: float = 0.0) -> list[float]:
    return [float(len(text)), 10.0, turned * len(text)]


@contextmanager
def answering(path: str, answer: Callable[[dict[str, list[str]]], object]) -> Iterator[Running]:
    """A server that answers each request by that function of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(answer(request)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[POLL_S])
    thread.start()
    try:
        with subprocess.Popen(["true"]) as process:
            yield Running(Server("other", lambda port: [], path=path), process, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ours(request: dict[str, list[str]]) -> object:
    return {"embeddings": [direction(text) for text in request["inputs"]]}


def theirs(turned: float) -> Callable[[dict[str, list[str]]], object]:
    """As OpenAI answers, twice as long."""

    def answer(request: dict[str, list[str]]) -> object:
        rows = [[2 * one for one in direction(text, turned)] for text in request["input"]]
        return {"data": [{"embedding": row} for row in rows]}

    return answer


def test_a_competitor_with_our_vectors_is_accepted_whatever_their_length() -> None:
    with answering("/encode", ours) as mine, answering("/embeddings", theirs(turned=0.0)) as other:
        check(other, mine, "minilm")


def test_a_competitor_whose_vectors_point_elsewhere_is_refused() -> None:
    with (
        answering("/encode", ours) as mine,
        answering("/embeddings", theirs(turned=0.5)) as other,
        pytest.raises(Unavailable, match="not those of minilm: cosine 0"),
    ):
        check(other, mine, "minilm")


@pytest.mark.parametrize("answer", [{}, {"data": []}, {"data": [{"embedding": [1.0, 2.0]}] * 16}])
def test_a_competitor_that_answers_something_else_is_refused(answer: object) -> None:
    with (
        answering("/encode", ours) as mine,
        answering("/embeddings", lambda _: answer) as other,
        pytest.raises(Unavailable, match="not answer as expected"),
    ):
        check(other, mine, "minilm")
