"""What Prometheus is told. One registry per app, so that two apps in one process (tests) do not mix."""

from __future__ import annotations

import asyncio
import platform
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import count
from typing import Any

import onnxruntime
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from app.engine import Encoded, Engine, Loaded, Registry
from app.shared import metrics as shared_metrics
from app.shared.scoreboard import WorkerSlot
from app.shared.versions import running_version
from bundle import Facts

MODEL = ("model", "version")
LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
MINUTES = 5  # that are the last ones
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
LAGS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
LAG_PERIOD_S = 0.02  # no stall over 50 ms is missed; 0.1 % of a core
REFRESH_EVERY = 12  # looks at the lag, of the gauges
_SUM: Mapping[str, Any] = {"multiprocess_mode": "livesum"}  # over processes, and no longer than they live
_MOST: Mapping[str, Any] = {"multiprocess_mode": "livemax"}


class LastMinutes:
    """Counts what happened in the last minutes.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: deque[tuple[int, int]] = deque()  # minute and count, the oldest first

    def add(self, count: int) -> None:
        """So much happened now."""
        minute = self._now()
        if self._counts and self._counts[-1][0] == minute:
            count += self._counts.pop()[1]
        self._counts.append((minute, count))

    @property
    def total(self) -> int:
        """Of this minute and those before it."""
        self._now()
        return sum(count for _, count in self._counts)

    def _now(self) -> int:
        minute = int(self._clock() // 60)
        while self._counts and self._counts[0][0] <= minute - MINUTES:
            self._counts.popleft()
        return minute


@dataclass(frozen=True, slots=True)
class _OfModel:
    """The series that requests for one version of a model move."""

    items: Counter
    tokens: Counter
    truncated: Counter
    unknown: Counter
    cached: Counter
    queue_wait_s: Histogram
    run_s: Histogram
    batch_rows: Histogram
    lately: LastMinutes


class Metrics:
    """Counters and gauges; also the engine's observer.

    Args:
        slot: of this process, where there are several.
    """

    def __init__(self, slot: WorkerSlot | None = None) -> None:
        self._slot = slot
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        Gauge(
            "encodery_build_info",
            "1; its labels say what serves",
            ("version", "python", "onnxruntime"),
            **_MOST,
            registry=r,
        ).labels(running_version(), platform.python_version(), onnxruntime.__version__).set(1)
        self._requests = Counter(
            "encodery_requests", "requests answered", ("route", "method", "status"), registry=r
        )
        self._key_requests = Counter(
            "encodery_key_requests", "requests answered to who has a key", ("key", "status"), registry=r
        )
        self._latency_s = Histogram(
            "encodery_request_seconds",
            "from request to answer",
            ("route", "status"),
            buckets=LATENCIES_S,
            registry=r,
        )
        self._items = Counter("encodery_items", "inputs encoded", MODEL, registry=r)
        self._tokens = Counter("encodery_tokens", "tokens read by the encoder", MODEL, registry=r)
        self._truncated = Counter("encodery_truncated_items", "inputs that were cut", MODEL, registry=r)
        self._unknown = Counter(
            "encodery_unknown_items", "inputs with a value that training did not see", MODEL, registry=r
        )
        self._warned = Counter(
            "encodery_warned_items", "inputs answered with a warning", (*MODEL, "warning"), registry=r
        )
        self._cached = Counter(
            "encodery_cached_items", "different inputs answered from the result cache", MODEL, registry=r
        )
        self._queue_wait_s = Histogram(
            "encodery_queue_wait_seconds",
            "from prepared to forward pass",
            MODEL,
            buckets=LATENCIES_S,
            registry=r,
        )
        self._run_s = Histogram(
            "encodery_run_seconds", "a forward pass", MODEL, buckets=LATENCIES_S, registry=r
        )
        self._batch_rows = Histogram(
            "encodery_batch_rows", "rows of a forward pass", MODEL, buckets=ROWS, registry=r
        )
        self._queue_items = Gauge("encodery_queue_items", "inputs that wait", MODEL, **_SUM, registry=r)
        self._queue_cost = Gauge(
            "encodery_queue_cost",
            "cost that waits: tokens, or for a row of features one and more for lists",
            MODEL,
            **_SUM,
            registry=r,
        )
        self._in_work = Gauge(
            "encodery_items_in_work", "inputs prepared, waiting or running", **_SUM, registry=r
        )
        self._loaded = Gauge(
            "encodery_model_loaded", "1 for each loaded version", (*MODEL, "space"), **_MOST, registry=r
        )
        self._refused = Gauge(
            "encodery_model_refused", "1 for each refused version", MODEL, **_MOST, registry=r
        )
        self._shadowed = Counter(
            "encodery_shadow_items",
            "inputs for a version in the shadow: compared, dropped for want of an idle moment, or failed",
            (*MODEL, "shadow", "outcome"),
            registry=r,
        )
        self._overlap = Gauge(
            "encodery_shadow_overlap_at_10",
            "of the ten nearest, how many are the same by the version in the shadow",
            (*MODEL, "shadow"),
            multiprocess_mode="livemin",
            registry=r,
        )
        self._of_model: dict[tuple[str, str], _OfModel] = {}
        self._of_key: dict[tuple[str, int], Counter] = {}
        self._of_route: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._lag_s = Histogram(
            "encodery_event_loop_lag_seconds", "how late the event loop is", buckets=LAGS_S, registry=r
        )
        self._cache_bytes = Gauge(
            "encodery_result_cache_bytes", "in use by the result cache", **_SUM, registry=r
        )
        self._refresh: Callable[[], None] = lambda: None
        self._told: dict[Gauge, set[tuple[str, ...]]] = {self._loaded: set(), self._refused: set()}

    def watch(self, registry: Registry, engine: Engine) -> None:
        """Make every series of every model exist from the start, at zero; those of what is gone end."""
        loaded: set[tuple[str, ...]] = {(*_labels(one), one.manifest.space) for one in registry.loaded}
        refused: set[tuple[str, ...]] = {(one.name, one.version or "") for one in registry.refused}
        for one in registry.loaded:
            self._model(one)
        for which in self._of_model.keys() - {_labels(one) for one in registry.loaded}:
            self._forget(which)
        self._told = {
            gauge: self._tell(gauge, self._told[gauge], now)
            for gauge, now in ((self._loaded, loaded), (self._refused, refused))
        }
        self._refresh = partial(self._look, engine, registry.loaded)
        self._refresh()

    def _look(self, engine: Engine, encoders: Sequence[Loaded]) -> None:
        """Gauges tell what is at the moment; other processes' are as old as their last look."""
        self._in_work.set(engine.items)
        self._cache_bytes.set(engine.cache.size if engine.cache else 0)
        for loaded in encoders:
            items, cost = engine.queued(loaded)
            self._queue_items.labels(*_labels(loaded)).set(items)
            self._queue_cost.labels(*_labels(loaded)).set(cost)

    def request(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        key = (route, method, status)
        if (found := self._of_route.get(key)) is None:
            found = self._of_route[key] = (
                self._requests.labels(route, method, str(status)),
                self._latency_s.labels(route, str(status)),
            )
        found[0].inc()
        found[1].observe(seconds)

    def key_request(self, key: str, status: int) -> None:
        """A request was answered to the holder of a key."""
        if (found := self._of_key.get((key, status))) is None:
            found = self._of_key[key, status] = self._key_requests.labels(key, str(status))
        found.inc()

    def encoded(self, loaded: Loaded, encoded: Encoded) -> None:
        """A request got its vectors."""
        self.read(loaded, encoded.facts)
        of = self._model(loaded)
        if encoded.cached:
            of.cached.inc(encoded.cached)
        of.queue_wait_s.observe(encoded.timings.queue_s)

    def read(self, loaded: Loaded, facts: Sequence[Facts]) -> None:
        """Inputs were read by a model's preprocessor, and answered."""
        of = self._model(loaded)
        of.items.inc(len(facts))
        of.lately.add(len(facts))
        of.tokens.inc(sum(fact.tokens for fact in facts))
        if truncated := sum(bool(fact.truncated) for fact in facts):
            of.truncated.inc(truncated)
        if unknown := sum(bool(fact.unknown) for fact in facts):
            of.unknown.inc(unknown)
        for warning, inputs in Tally(name for fact in facts for name in fact.warned).items():
            self._warned.labels(*_labels(loaded), warning).inc(inputs)

    def lately(self, loaded: Loaded) -> int:
        """How many inputs this process answered for a version in the last minutes."""
        return self._model(loaded).lately.total

    def batch(self, loaded: Loaded, *, rows: int, run_s: float) -> None:
        """A forward pass ended."""
        of = self._model(loaded)
        of.run_s.observe(run_s)
        of.batch_rows.observe(rows)

    def shadowed(self, loaded: Loaded, candidate: Loaded, outcome: str, inputs: int) -> None:
        """So many inputs for a version in the shadow were compared, dropped or failed."""
        self._shadowed.labels(*_labels(loaded), candidate.manifest.version, outcome).inc(inputs)

    def overlap(self, loaded: Loaded, candidate: Loaded, value: float) -> None:
        """How alike a version in the shadow is."""
        self._overlap.labels(*_labels(loaded), candidate.manifest.version).set(value)

    def _model(self, loaded: Loaded) -> _OfModel:
        """The series of a model, looked up once: finding one by its labels costs more than counting."""
        labels = _labels(loaded)
        if (found := self._of_model.get(labels)) is None:
            found = self._of_model[labels] = _OfModel(
                items=self._items.labels(*labels),
                tokens=self._tokens.labels(*labels),
                truncated=self._truncated.labels(*labels),
                unknown=self._unknown.labels(*labels),
                cached=self._cached.labels(*labels),
                queue_wait_s=self._queue_wait_s.labels(*labels),
                run_s=self._run_s.labels(*labels),
                batch_rows=self._batch_rows.labels(*labels),
                lately=LastMinutes(),
            )
        return found

    def _forget(self, which: tuple[str, str]) -> None:
        """End the series of a version. Of several processes, `app.shared.metrics` leaves them out."""
        del self._of_model[which]
        if self._slot is None:
            for field in fields(_OfModel):
                if (series := getattr(self, f"_{field.name}", None)) is not None:
                    series.remove(*which)
            for gauge in (self._queue_items, self._queue_cost):
                gauge.remove(*which)
            for series in (self._warned, self._shadowed, self._overlap):
                series.remove_by_labels(dict(zip(MODEL, which, strict=True)))

    def _tell(
        self, gauge: Gauge, before: set[tuple[str, ...]], now: set[tuple[str, ...]]
    ) -> set[tuple[str, ...]]:
        """Set a gauge to 1 for what is there now, and to nothing for what was; returns what is there."""
        for labels in before - now:
            if self._slot is None:
                gauge.remove(*labels)
            else:
                gauge.labels(*labels).set(0)
        for labels in now:
            gauge.labels(*labels).set(1)
        return now

    async def watch_loop(self) -> None:
        """Measure for ever how much later than asked the event loop wakes up."""
        for turn in count():
            due_s = time.monotonic() + LAG_PERIOD_S
            await asyncio.sleep(LAG_PERIOD_S)
            self._lag_s.observe(max(0.0, time.monotonic() - due_s))
            if turn % REFRESH_EVERY == 0:
                self._refresh()

    async def text(self) -> bytes:
        """The answer of /metrics, for all processes of the server."""
        self._refresh()
        if self._slot is None:
            return generate_latest(self.registry)
        return await asyncio.to_thread(shared_metrics.text, self._slot.scoreboard)


def _labels(loaded: Loaded) -> tuple[str, str]:
    return loaded.manifest.name, loaded.manifest.version
