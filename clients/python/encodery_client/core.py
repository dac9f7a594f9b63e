"""The half that both clients share: options, pins, making requests and reading answers. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2 as httpx

from encodery_client.answers import Answer, read_base64, read_raw, refuse_other_space
from encodery_client.retry import Retry
from encodery_client.rows import rows_of
from encodery_client.wire import JSON, RAW, Limits, Parameters, Request, Wire, requests

CONNECT_S = 5.0
DEADLINE = "X-Request-Timeout-Ms"


class Core:
    """The state of one client: which space each kind of request is pinned to.

    Args:
        parameters: of a request where a call does not say otherwise.
        space: the space that vectors must be of from the first request on; None pins to the first answer.
        wire: how vectors travel where the caller does not ask for warnings.
        limits: of one request.
        retry: how often to try, and how long to wait.
        timeout_s: of a whole call, retries included.
        concurrency: most requests of one call at once.
    """

    def __init__(
        self,
        *,
        parameters: Parameters,
        space: str | None,
        wire: Wire,
        limits: Limits,
        retry: Retry,
        timeout_s: float,
        concurrency: int,
    ) -> None:
        if concurrency < 1 or retry.attempts < 1:
            raise ValueError("concurrency and attempts are at least 1")
        self.parameters, self.wire, self.limits, self.retry = parameters, wire, limits, retry
        self.timeout_s, self.concurrency = timeout_s, concurrency
        self._pins: dict[tuple[Any, ...], str] = {parameters.pin: space} if space is not None else {}
        self._lock = threading.Lock()

    @property
    def pins(self) -> Mapping[tuple[Any, ...], str]:
        """The space that each (model, version, dimensions, output) is pinned to."""
        return dict(self._pins)

    def unpin(self) -> None:
        """Accept whatever space the server gives next."""
        self._pins.clear()

    def prompts(self, detail: Mapping[str, Any]) -> dict[str, str]:
        """Find the prompts of the version that answers in GET /models/{name}; none if it is not loaded."""
        version = self.parameters.version or detail["current"]
        loaded = {manifest["version"]: manifest for manifest in detail["versions"]}
        return dict(loaded.get(version, {}).get("prompts", {}))

    def requests(self, inputs: Any, parameters: Parameters) -> Iterator[Request]:
        """Split the inputs into requests."""
        return requests(rows_of(inputs), parameters, self.limits)

    def arguments(self, request: Request, *, facts: bool, timeout_s: float) -> dict[str, Any]:
        """Return the arguments of httpx's `request`.

        Args:
            request: what to send.
            facts: the caller wants tokens and warnings, so the answer must be JSON.
            timeout_s: until the caller's deadline; passed on, so that nothing is computed for nobody.
        """
        as_json = facts or self.wire == "base64" or request.parameters.output == "sparse"
        return {
            "method": "POST",
            "url": "/encode",
            "content": request.body(self._pins.get(request.parameters.pin), "base64" if as_json else "raw"),
            "headers": {
                "Content-Type": JSON,
                "Accept": JSON if as_json else RAW,
                DEADLINE: str(max(1, int(timeout_s * 1000))),
            },
            "timeout": httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        }

    def answer(self, request: Request, response: httpx.Response) -> Answer:
        """Read the answer to one request. Pins, or raises SpaceChanged."""
        is_json = response.headers.get("content-type", "").startswith(JSON)
        answer = (read_base64 if is_json else read_raw)(request, response)
        with self._lock:  # answers come on several threads
            expected = self._pins.setdefault(request.parameters.pin, answer.space)
        refuse_other_space(expected, answer)
        return answer


def headers_of(api_key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers of every request."""
    return {**({"Authorization": f"Bearer {api_key}"} if api_key else {}), **(headers or {})}
