"""A fake server and both clients, each call driven the same way, so that every test is of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from encodery_client import AsyncClient, Client, Retry
from encodery_client.testing import FakeServer

QUICK = Retry(attempts=4, base_s=0.001)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer(dim=6)


class Sync:
    """Calls `Client`."""

    def __init__(self, server: FakeServer, **options: Any) -> None:
        self.client = Client("http://fake", transport=server.transport, **{"retry": QUICK} | options)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return getattr(self.client, method)(*arguments, **options)

    def blocks(self, inputs: Any, **options: Any) -> list[Any]:
        return list(self.client.encode_iter(inputs, **options))

    def close(self) -> None:
        self.client.close()


class Async:
    """Calls `AsyncClient`, on one event loop of its own."""

    def __init__(self, server: FakeServer, **options: Any) -> None:
        self.runner = asyncio.Runner()
        self.client = AsyncClient("http://fake", transport=server.transport, **{"retry": QUICK} | options)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.runner.run(getattr(self.client, method)(*arguments, **options))

    def blocks(self, inputs: Any, **options: Any) -> list[Any]:
        async def collected() -> list[Any]:
            return [block async for block in self.client.encode_iter(inputs, **options)]

        return self.runner.run(collected())

    def close(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Sync | Async]]:
    """`connect(server, **options)`."""
    made: list[Sync | Async] = []

    def make(server: FakeServer, **options: Any) -> Sync | Async:
        made.append(request.param(server, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
