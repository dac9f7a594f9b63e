"""The event loop goes on turning while the largest valid requests of every kind are served.

What is done between two turns of the loop is counted, in calls on the loop's own thread: as many on every
machine. How long a turn takes is measured by `python3 dev.py bench --stall`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.api import large
from app.api.requests import load_object
from app.engine import Registry

MOST_CALLS = 40_000  # between two turns; handing 2,048 inputs to the batcher makes 21,000, in 3 ms
TEXT = "the cat sat on the mat " * 30
WIDE = 180  # dimensions of kept vectors that are refused only once they have been read
TURN: CodeType = asyncio.BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]  # typeshed leaves it out
# What one call without an end reads or writes: its code, its argument, and the most that is for the loop.
WHOLE: dict[CodeType, tuple[str, int]] = {
    load_object.__code__: ("body", large.LARGE),
    large.to_json.__code__: ("numbers", large.NUMBERS),
}


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


async def test_work_on_the_loop_is_seen_and_work_on_a_thread_is_not() -> None:
    """The check above could not fail if its measure saw nothing."""

    def work() -> None:
        for _ in range(2 * MOST_CALLS):
            len(TEXT)

    with watched() as turns:
        await asyncio.to_thread(work)
    assert turns.most_calls < MOST_CALLS

    with watched() as turns:
        work()
        await asyncio.sleep(0)
    assert turns.most_calls > MOST_CALLS


async def test_a_large_body_parsed_on_the_loop_is_seen() -> None:
    body = json.dumps({"inputs": TEXT * 1000}).encode()

    with watched() as turns:
        await large.off_loop(len(body), lambda: load_object(body, "inputs"))
    assert not turns.wholes

    with watched() as turns:
        load_object(body, "inputs")
    assert turns.wholes == [("load_object", len(body))]


async def assert_turning(client: httpx.AsyncClient, path: str, body: dict[str, Any], *, status: int) -> None:
    content = json.dumps(body).encode()
    with watched() as turns:
        response = await client.post(path, content=content, headers={"Content-Type": "application/json"})

    assert response.status_code == status, response.text[:300]
    assert turns.most_calls < MOST_CALLS
    assert not turns.wholes


class Turns:
    """What is done on this thread, between one turn of its event loop and the next.

    Attributes:
        most_calls: of functions, in one turn.
        wholes: calls that read or wrote more at once than is for the loop.
    """

    def __init__(self) -> None:
        self.most_calls = self._calls = 0
        self.wholes: list[tuple[str, int]] = []

    def __call__(self, frame: FrameType, event: str, function: Any) -> None:
        """As `sys.setprofile` calls it."""
        if event == "call" and frame.f_code is TURN:
            self._calls = 0
        elif event in ("call", "c_call"):
            self._calls += 1
            self.most_calls = max(self.most_calls, self._calls)
        if event == "call" and frame.f_code in WHOLE:
            name, most = WHOLE[frame.f_code]
            given = frame.f_locals[name]
            size = given if isinstance(given, int) else len(given)
            self.wholes += [(frame.f_code.co_name, size)] if size > most else []


@contextmanager
def watched() -> Iterator[Turns]:
    """Of this thread only."""
    turns, before = Turns(), sys.getprofile()
    sys.setprofile(turns)
    try:
        yield turns
    finally:
        sys.setprofile(before)
