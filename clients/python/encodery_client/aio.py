"""The asynchronous client; the same as `Client`, on one event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Unpack

import httpx2 as httpx

from encodery_client.core import Core, headers_of, one
from encodery_client.errors import ServerUnreachable, error_from
from encodery_client.retry import Outcome, Retry, Wait, attempts
from encodery_client.wire import Answer, Asked, Call, Limits, Options, Output, Truncate, Vectors, Wire, joined


class AsyncClient:
    """Encodes with a server; arguments as those of `Client`."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        version: str | None = None,
        truncate: Truncate | None = None,
        dimensions: int | None = None,
        prompt: str | None = None,
        output: Output | None = None,
        space: str | None = None,
        wire: Wire = "raw",
        timeout_s: float = 30.0,
        concurrency: int = 4,
        batch_items: int = Limits.items,
        batch_bytes: int = Limits.bytes,
        retry: Retry | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._core = Core(
            asked=Asked(model, version, truncate, dimensions, prompt, output),
            space=space,
            wire=wire,
            limits=Limits(batch_items, batch_bytes),
            retry=retry or Retry(),
            timeout_s=timeout_s,
            concurrency=concurrency,
        )
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers_of(api_key, headers), transport=transport, follow_redirects=True
        )

    async def encode(self, inputs: Any, **options: Unpack[Options]) -> Vectors:
        """Vectors of several inputs: see `Client.encode`."""
        return (await self._all(inputs, options, facts=False)).vectors

    async def encode_one(self, item: str | Mapping[str, Any], **options: Unpack[Options]) -> Vectors:
        """The vector of one input. float32 [dim]."""
        vector: Vectors = (await self.encode(one(item), **options))[0]
        return vector

    async def answer(self, inputs: Any, **options: Unpack[Options]) -> Answer:
        """As `encode`, with the space, the version, token counts and warnings."""
        return await self._all(inputs, options, facts=True)

    async def encode_iter(self, inputs: Any, **options: Unpack[Options]) -> AsyncIterator[Vectors]:
        """Vectors in blocks, in order, while the inputs are read: see `Client.encode_iter`."""
        async with aclosing(self._answers(inputs, options, facts=False, each=True)) as answers:
            async for answer in answers:
                yield answer.vectors

    async def models(self) -> list[dict[str, Any]]:
        """What the server has, as GET /models lists it."""
        return list((await self._get("/models"))["models"])

    async def schema(self, model: str) -> dict[str, Any]:
        """JSON Schema of one input of a model, with `examples`."""
        return await self._get(f"/models/{model}/schema")

    async def prompts(self, model: str | None = None) -> dict[str, str]:
        """The prompts of a model that `prompt` may name, with their texts."""
        name = model or self._core.asked.model or (await self._get("/models"))["default"]
        return self._core.prompts(await self._get(f"/models/{name}"))

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            response = await self._http.get(path, timeout=self._core.timeout_s)
        except httpx.TransportError as error:
            raise ServerUnreachable(f"no answer: {error}") from error
        if response.status_code != 200:
            raise error_from(response.status_code, response.headers, response.content, offset=0)
        return dict(response.json())

    @property
    def pins(self) -> Mapping[tuple[Any, ...], str]:
        """(model, version, dimensions, output) to the space it is pinned to."""
        return self._core.pins

    def unpin(self) -> None:
        """Take whatever space the server gives next: call it when the index was encoded anew."""
        self._core.unpin()

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _all(self, inputs: Any, options: Options, *, facts: bool) -> Answer:
        async with aclosing(self._answers(inputs, options, facts=facts)) as answers:
            return joined([answer async for answer in answers], self._core.asked.but(options))

    async def _answers(
        self, inputs: Any, options: Options, *, facts: bool, each: bool = False
    ) -> AsyncGenerator[Answer]:
        """Answers in order; `concurrency` requests at once. `each`: every request has its own deadline."""
        timeout_s = options.get("timeout_s", self._core.timeout_s)
        asked = self._core.asked.but(options)
        deadline_s = None if each else time.monotonic() + timeout_s
        flying: deque[asyncio.Task[Answer]] = deque()
        try:
            for call in self._core.calls(inputs, asked):
                if len(flying) >= self._core.concurrency:
                    yield await flying.popleft()
                until_s = time.monotonic() + timeout_s if deadline_s is None else deadline_s
                flying.append(asyncio.create_task(self._send(call, facts, until_s)))
            while flying:
                yield await flying.popleft()
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def _send(self, call: Call, facts: bool, deadline_s: float) -> Answer:
        steps = attempts(self._core.retry, deadline_s, time.monotonic)
        step = next(steps)
        while True:
            outcome: Outcome = None
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                try:
                    outcome = await self._http.request(
                        **self._core.request(call, facts=facts, timeout_s=step.timeout_s)
                    )
                except httpx.TransportError as error:
                    outcome = error
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return self._core.answer(call, end.value)
