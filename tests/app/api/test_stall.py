"""The event loop goes on turning while the largest valid requests of every kind are served.

A stall is counted in CPU time of this process, not by the clock: what a busy machine takes from all is not
ours, and what a thread does while it keeps the interpreter to itself is. A request that stalled is sent
again, twice: a stall of ours comes back every time.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.engine import Registry

MOST_S = 0.05
TIMES = 3
TEXT = "the cat sat on the mat " * 30
WIDE = 180  # dimensions of kept vectors that are refused only once they have been read


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    """As `app.process.server.run` does: or the collector walks through all that tests loaded, in 60 ms."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def histories() -> dict[str, Any]:
    history = [{"id": f"item {i}", "time": "2023-10-01"} for i in range(20)]
    return {"model": "shop-user", "inputs": [{"history": history}] * 1100}


def distinct_texts() -> dict[str, Any]:
    return {"inputs": [f"{i} {TEXT}"[:480] for i in range(2048)], "truncate": "end"}


def kept(encode: Callable[[np.ndarray], list[Any]], dim: int = tiny.DIM) -> dict[str, Any]:
    rows = np.random.default_rng(0).standard_normal((10_000, dim)).astype(np.float32).round(4)
    return {"query": "hello", "vectors": encode(rows)}


def as_base64(rows: np.ndarray) -> list[Any]:
    return [base64.b64encode(row).decode() for row in rows]


LARGEST: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "many texts": ("/encode", distinct_texts),
    "equal texts": ("/encode", lambda: {"inputs": [TEXT[:480]] * 2048, "truncate": "end"}),
    "long texts": ("/encode", lambda: {"inputs": [TEXT * 20] * 61, "truncate": "end"}),
    "long words": (
        "/encode",
        lambda: {"inputs": [f"{i}" + "a" * 16_000 for i in range(60)], "truncate": "end"},
    ),
    "histories": ("/encode", histories),
    "items": (
        "/encode",
        lambda: {"model": "shop-item", "inputs": [{"id": f"{i}", "title": "red lamp"} for i in range(2048)]},
    ),
    "openai": ("/v1/embeddings", lambda: {"model": "text", "input": [f"{i} cat" for i in range(2048)]}),
    "candidate texts": (
        "/score",
        lambda: {"query": "dog", "candidates": [f"{i} cat" for i in range(10_000)]},
    ),
    "candidate items": (
        "/score",
        lambda: {"model": "shop-user", "query": {}, "candidates": [{"id": f"{i}"} for i in range(10_000)]},
    ),
    "vectors": ("/score", lambda: kept(lambda rows: rows.astype(float).round(4).tolist())),
    "vectors in base64": ("/score", lambda: kept(as_base64)),
}


@pytest.mark.parametrize("name", LARGEST)
async def test_the_largest_valid_requests_leave_the_loop_turning(
    client: httpx.AsyncClient, registry: Registry, name: str
) -> None:
    path, largest = LARGEST[name]
    body = largest()
    if "vectors" in body:
        body["space"] = registry.find("text").manifest.space

    await assert_turning(client, path, body, status=200)


async def test_as_many_numbers_as_a_body_may_hold_leave_the_loop_turning(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    """Of another length than this tiny encoder's, which is known only when all have been read."""
    body = kept(lambda rows: rows.astype(float).round(4).tolist(), dim=WIDE)
    body["space"] = registry.find("text").manifest.space

    await assert_turning(client, "/score", body, status=422)


async def test_a_stall_is_seen(client: httpx.AsyncClient) -> None:
    """The check above could not fail if its measure did not see work on the loop, or a greedy thread."""

    async def on_the_loop() -> None:
        work()

    def work() -> None:
        sum(range(10**7))  # never lets go of the interpreter

    assert await watched(on_the_loop()) > MOST_S
    assert await watched(asyncio.to_thread(work)) > MOST_S


async def assert_turning(client: httpx.AsyncClient, path: str, body: dict[str, Any], *, status: int) -> None:
    stalls_s: list[float] = []
    while not stalls_s or min(stalls_s) >= MOST_S:
        assert len(stalls_s) < TIMES, stalls_s
        stalls_s.append(await stall_s(client, path, body, status=status))


async def stall_s(client: httpx.AsyncClient, path: str, body: dict[str, Any], *, status: int) -> float:
    content = json.dumps(body).encode()  # before the watch: a client's work is none of the server's
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    responses: list[httpx.Response] = []

    async def ask() -> None:
        responses.append(await answer)

    stalled_s = await watched(ask())
    assert responses[0].status_code == status, responses[0].text[:300]
    return stalled_s


async def watched(work: Any) -> float:
    """The most CPU time that this process used between two turns of the loop."""
    watching = asyncio.create_task(longest_s())
    await asyncio.sleep(0.005)
    await work
    watching.cancel()
    return await watching


async def longest_s() -> float:
    """Until cancelled."""
    worst_s, before_s = 0.0, time.process_time()
    try:
        while True:
            before_s = time.process_time()
            await asyncio.sleep(0.001)
            worst_s = max(worst_s, time.process_time() - before_s)
    except asyncio.CancelledError:
        return max(worst_s, time.process_time() - before_s)
