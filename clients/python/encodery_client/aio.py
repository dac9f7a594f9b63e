"""The asynchronous client; the same as `Client`, on one event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, Unpack

import httpx2 as httpx

from encodery_client import aliases
from encodery_client.aliases import Alias, read_alias
from encodery_client.answers import (
    Answer,
    Explanations,
    Scores,
    joined,
    read_blocks,
    read_explanations,
    read_scores,
)
from encodery_client.core import Core, checked_url, headers_of
from encodery_client.errors import ServerUnreachable, error_from
from encodery_client.retry import Retry, StepResult, Wait, attempts
from encodery_client.wire import (
    ExplainOptions,
    Limits,
    Options,
    Output,
    Parameters,
    Request,
    ScoreOptions,
    Truncate,
    Vectors,
    Wire,
)


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
            parameters=Parameters(model, version, truncate, dimensions, prompt, output),
            space=space,
            wire=wire,
            limits=Limits(batch_items, batch_bytes),
            retry=retry or Retry(),
            timeout_s=timeout_s,
            concurrency=concurrency,
        )
        self._http = httpx.AsyncClient(
            base_url=checked_url(url),
            headers=headers_of(api_key, headers),
            transport=transport,
            follow_redirects=True,
        )

    async def encode(self, inputs: Any, **options: Unpack[Options]) -> Vectors:
        """Encode several inputs: see `Client.encode`."""
        return (await self._all(inputs, options, facts=False)).vectors

    async def encode_one(self, item: Any, **options: Unpack[Options]) -> Vectors:
        """Encode one input. float32 [dim]."""
        vector: Vectors = (await self.encode([item], **options))[0]
        return vector

    async def answer(self, inputs: Any, **options: Unpack[Options]) -> Answer:
        """Encode, and return the space, the version, token counts and warnings as well."""
        return await self._all(inputs, options, facts=True)

    async def answers(self, inputs: Any, spaces: Sequence[str], **options: Unpack[Options]) -> list[Answer]:
        """Encode once for several spaces, as while an index moves to another encoder.

        Args:
            inputs: as of `encode`.
            spaces: up to four; nothing is pinned by them.
            **options: as of `encode`, but no `version`: the spaces say which.

        Returns:
            An answer for each space, in their order.

        Raises:
            EncoderyClientError: one of them is not there; nothing is returned in part.
        """
        deadline_s = time.monotonic() + options.get("timeout_s", self._core.timeout_s)
        parameters = self._core.of_spaces(options, spaces)
        parts = []
        for request in self._core.requests(inputs, parameters):
            arguments = partial(self._send_arguments, request, True)
            parts.append(read_blocks(request, await self._respond(arguments, deadline_s)))
        return [joined([part[at] for part in parts], parameters) for at in range(len(spaces))]

    async def encode_iter(self, inputs: Any, **options: Unpack[Options]) -> AsyncIterator[Vectors]:
        """Encode in blocks, in order, while the inputs are read: see `Client.encode_iter`."""
        async with aclosing(self._answers(inputs, options, facts=False, each=True)) as answers:
            async for answer in answers:
                yield answer.vectors

    async def score(self, query: Any, candidates: Any, **options: Unpack[ScoreOptions]) -> Scores:
        """Rank candidates for a query: see `Client.score`."""
        deadline_s = time.monotonic() + options.get("timeout_s", self._core.timeout_s)
        arguments = self._core.score_arguments(query, candidates, options)
        return read_scores(await self._respond(arguments, deadline_s))

    async def explain(self, query: Any, candidates: Any, **options: Unpack[ExplainOptions]) -> Explanations:
        """Say what each piece of either input adds to their score: see `Client.explain`."""
        deadline_s = time.monotonic() + options.get("timeout_s", self._core.timeout_s)
        arguments = self._core.explain_arguments(query, candidates, options)
        return read_explanations(await self._respond(arguments, deadline_s))

    async def models(self) -> list[dict[str, Any]]:
        """List what the server has, as GET /models does."""
        return list((await self._get("/models"))["models"])

    async def model(self, name: str) -> dict[str, Any]:
        """Return the manifests of a model's loaded versions, as GET /models/{name} does."""
        return await self._get(f"/models/{name}")

    async def schema(self, model: str) -> dict[str, Any]:
        """Return the JSON Schema of one input of a model, with `examples`."""
        return await self._get(f"/models/{model}/schema")

    async def prompts(self, model: str | None = None) -> dict[str, str]:
        """Return the prompts of a model that `prompt` may name, with their texts."""
        name = model or self._core.parameters.model or (await self._get("/models"))["default"]
        return self._core.prompts(await self.model(name))

    async def alias(self, model: str, alias: str) -> Alias:
        """Return what an alias of a model stands for, with the tag to change it by."""
        return read_alias(await self._once(aliases.reading(model, alias, self._core.timeout_s)))

    async def set_alias(
        self,
        model: str,
        alias: str,
        stands_for: str | Mapping[str, int],
        *,
        new_space: bool = False,
        if_match: str | None = None,
        timeout_s: float = aliases.CHANGE_S,
    ) -> Alias:
        """Let an alias, `current` among them, stand for a version, or for two by their shares in percent.

        The server proves and loads what is not loaded, and answers when every process answers by it. It is
        asked once: of an answer that was lost nobody knows whether the change was made.

        Args:
            model: of the versions; of a pair both change.
            alias: its name.
            stands_for: a version, or version to share.
            new_space: vectors under this name may be of another space than before.
            if_match: the tag that it must have, "*" for one that is there.
            timeout_s: of the whole change.

        Raises:
            AliasChanged: it has another tag.
            EncoderyClientError: see `encodery_client.errors`; nothing has changed where it was refused.
        """
        arguments = aliases.setting(
            model, alias, stands_for, new_space=new_space, if_match=if_match, timeout_s=timeout_s
        )
        return read_alias(await self._once(arguments))

    async def remove_alias(
        self, model: str, alias: str, *, if_match: str | None = None, timeout_s: float = aliases.CHANGE_S
    ) -> None:
        """Let an alias stand for nothing. Raises as `set_alias`."""
        read_alias(await self._once(aliases.removing(model, alias, if_match=if_match, timeout_s=timeout_s)))

    async def _get(self, path: str) -> dict[str, Any]:
        response = await self._once({"method": "GET", "url": path, "timeout": self._core.timeout_s})
        if response.status_code != 200:
            raise error_from(response.status_code, response.headers, response.content, offset=0)
        return dict(response.json())

    async def _once(self, arguments: dict[str, Any]) -> httpx.Response:
        try:
            return await self._http.request(**arguments)
        except httpx.TransportError as error:
            raise ServerUnreachable(f"no answer: {error}") from error

    @property
    def pins(self) -> Mapping[tuple[Any, ...], str]:
        """The space that each (model, version, dimensions, output) is pinned to."""
        return self._core.pins

    def unpin(self) -> None:
        """Accept whatever space the server gives next: for when the index was encoded anew."""
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
            return joined([answer async for answer in answers], self._core.parameters.updated(options))

    async def _answers(
        self, inputs: Any, options: Options, *, facts: bool, each: bool = False
    ) -> AsyncGenerator[Answer]:
        """Yield answers in order; `concurrency` requests at once. `each`: each has a deadline of its own."""
        timeout_s = options.get("timeout_s", self._core.timeout_s)
        parameters = self._core.parameters.updated(options)
        deadline_s = None if each else time.monotonic() + timeout_s
        pending: deque[asyncio.Task[Answer]] = deque()
        try:
            for request in self._core.requests(inputs, parameters):
                if len(pending) >= self._core.concurrency:
                    yield await pending.popleft()
                until_s = time.monotonic() + timeout_s if deadline_s is None else deadline_s
                pending.append(asyncio.create_task(self._send(request, facts, until_s)))
            while pending:
                yield await pending.popleft()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _send(self, request: Request, facts: bool, deadline_s: float) -> Answer:
        arguments = partial(self._send_arguments, request, facts)
        return self._core.answer(request, await self._respond(arguments, deadline_s))

    def _send_arguments(self, request: Request, facts: bool, timeout_s: float) -> dict[str, Any]:
        return self._core.arguments(request, facts=facts, timeout_s=timeout_s)

    async def _respond(
        self, arguments: Callable[[float], dict[str, Any]], deadline_s: float
    ) -> httpx.Response:
        """The last answer to a request, tried again where that makes sense."""
        steps = attempts(self._core.retry, deadline_s, time.monotonic)
        step = next(steps)
        while True:
            result: StepResult = None
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                try:
                    result = await self._http.request(**arguments(step.timeout_s))
                except httpx.TransportError as error:
                    result = error
            try:
                step = steps.send(result)
            except StopIteration as end:
                response: httpx.Response = end.value
                return response
