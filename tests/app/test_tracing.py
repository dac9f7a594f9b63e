"""Spans as a collector gets them: a real server sends OTLP to a receiver that reads its messages."""

from __future__ import annotations

import gzip
import http.server
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from running import server, until

from app.shared.listener import CannotServe
from app.tracing import are_traces_wanted

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds
SECRET = "a text that no collector must see"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


class Collector:
    """What was received.

    Attributes:
        spans: by name, each with its attributes, times and ids.
        resources: of all messages.
        bodies: as they came.
    """

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_attributes(one.resource.attributes))
            self.spans += [_span(span) for scope in one.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[dict[str, Any]]:
        until(lambda: any(span["name"] == name for span in self.spans))
        return [span for span in self.spans if span["name"] == name]


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """A receiver, and its endpoint."""
    collector = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield collector, f"http://127.0.0.1:{receiver.server_port}"
        finally:
            receiver.shutdown()
            thread.join()


@contextmanager
def refusing() -> Iterator[str]:
    """The endpoint of a receiver that takes nothing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(400)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{receiver.server_port}"
        finally:
            receiver.shutdown()
            thread.join()


def test_a_request_is_a_span_of_the_callers_trace_with_its_parts(tmp_path: Path) -> None:
    tiny.publish_all(tmp_path)
    with collecting() as (collector, endpoint):
        with server(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **SOON) as running:
            url = running.logged("ready")["url"]
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine"}
            _post(url, {"inputs": ["hello", SECRET], "model": "text"}, headers)
            [request] = collector.named("POST /encode")
            _post(url, {"inputs": 1}, {})
            until(lambda: len(collector.named("POST /encode")) == 2)
        [_, refused] = collector.named("POST /encode")

    assert (request["trace"], request["parent"]) == (TRACE, PARENT)
    assert (
        request["attributes"].items()
        >= {
            "http.request.method": "POST",
            "http.route": "/encode",
            "http.response.status_code": 200,
            "encodery.request_id": "mine",
        }.items()
    )
    parts = [span for span in collector.spans if span["parent"] == request["id"]]
    assert [part["name"] for part in parts] == ["prepare", "queue", "run"]
    assert [part["start"] for part in parts[1:]] == [part["end"] for part in parts[:-1]]
    assert all(request["start"] <= part["start"] <= part["end"] <= request["end"] for part in parts)
    assert parts[2]["attributes"]["encodery.model"] == "text"
    assert parts[2]["attributes"]["encodery.inputs"] == 2
    assert (refused["attributes"]["http.response.status_code"], refused["parent"]) == (422, "")
    assert refused["trace"] != TRACE
    assert collector.resources[0]["service.name"] == "encodery"
    assert not any(SECRET.encode() in body for body in collector.bodies)


def test_every_process_sends_and_what_is_left_is_sent_at_the_end(tmp_path: Path) -> None:
    tiny.publish_all(tmp_path)
    variables = {"OTEL_SERVICE_NAME": "vectors", "ENCODERY_WORKERS": "2", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with (
        collecting() as (collector, endpoint),
        server(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **variables) as running,
    ):
        url = running.logged("ready")["url"]
        for _ in range(8):
            _post(url, {"inputs": "hello"}, {})
        before = len(collector.spans)
        running.process.terminate()
        running.wait()

    assert before == 0
    assert sum(span["name"] == "POST /encode" for span in collector.spans) == 8
    assert {one["service.name"] for one in collector.resources} == {"vectors"}


def test_what_the_caller_did_not_sample_is_not_sent(tmp_path: Path) -> None:
    tiny.publish_all(tmp_path)
    with (
        collecting() as (collector, endpoint),
        server(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **SOON) as running,
    ):
        url = running.logged("ready")["url"]
        _post(url, {"inputs": "hello"}, {"traceparent": f"00-{TRACE}-{PARENT}-00"})
        _post(url, {"inputs": "hello"}, {})
        collector.named("POST /encode")
        running.process.terminate()
        running.wait()

    assert TRACE not in {span["trace"] for span in collector.spans}


def test_a_collector_that_is_away_harms_no_request(tmp_path: Path) -> None:
    tiny.publish_all(tmp_path)
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with server(tmp_path, **variables) as running:
        url = running.logged("ready")["url"]
        statuses = [_post(url, {"inputs": "hello"}, {}) for _ in range(20)]
        running.process.terminate()

        assert running.wait() == 0
    assert statuses == [200] * 20


def test_any_process_tells_that_spans_do_not_arrive(tmp_path: Path) -> None:
    """A receiver that refuses for good: what cannot be reached is tried again for ten seconds first."""
    tiny.publish_all(tmp_path)
    with (
        refusing() as endpoint,
        server(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, ENCODERY_WORKERS="2", **SOON) as running,
    ):
        running.logged("all workers serve")
        url = running.logged("ready")["url"]
        _post(url, {"inputs": "hello"}, {})
        until(lambda: bool(_unmet(url)))
        told = [_unmet(url) for _ in range(8)]

    assert {one["setting"] for unmet in told for one in unmet} == {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    assert all(len(unmet) == 1 for unmet in told)


def test_spans_that_arrive_are_nothing_to_tell(tmp_path: Path) -> None:
    tiny.publish_all(tmp_path)
    with (
        collecting() as (collector, endpoint),
        server(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **SOON) as running,
    ):
        url = running.logged("ready")["url"]
        _post(url, {"inputs": "hello"}, {})
        collector.named("POST /encode")

        assert _unmet(url) == []


def test_without_its_variables_no_sdk_is_imported() -> None:
    program = "import sys; from app import main, tracing; print('opentelemetry.sdk' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "vectors"},
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(variables: dict[str, str]) -> None:
    assert not are_traces_wanted(variables)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "localhost:4318"}, "begins with http://"),
    ],
)
def test_what_is_not_known_ends_the_start_with_a_sentence(variables: dict[str, str], said: str) -> None:
    with pytest.raises(CannotServe, match=said):
        are_traces_wanted(variables)


def _unmet(url: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"{url}/health") as answer:
        found: list[dict[str, str]] = json.load(answer)["unmet"]
        return found


def _post(url: str, body: dict[str, Any], headers: dict[str, str]) -> int:
    request = urllib.request.Request(
        f"{url}/encode", json.dumps(body).encode(), {"content-type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": _attributes(span.attributes),
    }


def _attributes(found: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in found}
