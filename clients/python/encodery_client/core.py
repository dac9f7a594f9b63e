"""The half that both clients share: options, pins, making requests and reading answers. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import numpy as np

from encodery_client.answers import Answer, read_base64, read_raw, refuse_other_space
from encodery_client.retry import Retry
from encodery_client.rows import rows_of
from encodery_client.wire import (
    JSON,
    RAW,
    ExplainOptions,
    Limits,
    Options,
    Parameters,
    Request,
    ScoreOptions,
    Wire,
    requests,
    score_body,
)

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
        self._near: dict[tuple[Any, ...], str] = {}  # the space that pinned, adapted vectors are near to
        self._lock = threading.Lock()

    @property
    def pins(self) -> Mapping[tuple[Any, ...], str]:
        """The space that each (model, version, dimensions, output) is pinned to."""
        return dict(self._pins)

    def unpin(self) -> None:
        """Accept whatever space the server gives next."""
        self._pins.clear()
        self._near.clear()

    def prompts(self, detail: Mapping[str, Any]) -> dict[str, str]:
        """Find the prompts of the version that answers in GET /models/{name}; none if it is not loaded."""
        version = self.parameters.version or detail["current"]
        loaded = {manifest["version"]: manifest for manifest in detail["versions"]}
        return dict(loaded.get(version, {}).get("prompts", {}))

    def of_spaces(self, options: Options, spaces: Sequence[str]) -> Parameters:
        """The fields of requests for several spaces."""
        return replace(self.parameters.updated(options), version=None, spaces=list(spaces))

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
        parameters = request.parameters
        as_json = facts or self.wire == "base64" or parameters.output == "sparse" or bool(parameters.spaces)
        space = None if parameters.spaces else self._pins.get(parameters.pin)
        body = request.body(space, "base64" if as_json else "raw")
        return self._post("/encode", body, JSON if as_json else RAW, timeout_s)

    @staticmethod
    def _post(path: str, body: bytes, accept: str, timeout_s: float) -> dict[str, Any]:
        deadline = str(max(1, int(timeout_s * 1000)))
        return {
            "method": "POST",
            "url": path,
            "content": body,
            "headers": {"Content-Type": JSON, "Accept": accept, DEADLINE: deadline},
            "timeout": httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        }

    def score_arguments(
        self, query: Any, candidates: Any, options: ScoreOptions
    ) -> Callable[[float], dict[str, Any]]:
        """Return what makes the arguments of httpx's `request` for a ranking, by the seconds that are left.

        Raises:
            TypeError, ValueError: an option that does not exist, or what JSON has no form for.
        """
        fields = self._pair_fields(options, ScoreOptions.__annotations__)
        is_array = isinstance(candidates, np.ndarray) and candidates.ndim > 1
        body = score_body(fields, query, candidates if is_array else rows_of(candidates))
        return lambda timeout_s: self._post("/score", body, JSON, timeout_s)

    def explain_arguments(
        self, query: Any, candidates: Any, options: ExplainOptions
    ) -> Callable[[float], dict[str, Any]]:
        """Return the same for an explanation. Raises as `score_arguments`."""
        fields = self._pair_fields(options, ExplainOptions.__annotations__)
        body = score_body(fields, query, rows_of(candidates))
        return lambda timeout_s: self._post("/explain", body, JSON, timeout_s)

    def _pair_fields(self, options: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a request for pairs, beside its inputs. Raises TypeError."""
        if unknown := options.keys() - known.keys():
            raise TypeError(f"no such option: {', '.join(unknown)}; there are {', '.join(known)}")
        fields = {name: value for name, value in options.items() if name != "timeout_s" and value is not None}
        for name in ("model", "version", "truncate", "dimensions"):
            if (value := getattr(self.parameters, name)) is not None:
                fields.setdefault(name, value)
        pin = (fields.get("model"), fields.get("version"), fields.get("dimensions"), None)
        if (space := self._pins.get(pin)) is not None:
            fields.setdefault("space", space)
        return fields

    def answer(self, request: Request, response: httpx.Response) -> Answer:
        """Read the answer to one request. Pins, or raises SpaceChanged."""
        is_json = response.headers.get("content-type", "").startswith(JSON)
        answer = (read_base64 if is_json else read_raw)(request, response)
        pin = request.parameters.pin
        with self._lock:  # answers come on several threads
            expected = self._pins.setdefault(pin, answer.space)
            if request.parameters.adapted and answer.space != expected:  # near to what the pin says
                expected = self._near.setdefault(pin, answer.space)
        refuse_other_space(expected, answer)
        return answer


def checked_url(url: str) -> str:
    """Return the URL itself. Raises ValueError for one that is none, as 127.0.0.1:8000."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"a URL begins with http:// or https://, as http://127.0.0.1:8000; this is {url!r}")
    return url


def headers_of(api_key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers of every request."""
    return {**({"Authorization": f"Bearer {api_key}"} if api_key else {}), **(headers or {})}
