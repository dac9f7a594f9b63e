"""Spans of requests by OpenTelemetry, where the standard variables `OTEL_*` ask for them.

    POST /encode ---------------------------  the caller's `traceparent`, if any, is its parent
      prepare ----                            checking and tokenising
                  queue --                    from there to its first forward pass
                          run --------        to the end of its last one

The SDK reads the variables: endpoint, headers, sampler, resource; it is imported only where they ask for it.
Names are those of https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
Spans hold no texts, features, vectors or keys.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import propagate
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from app.engine import Encoded, Loaded
from app.shared.listener import CannotServe
from app.shared.scoreboard import WorkerSlot
from app.shared.unmet import Unmet
from app.shared.versions import running_version

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

MOST_PARTS = 32  # of one request, that get spans; a stream may have thousands
CLOSING_MS = 2000  # for what is still to be sent, at the end
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_S = 1_000_000_000  # in nanoseconds


class Part(NamedTuple):
    """Inputs of a request that were encoded together.

    Attributes:
        ended_ns: since 1970.
    """

    loaded: Loaded
    encoded: Encoded
    ended_ns: int


_PARTS: ContextVar[list[Part] | None] = ContextVar("traced_parts", default=None)


class Told:
    """Sends spans by another exporter, and tells whether they arrive. The SDK's own log says why not.

    Args:
        exporter: sends them.
        slot: of this process, where several serve together.
    """

    def __init__(self, exporter: SpanExporter, slot: WorkerSlot | None) -> None:
        self._exporter, self._slot, self._is_failing = exporter, slot, False

    @property
    def failing(self) -> int:
        """How many processes could not send their last spans."""
        return self._slot.untraced if self._slot else int(self._is_failing)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them."""
        result = self._exporter.export(spans)
        self._is_failing = result.name != "SUCCESS"
        if self._slot is not None:
            self._slot.tell_traced(is_so=not self._is_failing)
        return result

    def shutdown(self) -> None:
        """As the exporter's own."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the exporter's own."""
        return self._exporter.force_flush(timeout_millis)


class Traces:
    """Makes the spans of requests.

    Args:
        provider: where they go.
        told: by whom they are sent.
    """

    def __init__(self, provider: TracerProvider, told: Told) -> None:
        self._provider, self._told = provider, told
        self._tracer = provider.get_tracer("encodery", running_version())

    def begin(self) -> list[Part]:
        """A request comes; what is encoded for it, here and in tasks that it makes, goes into the list."""
        parts: list[Part] = []
        _PARTS.set(parts)
        return parts

    def encoded(self, loaded: Loaded, encoded: Encoded) -> None:
        """A request got vectors."""
        parts = _PARTS.get()
        if parts is not None and len(parts) < MOST_PARTS:
            parts.append(Part(loaded, encoded, time.time_ns()))

    def request(
        self,
        parts: Sequence[Part],
        headers: Sequence[tuple[bytes, bytes]],
        attributes: Mapping[str, Any],
        *,
        name: str,
        status: int,
        seconds: float,
    ) -> None:
        """A request was answered just now.

        Args:
            parts: what was encoded for it.
            headers: may hold the caller's span.
            attributes: of its span.
            name: of its span: method and route.
            status: of the answer.
            seconds: that it took.
        """
        ended_ns = time.time_ns()
        span = self._tracer.start_span(
            name,
            context=propagate.extract(
                {key.decode("latin-1"): value.decode("latin-1") for key, value in headers}
            ),
            kind=SpanKind.SERVER,
            attributes={**attributes, "http.response.status_code": status},
            start_time=ended_ns - round(seconds * _S),
        )
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        if span.is_recording():
            within = set_span_in_context(span)
            for part in parts:
                self._spans_of(part, within)
        span.end(ended_ns)

    def _spans_of(self, part: Part, within: Context) -> None:
        manifest, times = part.loaded.manifest, part.encoded.timings
        attributes: dict[str, Any] = {
            "encodery.model": manifest.name,
            "encodery.version": manifest.version,
            "encodery.space": manifest.space,
            "encodery.inputs": len(part.encoded.facts),
            "encodery.cached": part.encoded.cached or 0,
        }
        at_ns = part.ended_ns - round(sum(times) * _S)
        for name, seconds in zip(("prepare", "queue", "run"), times, strict=True):
            span = self._tracer.start_span(name, context=within, attributes=attributes, start_time=at_ns)
            at_ns += round(seconds * _S)
            span.end(at_ns)

    @property
    def unmet(self) -> Unmet | None:
        """That spans do not arrive, if so: of any process, whichever is asked."""
        if not (failing := self._told.failing):
            return None
        processes = f"by {failing} processes" if failing > 1 else "by a process"
        return Unmet(
            setting=ENDPOINT, reason=f"the last spans could not be sent {processes}; the log says why"
        )

    def close(self) -> None:
        """Send what is left, for two seconds at most."""
        self._provider.force_flush(CLOSING_MS)
        self._provider.shutdown()


def are_traces_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the variables ask for traces. Raises CannotServe where they ask for what is not here."""

    def value(*names: str, default: str = "") -> str:
        return next((found for name in names if (found := environment.get(name, "").strip())), default)

    exporter = value("OTEL_TRACES_EXPORTER", default="otlp").lower()
    endpoint = value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ENDPOINT)
    if value("OTEL_SDK_DISABLED").lower() == "true" or exporter == "none":
        return False
    if exporter != "otlp":
        raise CannotServe(f"OTEL_TRACES_EXPORTER is {exporter!r}; Encodery knows otlp and none")
    if not endpoint:
        return False
    protocol = value(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL", default="http/protobuf"
    )
    if protocol != "http/protobuf":
        raise CannotServe(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; Encodery speaks http/protobuf, mostly on port 4318"
        )
    if not endpoint.startswith(("http://", "https://")):
        raise CannotServe(f"the endpoint of {ENDPOINT} begins with http:// or https://")
    return True


def sending_traces(slot: WorkerSlot | None, environment: Mapping[str, str] = os.environ) -> Traces:
    """Spans go where the variables say; a thread of this process sends them.

    Args:
        slot: of this process, where several serve together.
        environment: has the variables.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = {"service.version": running_version()}
    if not environment.get("OTEL_SERVICE_NAME") and "service.name=" not in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        resource["service.name"] = "encodery"
    provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
    told = Told(OTLPSpanExporter(), slot)
    provider.add_span_processor(BatchSpanProcessor(told))  # type: ignore[arg-type]  # not imported untraced
    return Traces(provider, told)
