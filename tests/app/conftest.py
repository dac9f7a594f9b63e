"""An app in this process, spoken to over real HTTP requests without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2 as httpx
import pytest

from app.engine import Registry, load_registry
from app.main import create_app
from app.settings import Settings
from bundle import Store

Serving: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def serving(registry: Registry, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that serves these encoders."""
    app = create_app(Settings(workers=2, **settings), registry)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://encodery.test") as client,
    ):
        client.app = app  # for tests that look behind the door
        yield client


@pytest.fixture(scope="session")
def registry(published: Path) -> Registry:
    """The tiny encoders: text, shop-user and shop-item."""
    return load_registry(Store(published), versions_per_model=2)


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with default settings."""
    async with serving(registry) as client:
        yield client
