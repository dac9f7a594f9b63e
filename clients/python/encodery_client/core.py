"""What both clients share: options, pins, and how requests are made and answers are read. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx2 as httpx

from encodery_client.retry import Retry
from encodery_client.rows import rows_of
from encodery_client.wire import (
    JSON,
    RAW,
    Answer,
    Asked,
    Call,
    Limits,
    Wire,
    calls,
    read_base64,
    read_raw,
    refuse_other_space,
)

CONNECT_S = 5.0
DEADLINE = "X-Request-Timeout-Ms"


class Core:
    """The state of one client: which space each kind of request is pinned to.

    Args:
        asked: what is asked where a call does not say otherwise.
        space: the space that vectors must be of from the first request on; None pins to the first answer.
        wire: how vectors travel where the caller does not ask for warnings.
        limits: of one request.
        retry: how often and how patiently.
        timeout_s: of a whole call, retries included.
        concurrency: most requests of one call at once.
    """

    def __init__(
        self,
        *,
        asked: Asked,
        space: str | None,
        wire: Wire,
        limits: Limits,
        retry: Retry,
        timeout_s: float,
        concurrency: int,
    ) -> None:
        if concurrency < 1 or retry.attempts < 1:
            raise ValueError("concurrency and attempts are at least 1")
        self.asked, self.wire, self.limits, self.retry = asked, wire, limits, retry
        self.timeout_s, self.concurrency = timeout_s, concurrency
        self._pins: dict[tuple[Any, ...], str] = {asked.pin: space} if space is not None else {}
        self._lock = threading.Lock()

    @property
    def pins(self) -> Mapping[tuple[Any, ...], str]:
        """(model, version, dimensions, output) to the space it is pinned to."""
        return dict(self._pins)

    def unpin(self) -> None:
        """Take whatever space the server gives next."""
        self._pins.clear()

    def prompts(self, detail: Mapping[str, Any]) -> dict[str, str]:
        """Those of the version that answers, from what GET /models/{name} says; none if it is not loaded."""
        version = self.asked.version or detail["current"]
        loaded = {manifest["version"]: manifest for manifest in detail["versions"]}
        return dict(loaded.get(version, {}).get("prompts", {}))

    def calls(self, inputs: Any, asked: Asked) -> Iterator[Call]:
        """The requests for these inputs."""
        return calls(rows_of(inputs), asked, self.limits)

    def request(self, call: Call, *, facts: bool, timeout_s: float) -> dict[str, Any]:
        """Arguments of httpx's `request`.

        Args:
            call: what to send.
            facts: the caller wants tokens and warnings, so the answer must be JSON.
            timeout_s: until the caller's deadline; passed on, so that nothing is computed for nobody.
        """
        as_json = facts or self.wire == "base64"
        return {
            "method": "POST",
            "url": "/encode",
            "content": call.body(self._pins.get(call.asked.pin), "base64" if as_json else "raw"),
            "headers": {
                "Content-Type": JSON,
                "Accept": JSON if as_json else RAW,
                DEADLINE: str(max(1, int(timeout_s * 1000))),
            },
            "timeout": httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        }

    def answer(self, call: Call, response: httpx.Response) -> Answer:
        """The vectors of one request. Pins, or raises SpaceChanged."""
        is_json = response.headers.get("content-type", "").startswith(JSON)
        answer = (read_base64 if is_json else read_raw)(call, response)
        with self._lock:  # answers come on several threads
            expected = self._pins.setdefault(call.asked.pin, answer.space)
        refuse_other_space(expected, answer)
        return answer


def headers_of(api_key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers of every request."""
    return {**({"Authorization": f"Bearer {api_key}"} if api_key else {}), **(headers or {})}


def one(inputs: Iterable[Any]) -> Any:
    """The only input. Raises TypeError if it is a collection of several."""
    if isinstance(inputs, (str, Mapping)):
        return [inputs]
    raise TypeError(f"encode_one takes a text or an object of features, not {type(inputs).__name__}")
