"""Engines to test, and what is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from app.engine import (
    Engine,
    Loaded,
)
from bundle import Text

PATIENCE_S = 60.0  # a busy machine is slow, not wrong


class Quiet:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def batch(self, loaded: Loaded, *, rows: int, run_s: float) -> None:
        self.rows.append(rows)


def engine_of(**changes: Any) -> Engine:
    settings: dict[str, Any] = {
        "workers": 1,
        "batch_cost": 1000,
        "max_queue_items": 1000,
        "max_queue_cost": 10_000,
        "max_wait_s": 60.0,
        "longest_pass_s": 60.0,
        "observer": Quiet(),
    }
    return Engine(**(settings | changes))


async def encode(engine: Engine, loaded: Loaded, *texts: str, timeout_s: float = PATIENCE_S) -> Any:
    return await engine.encode(loaded, [Text(text) for text in texts], truncate="none", timeout_s=timeout_s)


async def settled(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def encode_texts(
    engine: Engine, loaded: Loaded, texts: list[str], priority: Any = "interactive"
) -> Any:
    inputs = [Text(text) for text in texts]
    return await engine.encode(loaded, inputs, truncate="none", timeout_s=PATIENCE_S, priority=priority)
