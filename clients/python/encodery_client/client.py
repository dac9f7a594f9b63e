"""The synchronous client. Threads may share it; connections are reused."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
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


class Client:
    """Encodes with a server.

    Args:
        url: of the server, for example http://127.0.0.1:8000.
        model, version, truncate, dimensions, prompt, output: for calls that do not say otherwise; None is
            the server's default.
        space: what the vectors must be of; by default that of the first answer. From then on every
            request says so, and a server that no longer has it makes `SpaceChanged`, never a wrong vector.
        wire: how vectors travel, raw or base64 in JSON.
        timeout_s: of a whole call, retries included; sent to the server as its deadline.
        concurrency: most requests at once of calls that are split.
        batch_items, batch_bytes: of one request; larger calls are split.
        retry: how often to try, and how long to wait.
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
            parameters=Parameters(model, version, truncate, dimensions, prompt, output),
            space=space,
            wire=wire,
            limits=Limits(batch_items, batch_bytes),
            retry=retry or Retry(),
            timeout_s=timeout_s,
            concurrency=concurrency,
        )
        self._http = httpx.Client(
            base_url=checked_url(url),
            headers=headers_of(api_key, headers),
            transport=transport,
            follow_redirects=True,
        )
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="encodery")

    def encode(self, inputs: Any, **options: Unpack[Options]) -> Vectors:
        """Encode several inputs.

        Args:
            inputs: texts, objects of features, or whatever JSON the model takes: a list, an iterator, a
                column or a table of pandas, polars or pyarrow.
            **options: `model`, `version`, `truncate`, `dimensions`, `prompt`, `output`, `input_type`,
                `adapted`, `now`, `timeout_s`.

        Returns:
            float32 [n, dim], in the order of the inputs, or of the type that `output` says, [n, dim / 8] if
            packed; [0, 0] for none. With `output="sparse"` [n], each a `SparseVector`.

        Raises:
            EncoderyClientError: see `encodery_client.errors`; nothing is returned in part.
        """
        return self._all(inputs, options, facts=False).vectors

    def encode_one(self, item: Any, **options: Unpack[Options]) -> Vectors:
        """Encode one input. float32 [dim]."""
        vector: Vectors = self.encode([item], **options)[0]
        return vector

    def answer(self, inputs: Any, **options: Unpack[Options]) -> Answer:
        """Encode, and return the space, the version, token counts and warnings as well."""
        return self._all(inputs, options, facts=True)

    def answers(self, inputs: Any, spaces: Sequence[str], **options: Unpack[Options]) -> list[Answer]:
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
        parts = [
            read_blocks(request, self._respond(partial(self._send_arguments, request, True), deadline_s))
            for request in self._core.requests(inputs, parameters)
        ]
        return [joined([part[at] for part in parts], parameters) for at in range(len(spaces))]

    def encode_iter(self, inputs: Any, **options: Unpack[Options]) -> Iterator[Vectors]:
        """Encode in blocks, in order, while the inputs are read: for more than fits into memory.

        At most `concurrency` requests are on their way or waiting to be taken. `timeout_s` is of each.
        """
        for answer in self._answers(inputs, options, facts=False, each=True):
            yield answer.vectors

    def score(self, query: Any, candidates: Any, **options: Unpack[ScoreOptions]) -> Scores:
        """Rank candidates for a query.

        Args:
            query: a text, or an object of features.
            candidates: of the other encoder of its pair, or of the same one; where items have an id, that
                will do. Or their vectors, float32 [n, dim].
            **options: `model`, `version`, `candidates_model`, `space`, `top_k`, `truncate`, `dimensions`,
                `adapted`, `now`, `mix`, `timeout_s`.

        Raises:
            EncoderyClientError: see `encodery_client.errors`.
            ValueError: vectors come without a space: their index knows it.
        """
        deadline_s = time.monotonic() + options.get("timeout_s", self._core.timeout_s)
        arguments = self._core.score_arguments(query, candidates, options)
        return read_scores(self._respond(arguments, deadline_s))

    def explain(self, query: Any, candidates: Any, **options: Unpack[ExplainOptions]) -> Explanations:
        """Say what each piece of a query, and of each candidate, adds to their score.

        Args:
            query: as of `score`.
            candidates: as of `score`, but no vectors: these have no pieces.
            **options: `method`, `pieces`, and those of `score` but `top_k` and `mix`.

        Raises:
            EncoderyClientError: see `encodery_client.errors`.
        """
        deadline_s = time.monotonic() + options.get("timeout_s", self._core.timeout_s)
        arguments = self._core.explain_arguments(query, candidates, options)
        return read_explanations(self._respond(arguments, deadline_s))

    def models(self) -> list[dict[str, Any]]:
        """List what the server has, as GET /models does."""
        return list((self._get("/models"))["models"])

    def model(self, name: str) -> dict[str, Any]:
        """Return the manifests of a model's loaded versions, as GET /models/{name} does."""
        return self._get(f"/models/{name}")

    def schema(self, model: str) -> dict[str, Any]:
        """Return the JSON Schema of one input of a model, with `examples`."""
        return self._get(f"/models/{model}/schema")

    def prompts(self, model: str | None = None) -> dict[str, str]:
        """Return the prompts of a model that `prompt` may name, with their texts."""
        name = model or self._core.parameters.model or self._get("/models")["default"]
        return self._core.prompts(self.model(name))

    def alias(self, model: str, alias: str) -> Alias:
        """Return what an alias of a model stands for, with the tag to change it by."""
        return read_alias(self._once(aliases.reading(model, alias, self._core.timeout_s)))

    def set_alias(
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
        return read_alias(self._once(arguments))

    def remove_alias(
        self, model: str, alias: str, *, if_match: str | None = None, timeout_s: float = aliases.CHANGE_S
    ) -> None:
        """Let an alias stand for nothing. Raises as `set_alias`."""
        read_alias(self._once(aliases.removing(model, alias, if_match=if_match, timeout_s=timeout_s)))

    def _get(self, path: str) -> dict[str, Any]:
        response = self._once({"method": "GET", "url": path, "timeout": self._core.timeout_s})
        if response.status_code != 200:
            raise error_from(response.status_code, response.headers, response.content, offset=0)
        return dict(response.json())

    def _once(self, arguments: dict[str, Any]) -> httpx.Response:
        try:
            return self._http.request(**arguments)
        except httpx.TransportError as error:
            raise ServerUnreachable(f"no answer: {error}") from error

    @property
    def pins(self) -> Mapping[tuple[Any, ...], str]:
        """The space that each (model, version, dimensions, output) is pinned to."""
        return self._core.pins

    def unpin(self) -> None:
        """Accept whatever space the server gives next: for when the index was encoded anew."""
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
        return joined(answers, self._core.parameters.updated(options))

    def _answers(self, inputs: Any, options: Options, *, facts: bool, each: bool = False) -> Iterator[Answer]:
        """Yield answers in order; `concurrency` requests at once. `each`: each has a deadline of its own."""
        timeout_s = options.get("timeout_s", self._core.timeout_s)
        parameters = self._core.parameters.updated(options)
        deadline_s = None if each else time.monotonic() + timeout_s
        requests = self._core.requests(inputs, parameters)
        begin = list(islice(requests, 2))
        if len(begin) == 1:  # most calls: no other thread is needed
            yield self._send(begin[0], facts, time.monotonic() + timeout_s)
            return
        pending: deque[Future[Answer]] = deque()
        try:
            for request in chain(begin, requests):
                if len(pending) >= self._core.concurrency:
                    yield pending.popleft().result()
                until_s = time.monotonic() + timeout_s if deadline_s is None else deadline_s
                pending.append(self._threads.submit(self._send, request, facts, until_s))
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _send(self, request: Request, facts: bool, deadline_s: float) -> Answer:
        arguments = partial(self._send_arguments, request, facts)
        return self._core.answer(request, self._respond(arguments, deadline_s))

    def _send_arguments(self, request: Request, facts: bool, timeout_s: float) -> dict[str, Any]:
        return self._core.arguments(request, facts=facts, timeout_s=timeout_s)

    def _respond(self, arguments: Callable[[float], dict[str, Any]], deadline_s: float) -> httpx.Response:
        """The last answer to a request, tried again where that makes sense."""
        steps = attempts(self._core.retry, deadline_s, time.monotonic)
        step = next(steps)
        while True:
            result: StepResult = None
            if isinstance(step, Wait):
                time.sleep(step.seconds)
            else:
                try:
                    result = self._http.request(**arguments(step.timeout_s))
                except httpx.TransportError as error:
                    result = error
            try:
                step = steps.send(result)
            except StopIteration as end:
                response: httpx.Response = end.value
                return response
