"""The synchronous client. Threads may share it; connections are reused."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from types import TracebackType
from typing import Any, Unpack

import httpx2 as httpx

from encodery_client.core import Core, headers_of, one
from encodery_client.errors import ServerUnreachable, error_from
from encodery_client.retry import Outcome, Retry, Wait, attempts
from encodery_client.wire import Answer, Asked, Call, Limits, Options, Output, Truncate, Vectors, Wire, joined


class Client:
    """Encodes with a server.

    Args:
        url: of the server, for example http://127.0.0.1:8000.
        model, version, truncate, dimensions, prompt, output: for calls that do not say otherwise; None is
            the server's default.
        space: what the vectors must be of; by default that of the first answer. From then on every
            request says so, and a server that no longer has it makes `SpaceChanged`, never a wrong vector.
        wire: how vectors travel, raw or base64 in JSON.
        timeout_s: of a whole call, retries included; the server is told.
        concurrency: most requests at once of calls that are split.
        batch_items, batch_bytes: of one request; larger calls are split.
        retry: how often and how patiently.
        api_key: sent as a bearer token.
        headers: of every request.
        transport: of httpx2, for example `encodery_client.testing.FakeServer().transport`.
    """

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
        transport: httpx.BaseTransport | None = None,
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
        self._http = httpx.Client(
            base_url=url, headers=headers_of(api_key, headers), transport=transport, follow_redirects=True
        )
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="encodery")

    def encode(self, inputs: Any, **options: Unpack[Options]) -> Vectors:
        """Vectors of several inputs.

        Args:
            inputs: texts or objects of features: a list, an iterator, a column or a table of pandas,
                polars or pyarrow.
            **options: `model`, `version`, `truncate`, `dimensions`, `prompt`, `output`, `now`,
                `timeout_s`.

        Returns:
            float32 [n, dim], in the order of the inputs, or of the type that `output` says, [n, dim / 8] if
            packed; [0, 0] for none.

        Raises:
            EncoderyClientError: see `encodery_client.errors`; nothing is returned in part.
        """
        return self._all(inputs, options, facts=False).vectors

    def encode_one(self, item: str | Mapping[str, Any], **options: Unpack[Options]) -> Vectors:
        """The vector of one input. float32 [dim]."""
        vector: Vectors = self.encode(one(item), **options)[0]
        return vector

    def answer(self, inputs: Any, **options: Unpack[Options]) -> Answer:
        """As `encode`, with the space, the version, token counts and warnings."""
        return self._all(inputs, options, facts=True)

    def encode_iter(self, inputs: Any, **options: Unpack[Options]) -> Iterator[Vectors]:
        """Vectors in blocks, in order, while the inputs are read: for more than fits into memory.

        At most `concurrency` requests are on their way or waiting to be taken. `timeout_s` is of each.
        """
        for answer in self._answers(inputs, options, facts=False, each=True):
            yield answer.vectors

    def models(self) -> list[dict[str, Any]]:
        """What the server has, as GET /models lists it."""
        return list((self._get("/models"))["models"])

    def schema(self, model: str) -> dict[str, Any]:
        """JSON Schema of one input of a model, with `examples`."""
        return self._get(f"/models/{model}/schema")

    def prompts(self, model: str | None = None) -> dict[str, str]:
        """The prompts of a model that `prompt` may name, with their texts."""
        name = model or self._core.asked.model or self._get("/models")["default"]
        return self._core.prompts(self._get(f"/models/{name}"))

    def _get(self, path: str) -> dict[str, Any]:
        try:
            response = self._http.get(path, timeout=self._core.timeout_s)
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

    def close(self) -> None:
        """Close connections and threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _all(self, inputs: Any, options: Options, *, facts: bool) -> Answer:
        answers = list(self._answers(inputs, options, facts=facts))
        return joined(answers, self._core.asked.but(options))

    def _answers(self, inputs: Any, options: Options, *, facts: bool, each: bool = False) -> Iterator[Answer]:
        """Answers in order; `concurrency` requests at once. `each`: every request has its own deadline."""
        timeout_s = options.get("timeout_s", self._core.timeout_s)
        asked = self._core.asked.but(options)
        deadline_s = None if each else time.monotonic() + timeout_s
        calls = self._core.calls(inputs, asked)
        begin = list(islice(calls, 2))
        if len(begin) == 1:  # most calls: no other thread is needed
            yield self._send(begin[0], facts, time.monotonic() + timeout_s)
            return
        flying: deque[Future[Answer]] = deque()
        try:
            for call in chain(begin, calls):
                if len(flying) >= self._core.concurrency:
                    yield flying.popleft().result()
                until_s = time.monotonic() + timeout_s if deadline_s is None else deadline_s
                flying.append(self._threads.submit(self._send, call, facts, until_s))
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()

    def _send(self, call: Call, facts: bool, deadline_s: float) -> Answer:
        steps = attempts(self._core.retry, deadline_s, time.monotonic)
        step = next(steps)
        while True:
            outcome: Outcome = None
            if isinstance(step, Wait):
                time.sleep(step.seconds)
            else:
                try:
                    outcome = self._http.request(
                        **self._core.request(call, facts=facts, timeout_s=step.timeout_s)
                    )
                except httpx.TransportError as error:
                    outcome = error
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return self._core.answer(call, end.value)
