"""Work for a client, which is dropped when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.http.request import DirectRequest

WATCH_AFTER_S = 0.02  # a client that leaves is noticed from then on; most answers are out before
T = TypeVar("T")


def unless_left(request: Request, work: Awaitable[T]) -> Awaitable[T]:
    """The result of the work, which is cancelled when the client leaves. Raises ClientDisconnect.

    The body must have been read: what comes after it can only be that the client left.
    """
    if isinstance(request, DirectRequest):  # its connection cancels this task
        return work
    return _watched(request, work)


async def _watched(request: Request, work: Awaitable[T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    watch = _Watch(request.receive, task)
    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, watch.start)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.has_left and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        watch.stop()


class _Watch:
    """Waits for the client to leave, and then cancels the task that works for it."""

    def __init__(self, receive: Receive, task: asyncio.Task[object]) -> None:
        self._receive, self._task = receive, task
        self._watching: asyncio.Task[None] | None = None
        self.has_left = False

    def start(self) -> None:
        self._watching = asyncio.create_task(self._wait())

    def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.has_left = True
        self._task.cancel()
