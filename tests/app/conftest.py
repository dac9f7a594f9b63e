"""An app in this process, spoken to over real HTTP requests without a socket; and encoders that misbehave."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2 as httpx
import numpy as np
import pytest
import structlog

from app.engine import Loaded, Model, Registry, load_registry
from app.main import create_app
from app.settings import Settings
from bundle import Encoder, Prepared, Store

GIVE_UP_S = (
    60.0  # a held forward pass goes on after this, so that a failing test ends; no request is late before
)
SLOW_S = 0.0015  # of CPU time of every forward pass: one known to be short runs on the event loop's thread

Serving: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


class FakeEncoder:
    """A real encoder whose forward pass can be held, watched and spoilt.

    Attributes:
        spoil: called with every batch before the real forward pass, on the worker's thread; may raise, or
            return vectors in its place.
        batches: number of rows of every forward pass so far.
        gate: forward passes wait for it; open unless a test closes it.
    """

    def __init__(
        self, encoder: Encoder, spoil: Callable[[Sequence[Prepared]], Any] = lambda batch: None
    ) -> None:
        self.manifest, self.preprocessor, self.examples = (
            encoder.manifest,
            encoder.preprocessor,
            encoder.examples,
        )
        self.is_packed, self.has_loops, self.weights = encoder.is_packed, encoder.has_loops, encoder.weights
        self.prepare, self.cut, self.schema = encoder.prepare, encoder.cut, encoder.schema
        self.run_multithreaded, self.has_multithreaded = self.run, False
        self.quantized, self.key, self.read, self.kind = (
            encoder.quantized,
            encoder.key,
            encoder.read,
            encoder.kind,
        )
        self._real, self._spoil = encoder, spoil
        self.batches: list[int] = []
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()

    def run(self, batch: Sequence[Prepared]) -> np.ndarray:
        self.batches.append(len(batch))
        self.entered.set()
        self.gate.wait(GIVE_UP_S)
        slow_s = time.thread_time() + SLOW_S
        while time.thread_time() < slow_s:
            pass
        spoilt = self._spoil(batch)
        return self._real.run(batch) if spoilt is None else spoilt

    def hold(self) -> None:
        """Keep forward passes from ending until `gate` is set."""
        self.gate.clear()
        self.entered.clear()


def registry_of(*encoders: Any) -> Registry:
    """A registry of these encoders, each the only version of its model."""
    return Registry(
        {
            one.manifest.name: Model(
                one.manifest.name, one.manifest.version, {one.manifest.version: Loaded(one)}
            )
            for one in encoders
        }
    )


@asynccontextmanager
async def _serving(registry: Registry, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(**({"threads": 2, "request_timeout_s": GIVE_UP_S} | settings)), registry)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://encodery.test") as client,
    ):
        client.app = app  # for tests that look behind the door
        yield client


@pytest.fixture(scope="session", autouse=True)
def _quiet_log() -> None:
    """A line per request would be most of what these tests do."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@pytest.fixture(scope="session")
def registry(published: Path) -> Registry:
    """The tiny encoders: text, shop-user and shop-item."""
    return load_registry(Store(published), versions_per_model=2)


@pytest.fixture
def serving() -> Serving:
    """`async with serving(registry, **settings) as client`."""
    return _serving


@pytest.fixture
def only() -> Callable[..., Registry]:
    """`only(encoder, ...)` is a registry of these."""
    return registry_of


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with default settings."""
    async with _serving(registry) as client:
        yield client


@pytest.fixture
def fake(registry: Registry) -> Callable[..., FakeEncoder]:
    """`fake(spoil)` is the tiny text encoder, spoilt."""
    return lambda spoil=lambda batch: None, name="text": FakeEncoder(registry.find(name).encoder, spoil)
